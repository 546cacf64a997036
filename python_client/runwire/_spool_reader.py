"""Gives the frames of a spool to who sends them: from memory where it keeps up, else from the files."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from runwire._segments import Cursor, Segment, Stored

# Frames that are not sent yet stay in memory up to this; beyond it they are read back.
_TAIL_BYTES: Final = 8 * 1024 * 1024


class Reader:
    """Reads frames in their order, with jumps where a stream starts anew."""

    def __init__(self, wanted: int) -> None:
        """Makes a reader.

        Args:
            wanted: The frame that is asked for first.
        """
        self._wanted = wanted
        self._tail: deque[Stored] = deque()
        self._bytes = 0
        self._cursor: Cursor | None = None

    def offer(self, frame: Stored) -> None:
        """Takes a frame that was just written, if it follows on what waits here and there is room."""
        expected = self._tail[-1].sequence + 1 if self._tail else self._wanted
        if frame.sequence == expected and self._bytes + len(frame.payload) <= _TAIL_BYTES:
            self._tail.append(frame)
            self._bytes += len(frame.payload)

    def take(self, sequence: int, segments: Sequence[Segment]) -> Stored | None:
        """Returns a frame.

        Args:
            sequence: The frame.
            segments: Where to read it if it is not in memory.

        Returns:
            It; None if there is no such frame.

        Raises:
            OSError: It can not be read.
        """
        while self._tail and self._tail[0].sequence < sequence:
            self._bytes -= len(self._tail.popleft().payload)
        found: Stored | None
        if self._tail and self._tail[0].sequence == sequence:
            found = self._tail.popleft()
            self._bytes -= len(found.payload)
        else:
            found = self._read(sequence, segments)
        self._wanted = sequence + (1 if found else 0)
        return found

    def _read(self, sequence: int, segments: Sequence[Segment]) -> Stored | None:
        segment = next((one for one in segments if one.before.sequence < sequence <= one.last), None)
        if segment is None:
            return None
        cursor = self._cursor
        if cursor is None or cursor.segment is not segment or cursor.next > sequence:
            self.close()
            cursor = self._cursor = Cursor(segment)
        return cursor.read(sequence)

    def drop(self, segment: Segment) -> None:
        """Forgets a segment that is deleted."""
        if self._cursor is not None and self._cursor.segment is segment:
            self.close()

    def close(self) -> None:
        """Closes the file that it reads."""
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None
