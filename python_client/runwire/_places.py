"""Where a client keeps what is not delivered, and in which mode it works."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runwire._channel import seconds

DEFAULT_SPOOL_BYTES: Final = 1 << 30
DEFAULT_SHUTDOWN_TIMEOUT: Final = 60.0
MODES: Final = ("online", "offline")
_OFFLINE: Final = "runwire-offline"


@dataclass(frozen=True, slots=True)
class Options:
    """How a client keeps what it logs.

    Attributes:
        mode: `online` or `offline`.
        root: The folder of spools.
        address: The server that the spools are for; empty where none was named and none is asked.
        spool_bytes: Most bytes of a spool.
        on_spool_full: `block` or `error`.
        shutdown_timeout: Seconds that the exit of the process may take.
    """

    mode: str
    root: Path
    address: str
    spool_bytes: int
    on_spool_full: str
    shutdown_timeout: float

    @property
    def offline(self) -> bool:
        """Whether there is no server."""
        return self.mode == "offline"


def options(
    mode: str | None,
    spool_dir: str | os.PathLike[str] | None,
    spool_bytes: int,
    on_spool_full: str,
    shutdown_timeout: float,
    address: str,
    *,
    named: bool,
) -> Options:
    """Checks how a client is to keep what it logs, and fills in what is missing.

    Args:
        mode: `online`, `offline` or None for RUNWIRE_MODE, else `online`.
        spool_dir: The folder of spools; None for RUNWIRE_SPOOL_DIR, else a place for the mode.
        spool_bytes: Most bytes of a spool.
        on_spool_full: `block` or `error`.
        shutdown_timeout: Seconds that the exit of the process may take.
        address: The server's address.
        named: Whether somebody named that address.

    Returns:
        The options.

    Raises:
        ValueError: One can not be used.
    """
    chosen = _mode(mode)
    if on_spool_full not in ("block", "error"):
        raise ValueError(f"on_spool_full must be 'block' or 'error', and is {on_spool_full!r}")
    if spool_bytes <= 0:
        raise ValueError(f"spool_bytes must be more than 0, and is {spool_bytes}")
    root = _spool_root(spool_dir, chosen, address)
    target = address if named or chosen == "online" else ""
    return Options(chosen, root, target, spool_bytes, on_spool_full, seconds(shutdown_timeout))


def _mode(given: str | None) -> str:
    """Finds the mode.

    Args:
        given: `online`, `offline`, or None for RUNWIRE_MODE, else `online`.

    Returns:
        The mode.

    Raises:
        ValueError: It is neither.
    """
    found = given or os.environ.get("RUNWIRE_MODE") or "online"
    if found not in MODES:
        raise ValueError(f"the mode must be 'online' or 'offline', and is {found!r}")
    return found


def _spool_root(given: str | os.PathLike[str] | None, chosen: str, address: str) -> Path:
    """Finds the folder of spools.

    Args:
        given: The folder; None for RUNWIRE_SPOOL_DIR, else `./runwire-offline` offline, and online a folder
            of the user's for each address.
        chosen: The mode.
        address: The server's address.

    Returns:
        The folder, absolute; it may not be there yet.
    """
    named = given or os.environ.get("RUNWIRE_SPOOL_DIR")
    if named:
        return Path(os.path.abspath(os.path.expanduser(named)))
    if chosen == "offline":
        return Path.cwd() / _OFFLINE
    return _state() / "spool" / hashlib.sha256(address.encode()).hexdigest()[:16]


def _state() -> Path:
    """Finds the user's folder for state; containers may have no home that can be written.

    Raises:
        PermissionError: Without a home, the folder for it is not this user's alone.
    """
    named = os.environ.get("XDG_STATE_HOME")
    home = Path(named) if named else Path(os.path.expanduser("~")) / ".local" / "state"
    there = home
    while not there.exists() and there.parent != there:
        there = there.parent
    if os.access(there, os.W_OK):
        return home / "runwire"
    return private(Path(tempfile.gettempdir()) / f"runwire-state-{os.getuid()}")


def private(path: Path) -> Path:
    """Makes a folder where everybody may, which others could have made before to read what comes there.

    Args:
        path: The folder.

    Returns:
        The same.

    Raises:
        PermissionError: It is not this user's alone.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(1, "it is not a folder of this user alone", str(path))
    return path
