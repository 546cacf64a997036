"""What lies beside the frames of a spool: how far it is delivered, rejections, why its writer is over."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runwire._segments import REJECTION, entries, entry, write_whole
from runwire._writer import Mark
from runwire.v1 import frame_pb2

# All that may be in a spool's folder beside its segments, the lock last.
NAMES: Final = ("rejections", "aside", "successor", "successor.new", "acked", "lock")

_MARK: Final = struct.Struct("<QII")


class Notes:
    """The notes in the folder of a spool."""

    def __init__(self, folder: Path) -> None:
        """Reads and writes notes in a folder."""
        self._folder = folder
        self._mark_file = -1

    def acked(self) -> Mark | None:
        """Returns what `acknowledge` noted last; None if that is not there, or not whole."""
        with contextlib.suppress(FileNotFoundError):
            data = (self._folder / "acked").read_bytes()
            if len(data) == _MARK.size and zlib.crc32(data[:12]) == _MARK.unpack(data)[2]:
                sequence, crc, _ = _MARK.unpack(data)
                return Mark(sequence, crc)
        return None

    def acknowledge(self, mark: Mark) -> None:
        """Notes how far the frames are on the server's disk.

        Args:
            mark: The last one that is.

        Raises:
            OSError: The disk is full, or failed.
        """
        if self._mark_file < 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._mark_file = os.open(self._folder / "acked", flags, 0o600)
        os.pwrite(self._mark_file, _MARK.pack(*mark, zlib.crc32(_MARK.pack(*mark, 0)[:12])), 0)

    def close(self) -> None:
        """Closes the file that it keeps open."""
        if self._mark_file >= 0:
            os.close(self._mark_file)
            self._mark_file = -1

    @property
    def kept(self) -> bool:
        """Whether there are rejections that nobody was told of."""
        return (self._folder / "rejections").exists()

    def note(self, rejections: Sequence[frame_pb2.Rejection]) -> None:
        """Keeps rejections, synced, until a person was told of them.

        Args:
            rejections: The rejections.

        Raises:
            OSError: The disk is full, or failed.
        """
        if not rejections:
            return
        data = b"".join(entry(REJECTION, one.SerializeToString()) for one in rejections)
        descriptor = os.open(self._folder / "rejections", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            write_whole(descriptor, data, os.fstat(descriptor).st_size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rejections(self) -> list[frame_pb2.Rejection]:
        """Returns the rejections that are noted."""
        path = self._folder / "rejections"
        if not path.exists():
            return []
        with path.open("rb") as file:
            found = list(entries(file, 0, path.stat().st_size))
        return [frame_pb2.Rejection.FromString(one.body) for one in found if one.kind == REJECTION]

    def told(self) -> None:
        """Forgets the rejections, of which a person was told."""
        (self._folder / "rejections").unlink(missing_ok=True)

    def set_aside(self, reason: str, message: str, delivered: int) -> None:
        """Notes that the frames can not go on as this writer.

        Args:
            reason: Name of the `ErrorReason`.
            message: A sentence for a person.
            delivered: The last sequence that the server has, as far as is known.
        """
        text = json.dumps({"reason": reason, "message": message, "delivered": delivered})
        (self._folder / "aside").write_text(text, encoding="utf-8")

    def aside(self) -> dict[str, object] | None:
        """Returns what `set_aside` noted, or None."""
        path = self._folder / "aside"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None
