"""Local mode: a folder is the address. Joins the server that owns the folder, or starts one.

The server and its clients meet by files in the folder, which `_folder` names. Who joins holds the start
lock shared, so a server does not leave meanwhile; who finds no server takes it exclusively, so that of
many processes one starts a server and the others find it. The server listens at a socket in the user's
runtime folder, since the path of a socket has to be short and the folder's need not be.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runwire import _folder
from runwire._places import private
from runwire.errors import LocalServerFailed

_IDLE_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.02
# A server that starts has its schema to make; a machine may be busy.
_START_SECONDS: Final = 60.0
_TAIL_BYTES: Final = 2_000
_LOG_BYTES: Final = 1 << 20
# Locks and shared memory do not work, or not for sure, between the machines that share these.
_NETWORK: Final = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|glusterfs|lustre|gpfs|beegfs|pvfs2|orangefs|ncpfs|coda"
    r"|fuse\.(sshfs|glusterfs|ceph.*|s3fs|rclone|gcsfuse|goofys|mount-s3|blobfuse2?|davfs2?|juicefs|nfs.*)"
)
# What of a server's own variables goes to one that is started here. Where it listens and what it serves is
# not theirs to say.
_PASSED: Final = ("GRACE", "LOG_LEVEL", "IDLE_EXIT", "FAILPOINT")


@dataclass(frozen=True, slots=True)
class Server:
    """The server of a folder.

    Attributes:
        address: Where it listens, such as `unix:/run/user/1000/runwire/0123456789abcdef.sock`.
        pid: Its process.
    """

    address: str
    pid: int


def join(folder: Path, timeout: float) -> Server:
    """Finds the server of a folder, and starts one if there is none.

    Args:
        folder: The folder; made if there is none.
        timeout: Seconds that this may take.

    Returns:
        The server.

    Raises:
        LocalServerFailed: There is no server and none could be started; the message has what it said.
    """
    deadline = time.monotonic() + min(timeout, _START_SECONDS)
    folder = Path(os.path.realpath(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_network(folder)
        with _start_lock(folder, fcntl.LOCK_SH, deadline):
            found = _alive(folder)
        if found is not None:
            return found
        with _start_lock(folder, fcntl.LOCK_EX, deadline):
            # Another process may have been faster.
            return _alive(folder) or _start(folder, deadline)
    except OSError as error:
        raise _failed(folder, f"can not be used: {error.strerror or error} ({error.filename})") from error


def _failed(folder: Path, what: str) -> LocalServerFailed:
    return LocalServerFailed(f"{folder} {what}", metadata={"folder": str(folder)})


@contextlib.contextmanager
def _start_lock(folder: Path, kind: int, deadline: float) -> Iterator[None]:
    descriptor = os.open(folder / _folder.START_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _failed(folder, "is being opened by another process, which does not end") from None
                time.sleep(_POLL_SECONDS)
        # Tells a server that wants to leave that somebody is about to call.
        os.utime(descriptor)
        yield
    finally:
        # Not by closing alone: a child forked meanwhile has the same lock open.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _pointer(folder: Path) -> Server | None:
    """Reads what the folder says of its server."""
    try:
        said = json.loads((folder / _folder.POINTER).read_text(encoding="utf-8"))
        return Server(str(said["address"]), int(said["pid"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _alive(folder: Path) -> Server | None:
    """Returns the folder's server, if it has one that can be connected to.

    Raises:
        LocalServerFailed: It has one that this process can not talk to.
    """
    pointer = _pointer(folder)
    # A dead server's pointer stays, and somebody else may listen at its port now.
    if pointer is None or not _owned(folder):
        return None
    if pointer.address.startswith("runwires://"):
        raise _failed(
            folder,
            f"is served with TLS by process {pointer.pid}: use the address {pointer.address} with its "
            "certificate (RUNWIRE_TRACKING_URI, RUNWIRE_TLS_CA)",
        )
    try:
        _connect(pointer.address)
    except PermissionError as error:
        raise _failed(
            folder, f"is served by process {pointer.pid} of another user, whose socket is closed to you"
        ) from error
    except OSError:
        return None
    return pointer


def _owned(folder: Path) -> bool:
    """Says whether a server holds the folder's lock."""
    try:
        descriptor = os.open(folder / _folder.OWNER_LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return False
    finally:
        os.close(descriptor)


def _connect(address: str) -> None:
    """Connects once; raises OSError if nobody is there."""
    if address.startswith("unix:"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            probe.connect(address.removeprefix("unix:"))
        return
    host, _, port = address.removeprefix("runwire://").rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=1.0):
        pass


def _start(folder: Path, deadline: float) -> Server:
    """Starts a server, and waits until it, or another that was started by hand, answers."""
    log = folder / _folder.LOG
    # Append, since the story of the last server may be asked for; but not for ever.
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.unlink()
    while True:
        with log.open("ab") as output:
            began = output.tell()
            life = _spawn(folder, output.fileno())
        try:
            found = _wait(folder, life, deadline)
        finally:
            os.close(life)
        if found is not None:
            return found
        tail = _tail(log, began)
        if not _owned(folder):
            raise _failed(folder, f"got no server: {tail or 'it ended without a word'} (log: {log})")
        if time.monotonic() > deadline:
            raise _failed(folder, f"has a server that does not say where it listens: {tail} (log: {log})")


def _wait(folder: Path, life: int, deadline: float) -> Server | None:
    """Waits for a server to answer; None if the one that was started has ended.

    Args:
        folder: The folder.
        life: Reads nothing as long as the started server lives, and its end then.
        deadline: When to give up, seconds of the monotonic clock.
    """
    while time.monotonic() < deadline:
        found = _alive(folder)
        if found is not None:
            return found
        if select.select([life], [], [], _POLL_SECONDS)[0]:
            return None
    raise _failed(folder, f"got no server in time (log: {folder / _folder.LOG})")


def _spawn(folder: Path, output: int) -> int:
    """Starts a server that outlives this process, and returns a descriptor that ends with it."""
    if not sys.executable:
        raise _failed(folder, "got no server: this interpreter does not know its own path")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RUNWIRE_SERVER_") or name.removeprefix("RUNWIRE_SERVER_") in _PASSED
    }
    environment.setdefault("RUNWIRE_SERVER_IDLE_EXIT", str(_IDLE_SECONDS))
    environment.setdefault("RUNWIRE_SERVER_LOG_LEVEL", "warning")
    # -P: a file of the user's in the current folder must not pass for a package of the server's.
    command = [sys.executable, "-P", "-m", "runwire._server_entry", "--data-dir", str(folder)]
    command += ["--unix-socket", str(socket_path(folder))]
    life, held = os.pipe()
    try:
        # It forks and ends at once, so that the server is nobody's child: not a program's that waits for
        # all of its own.
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=folder,
            close_fds=True,
            pass_fds=(held,),
            start_new_session=True,
            check=False,
        )
        if done.returncode != 0:
            raise _failed(folder, f"got no server: {sys.executable} ended with {done.returncode}")
    except BaseException:
        os.close(life)
        raise
    finally:
        os.close(held)
    return life


