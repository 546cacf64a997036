"""Moves what a writer can not deliver any more to the spool of a new writer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from runwire._ids import uuid7
from runwire._segments import sync
from runwire._spool import NO_LIMIT, Spool
from runwire._writer import Writer

_MARK: Final = "successor"


def renewed(old: Spool) -> Spool:
    """Makes the spool of a new writer with the frames that the old one did not deliver.

    The old spool names its successor once that is whole on the disk, and only then may it be seen. So a
    crash on the way leaves the old spool, or at the next try the new one, and never both for delivery.

    Args:
        old: The spool, which is gone afterwards.

    Returns:
        The new spool; an empty one if it was delivered already, before the old one could be removed.

    Raises:
        OSError: The disk is full, or failed.
    """
    root, mark = old.folder.parent, old.folder / _MARK
    if not mark.exists():
        _name(mark, _copied(old, root))
    name = mark.read_text(encoding="utf-8")
    hidden, seen = root / f".{name}", root / name
    if hidden.exists():
        hidden.rename(seen)
    # Before the old one goes.
    sync(root)
    address = old.address
    old.remove()
    return Spool.open(seen, NO_LIMIT) if seen.exists() else Spool.create(root, uuid7().hex, address, NO_LIMIT)


def _copied(old: Spool, root: Path) -> str:
    made = Spool.create(root, uuid7().hex, old.address, NO_LIMIT, hidden=True)
    writer = Writer(made.writer_id)
    for stored in old.left():
        made.prepare(len(stored.payload))
        made.append(writer.cut_frame(stored.payload), stored.payload, stored.groups)
    made.notes.note(old.notes.rejections())
    made.sync()
    made.release()
    return made.writer_id


def _name(mark: Path, name: str) -> None:
    temporary = mark.with_suffix(".new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(name)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(mark)
    sync(mark.parent)
