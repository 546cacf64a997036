"""Frames on which the server itself fails: tried some times, then rejected, so that none stops its writer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from runwire_server.domain import frames
from runwire_server.domain.frames import Contents
from runwire_server.storage.writer_base import Care

# What fails may do so for a reason that passes: the frame is refused to its stream so many times before.
TRIES = 3
# Writers that are remembered.
MOST_WRITERS = 10_000


class Suspects:
    """How often the next frames of writers have failed in a way that nobody expected."""

    def __init__(self) -> None:
        # By writer, the one that failed last at the end: its frame's sequence, and how often.
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def failed(self, writer_id: str, sequence: int) -> None:
        """Notes that a frame has failed though it was stored apart."""
        self._failures[writer_id] = (sequence, self._count(writer_id, sequence) + 1)
        self._failures.move_to_end(writer_id)
        if len(self._failures) > MOST_WRITERS:
            self._failures.popitem(last=False)

    def passed(self, writer_id: str) -> None:
        """Notes that frames of a writer were stored."""
        self._failures.pop(writer_id, None)

    def care(self, writer_id: str, sequence: int) -> Care:
        """Returns what is to be done about errors when a frame is stored apart."""
        return Care.RECORDS if self._count(writer_id, sequence) < TRIES else Care.ANYTHING

    def read(self, writer_id: str, sequence: int, read: Callable[[], Contents]) -> Contents:
        """Reads a frame that is stored apart; one that can not be stored in any way becomes a rejection.

        Args:
            writer_id: The writer.
            sequence: The frame's.
            read: Reads it, and raises if that is where it fails.
        """
        tries = self._count(writer_id, sequence)
        try:
            contents = read()
        except Exception:
            if tries < TRIES:
                raise
            contents = Contents(sequence)
            contents.reject("", frames.failure(), 0)
        if tries > TRIES:
            # Not even its sound records could be stored by themselves.
            for change in contents.changes:
                contents.reject(change.run_id, frames.failure(), change.points)
            contents.changes = []
        return contents

    def _count(self, writer_id: str, sequence: int) -> int:
        known, count = self._failures.get(writer_id, (0, 0))
        return count if known == sequence else 0
