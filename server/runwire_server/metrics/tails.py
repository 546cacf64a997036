"""What is known of the newest points of watched runs: how far they go, and the last few of them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

import numpy as np

from runwire_server.domain import watch_messages
from runwire_server.domain.blocks import Placed
from runwire_server.storage.appended import Appended

# A watcher that has more than this before it is told to resync.
BEHIND_BYTES = 16 * 1024 * 1024
# The newest points of all watched runs together that are kept, for watchers that keep up.
RECENT_BYTES = 32 * 1024 * 1024
# How exactly it is known where a run's last BEHIND_BYTES begin.
_MARK_BYTES = 64 * 1024
# A row of one key: what rows count for until one was seen.
_ROW_BYTES = 24.0
# How many of the newest commits are looked through for a watcher, and about how many bytes of them it
# takes at a time; it holds up all others meanwhile.
_LOOKS = 1_000
_TAKEN_BYTES = 2 * 1024 * 1024
# After news, more of it is told of only so much later: what has come by then is one message, which all
# watchers who keep up have at once and share.
PAUSE_SECONDS = 0.04
# Messages that are kept to be shared.
_SHARED_BYTES = 16 * 1024 * 1024

# What follows a position, for some keys: the blocks of a message, and the position behind them.
Part = tuple[bytes, int]


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
        self._told = 0.0
        self._telling: asyncio.TimerHandle | None = None
        self._recent: deque[Appended] = deque()
        self._row_bytes = _ROW_BYTES
        self._arrived = 0.0
        # (position, bytes that had arrived below it), some way apart.
        self._marks: deque[tuple[int, float]] = deque()

    def wake(self) -> None:
        """Wakes those who watch, at once."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        self._told = time.monotonic()
        for waker in self.wakers:
            waker.set()

    def leave(self, waker: asyncio.Event) -> bool:
        """Takes one of those who watch away; returns whether nobody is left."""
        self.wakers.discard(waker)
        if not self.wakers and self._telling is not None:
            self._telling.cancel()
            self._telling = None
        return not self.wakers

    def _tell(self) -> None:
        """Wakes those who watch, or will do so soon."""
        if self.wakers and self._telling is None:
            pause = self._told + PAUSE_SECONDS - time.monotonic()
            if pause <= 0:
                self.wake()
            else:
                self._telling = asyncio.get_running_loop().call_later(pause, self.wake)

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
        self._tell()
        return kept

    def advance(self, end: int) -> None:
        """Takes note of points that another server has committed."""
        if end > self.end:
            self._count(end, (end - self.end) * self._row_bytes)
            self._tell()

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
        taken, total = [], 0
        while wanted and total < _TAKEN_BYTES:
            taken.append(wanted.pop())
            total += _size(taken[-1])
        return list(_placed(taken, position)), taken[-1].end

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
    """The kept points of all tails, of which the oldest are let go when they are too many.

    So it is with what was made of them for a watcher, and may serve others.
    """

    def __init__(self) -> None:
        self._kept: deque[tuple[Tail, Appended, int]] = deque()
        self._bytes = 0
        self._shared: OrderedDict[tuple[Tail, int, frozenset[str]], tuple[list[Part], int]] = OrderedDict()
        self._shared_bytes = 0

    def add(self, tail: Tail, appended: Appended) -> None:
        """Hands points to their tail."""
        size = _size(appended)
        if tail.add(appended, size):
            self._kept.append((tail, appended, size))
            self._bytes += size
            while self._bytes > RECENT_BYTES:
                oldest, dropped, freed = self._kept.popleft()
                oldest.drop(dropped)
                self._bytes -= freed

    def parts(self, tail: Tail, position: int, keys: frozenset[str]) -> tuple[list[Part], int] | None:
        """Returns what follows a position in messages, and the position behind; None if it is not kept."""
        known = self._shared.get((tail, position, keys))
        if known is None:
            found = tail.since(position)
            if found is None:
                return None
            blocks, end = found
            known = parts(tail.run_id, blocks, end, keys), end
            self._share((tail, position, keys), known)
        return known

    def _share(self, name: tuple[Tail, int, frozenset[str]], made: tuple[list[Part], int]) -> None:
        self._shared[name] = made
        self._shared_bytes += sum(len(data) for data, _ in made[0])
        while self._shared_bytes > _SHARED_BYTES or len(self._shared) > _LOOKS:
            _, (dropped, _) = self._shared.popitem(last=False)
            self._shared_bytes -= sum(len(data) for data, _ in dropped)

    def clear(self) -> None:
        """Lets go of all; for when nobody watches any more."""
        self._kept.clear()
        self._shared.clear()
        self._bytes = self._shared_bytes = 0


def parts(run_id: str, blocks: Iterable[Placed], end: int, keys: frozenset[str]) -> list[Part]:
    """Makes messages of the points of some keys.

    Args:
        run_id: Their run.
        blocks: The points.
        end: The log position behind them.
        keys: The keys; none for all.
    """
    wanted = (Placed(watch_messages.chosen(block.points, keys), block.positions) for block in blocks)
    windows = watch_messages.windows([block for block in wanted if block.points.size], end)
    return [(watch_messages.encoded(run_id, points), until) for points, until in windows]


def _size(appended: Appended) -> int:
    return sum(watch_messages.weight(points) for points in appended.blocks)