def socket_path(folder: Path) -> Path:
    """Names the socket of a folder's server.

    Args:
        folder: The folder, its real path.

    Returns:
        A path that is short enough for a socket, in a folder that is this user's alone.

    Raises:
        LocalServerFailed: There is no such folder, and none can be made.
    """
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16] + ".sock"
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    wanted = Path(given) / "runwire" / name
    if given.startswith("/") and len(os.fsencode(wanted)) <= _folder.MAX_SOCKET_PATH:
        with contextlib.suppress(OSError):
            return private(wanted.parent) / name
    fallback = Path("/tmp") / f"runwire-{os.getuid()}"
    try:
        return private(fallback) / name
    except OSError as error:
        raise _failed(folder, f"got no server: {fallback} can not be used: {error.strerror}") from error


def _tail(log: Path, began: int) -> str:
    """Returns the end of what was logged since, on one line."""
    with log.open("rb") as file:
        file.seek(max(began, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").split("\n")
    return " | ".join(line.strip() for line in lines if line.strip())


def _refuse_network(folder: Path) -> None:
    """Raises LocalServerFailed if a folder lies on a file system that machines share."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return  # Not Linux.
    kind = file_system(folder, mounts)
    if _NETWORK.fullmatch(kind):
        raise _failed(
            folder,
            f"lies on a network file system ({kind}), where no database is safe: use a folder on a local "
            "disk, or name a server with RUNWIRE_TRACKING_URI",
        )


def file_system(folder: Path, mounts: str) -> str:
    """Finds the kind of file system that a folder lies on.

    Args:
        folder: The folder, its real path.
        mounts: The lines of /proc/self/mountinfo.

    Returns:
        Its kind, such as `ext4` or `nfs4`; empty if it is not told.
    """
    best, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        words = before.split(" ")
        if len(words) < 5 or not after:
            continue
        # Blanks and the like are written as octal numbers.
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), words[4])
        inside = point == "/" or folder == Path(point) or Path(point) in folder.parents
        # A later mount at the same place covers the earlier one.
        if inside and len(point) >= best:
            best, kind = len(point), after.split(" ")[0]
    return kind
