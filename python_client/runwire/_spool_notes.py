"""What lies beside the frames of a spool: rejections to tell of, and why its writer is over."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from runwire._segments import REJECTION, entries, entry, write_whole
from runwire.v1 import frame_pb2


class Notes:
    """The notes in the folder of a spool."""

    def __init__(self, folder: Path) -> None:
        """Reads and writes notes in a folder."""
        self._folder = folder

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
