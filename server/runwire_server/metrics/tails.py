"""What is known of the newest points of watched runs: how far they go, and the last few of them."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator

import numpy as np

from runwire_server.domain import watch_messages
from runwire_server.domain.blocks import Placed
from runwire_server.storage.base import Appended

# A watcher that has more than this before it is told to resync.
BEHIND_BYTES = 16 * 1024 * 1024
# The newest points of all watched runs together that are kept, for watchers that keep up.
RECENT_BYTES = 32 * 1024 * 1024
# How exactly it is known where a run's last BEHIND_BYTES begin.
_MARK_BYTES = 64 * 1024
# A row of one key: what rows count for until one was seen.
_ROW_BYTES = 24.0
# How many of the newest commits are looked through for a watcher; it holds up all others meanwhile.
_LOOKS = 1_000


class Tail:
    """The end of one watched run.

    Attributes:
        run_id: The run.
        row: Its row key, once it was looked up.
        end: The log position behind all that is known to be committed.
        floor: More than BEHIND_BYTES have come behind this position since the run is watched.
        gone: Whether it was purged.
        wakers: Set when there is news.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.row: int | None = None
        self.end = 0
        self.floor = 0
        self.gone = False
        self.wakers: set[asyncio.Event] = set()
        self._recent: deque[Appended] = deque()
        self._row_bytes = _ROW_BYTES
        self._arrived = 0.0
        # (position, bytes that had arrived below it), some way apart.
        self._marks: deque[tuple[int, float]] = deque()

    def wake(self) -> None:
        """Wakes those who watch."""
        for waker in self.wakers:
            waker.set()

    def add(self, appended: Appended, size: int) -> bool:
        """Takes points that were just committed; returns whether it keeps them."""
        end, kept = appended.end, True
        if self._recent and appended.first != self._recent[-1].end:
            # Another server has written in between, or this is told late: the database knows.
            kept = appended.first > self._recent[-1].end
            if kept:
                self._recent.clear()
        if kept:
            self._recent.append(appended)
        self._count(end, size)
        self.wake()
        return kept

    def advance(self, end: int) -> None:
        """Takes note of points that another server has committed."""
        if end > self.end:
            self._count(end, (end - self.end) * self._row_bytes)
            self.wake()

    def drop(self, appended: Appended) -> None:
        """Lets go of points, if they are still kept."""
        if self._recent and self._recent[0] is appended:
            self._recent.popleft()

    def learn(self, placed: Placed) -> None:
        """Takes note of how large rows are, for those that are known by number only."""
        self._row_bytes = watch_messages.weight(placed.points) / placed.points.rows

    def since(self, position: int) -> tuple[list[Placed], int] | None:
        """Returns the next points from a position on, and the position behind them.

        None if they are not kept, or so many have come since that it is quicker to read the database.
        """
        wanted: list[Appended] = []
        for appended in itertools.islice(reversed(self._recent), _LOOKS):
            if appended.end <= position:
                break
            wanted.append(appended)
        if not wanted or wanted[-1].first > position:
            return None
        wanted.reverse()
        return list(_placed(wanted, position)), wanted[-1].end

    def _count(self, end: int, size: float) -> None:
        if end <= self.end:
            return
        self.end = end
        self._arrived += size
        if not self._marks or self._arrived - self._marks[-1][1] >= _MARK_BYTES:
            self._marks.append((end, self._arrived))
        while self._arrived - self._marks[0][1] > BEHIND_BYTES:
            self.floor = self._marks.popleft()[0]


def _placed(wanted: list[Appended], position: int) -> Iterator[Placed]:
    for appended in wanted:
        first = appended.first
        for points in appended.blocks:
            end = first + points.rows
            if end > position:
                placed = Placed(points, np.arange(first, end, dtype=np.int64))
                yield watch_messages.cut(placed, position, end)
            first = end


class Recents:
    """The kept points of all tails, of which the oldest are let go when they are too many."""

    def __init__(self) -> None:
        self._kept: deque[tuple[Tail, Appended, int]] = deque()
        self._bytes = 0

    def add(self, tail: Tail, appended: Appended) -> None:
        """Hands points to their tail."""
        size = sum(watch_messages.weight(points) for points in appended.blocks)
        if tail.add(appended, size):
            self._kept.append((tail, appended, size))
            self._bytes += size
            while self._bytes > RECENT_BYTES:
                oldest, dropped, freed = self._kept.popleft()
                oldest.drop(dropped)
                self._bytes -= freed

    def clear(self) -> None:
        """Lets go of all; for when nobody watches any more."""
        self._kept.clear()
        self._bytes = 0
