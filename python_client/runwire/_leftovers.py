"""Finds what dead processes left undelivered, and offers it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from runwire._rules import ID
from runwire._spool import NO_LIMIT, Spool
from runwire._spool_lock import Held, lock

# Larger ones are taken for undelivered without reading them.
_MOST_READ: Final = 64 * 1024 * 1024


def spools(folder: Path) -> list[Path]:
    """Finds spools, the oldest first, so that runs begin before others log to them.

    Args:
        folder: A spool, or a folder of spools.

    Returns:
        The spools, which are named by their writers. Other folders beside them are not looked into.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if ID.fullmatch(folder.name) or any(folder.glob("*.segment")):
        return [folder]
    return sorted(one for one in folder.iterdir() if ID.fullmatch(one.name) and one.is_dir())


def offer(root: Path) -> str:
    """Looks for spools that nobody writes, and removes those that hold nothing.

    Args:
        root: The folder of spools.

    Returns:
        What to tell the user; empty if there is nothing.
    """
    left = sum(map(_left, spools(root)))
    if not left:
        return ""
    what = "1 spool holds" if left == 1 else f"{left} spools hold"
    return f"{what} what earlier processes did not deliver; `runwire sync {root}` delivers it"


def _left(folder: Path) -> bool:
    try:
        size = sum(path.stat().st_size for path in folder.glob("*.segment"))
        if size > _MOST_READ:
            return not _is_held(folder)
        spool = Spool.open(folder, NO_LIMIT)
    except (Held, OSError):
        # In use, or just removed by its owner.
        return False
    left = bool(spool.undelivered or spool.notes.kept)
    spool.close()
    return left


def _is_held(folder: Path) -> bool:
    try:
        os.close(lock(folder))
    except Held:
        return True
    return False
