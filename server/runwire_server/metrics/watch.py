"""Live watches: whoever watches a run is woken after a commit, and reads what is new.

Ingest only sets events here. A watcher that keeps up is served from the newest points, which are kept
in memory; any other one reads the database page by page, and holds no snapshot while it sends.
Other servers of the same database tell nothing, so the ends of watched runs are also asked for now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence

import structlog

from runwire.v1 import metric_pb2
from runwire_server.domain import watch_cursors
from runwire_server.domain.blocks import NUMBER
from runwire_server.domain.watch_messages import Encoded, message
from runwire_server.errors import RunwireError, run_not_found
from runwire_server.metrics.tails import BEHIND_BYTES, Part, Recents, Tail, parts
from runwire_server.storage.appended import Appended
from runwire_server.storage.base import PointStore

# What all watchers together are sent at most in a second: many watchers of a busy run fall behind, and are
# told so, rather than take the time that ingest needs.
RATE_BYTES = 128 * 1024 * 1024
# Watchers that read the database at a time: its connections are there for others too.
READERS = 2

log = structlog.get_logger("runwire.watch")


class Watches:
    """All watches of a server."""

    def __init__(self, points: PointStore, poll_seconds: float) -> None:
        """Makes it.

        Args:
            points: Where points are read.
            poll_seconds: How often to ask for the ends of watched runs.
        """
        self._points = points
        self._poll_seconds = poll_seconds
        self._tails: dict[str, Tail] = {}
        self._recents = Recents()
        self._watched = asyncio.Event()
        self._stopped: RunwireError | None = None
        self._free_at = 0.0
        self._reading = asyncio.Semaphore(READERS)
        self.watchers = 0

    def notify(self, appended: Iterable[Appended]) -> None:
        """Wakes those who watch runs to which a commit has added points.

        What is not told in the order of commits is read from the database instead.
        """
        if not self._tails:
            return
        for one in appended:
            tail = self._tails.get(one.run_id)
            if tail is not None and one.blocks:
                self._recents.add(tail, one)

    def stop(self, error: RunwireError) -> None:
        """Ends all watches with an error; one that is stuck in sending ends when it is cancelled."""
        self._stopped = error
        for tail in self._tails.values():
            tail.wake()

    async def poll(self) -> None:
        """Asks for the ends of watched runs now and then, until cancelled."""
        while True:
            await self._watched.wait()
            await asyncio.sleep(self._poll_seconds)
            tails = {tail.row: tail for tail in self._tails.values() if tail.row is not None}
            try:
                ends = await self._points.ends(list(tails)) if tails else {}
            except RunwireError as error:
                # Watchers that read find out by themselves; the others lose nothing by waiting.
                log.warning("watched runs can not be asked for", reason=error.reason)
                continue
            except Exception:
                # A bug here must not end all watches for good.
                log.exception("watched runs can not be asked for")
                continue
            for row, tail in tails.items():
                if row in ends:
                    tail.advance(ends[row])
                else:
                    tail.gone = True
                    tail.wake()

    async def watch(self, request: metric_pb2.WatchMetricsRequest) -> AsyncGenerator[Encoded, None]:
        """Yields WatchMetricsResponse messages until the caller has enough.

        Raises:
            NotFound: RUN_NOT_FOUND.
            InvalidArgument: INVALID_CURSOR.
            Unavailable: STORAGE_UNAVAILABLE.
            RunwireError: what `stop` was given.
        """
        with self._tails_of(request.run_ids) as (tails, news):
            watcher = _Watcher(self._points, self._reading, self._recents, tails, request)
            yield await watcher.open()
            while True:
                # Cleared before the look, so that what comes during the look is not slept over.
                news.clear()
                async for found in watcher.news():
                    await self._turn(len(found.data))
                    yield found
                    if self._stopped:
                        break
                if self._stopped:
                    raise self._stopped
                await news.wait()

    async def _turn(self, size: int) -> None:
        """Waits until a message may be sent."""
        now = time.monotonic()
        begin = max(now, self._free_at)
        self._free_at = begin + size / RATE_BYTES
        if begin > now:
            await asyncio.sleep(begin - now)

    @contextlib.contextmanager
    def _tails_of(self, run_ids: Iterable[str]) -> Iterator[tuple[list[Tail], asyncio.Event]]:
        news = asyncio.Event()
        tails = [self._tails.setdefault(run_id, Tail(run_id)) for run_id in run_ids]
        for tail in tails:
            tail.wakers.add(news)
        self.watchers += 1
        self._watched.set()
        try:
            yield tails, news
        finally:
            self.watchers -= 1
            for tail in tails:
                if tail.leave(news):
                    self._tails.pop(tail.run_id, None)
            if not self._tails:
                self._watched.clear()
                self._recents.clear()


class _Watcher:
    """One call: which runs it watches, and how far each was shown."""

    def __init__(
        self,
        points: PointStore,
        reading: asyncio.Semaphore,
        recents: Recents,
        tails: list[Tail],
        request: metric_pb2.WatchMetricsRequest,
    ) -> None:
        self._points = points
        self._reading = reading
        self._recents = recents
        self._tails = tails
        self._request = request
        self._keys = frozenset(request.keys)
        self._positions: dict[str, int] = {}
        # Where each run ended when this began, or when it last fell behind: what lies before is no delay.
        self._opened: dict[str, int] = {}

    async def open(self) -> Encoded:
        """Finds the runs and the place to begin; returns the first message."""
        request = self._request
        given = watch_cursors.decode(request.cursor, request.run_ids) if request.cursor else {}
        rows = await self._points.find(request.run_ids)
        ends = await self._points.ends(rows)
        resync = []
        for tail, row in zip(self._tails, rows, strict=True):
            if row not in ends:
                raise run_not_found(tail.run_id)
            tail.row, end = row, ends[row]
            tail.advance(end)
            position = given.get(tail.run_id, 0 if request.from_start else end)
            if position > end:
                # The database is older than the cursor: it was restored.
                resync.append(tail.run_id)
            self._positions[tail.run_id] = min(position, end)
            self._opened[tail.run_id] = end
        return self._message(b"", resync)

    async def news(self) -> AsyncIterator[Encoded]:
        """Yields what is new by now, run by run in turns."""
        ends = [(tail, tail.end) for tail in self._tails]
        while ends:
            for tail, _ in ends:
                if tail.gone:
                    raise run_not_found(tail.run_id)
                if self._positions[tail.run_id] < tail.end:
                    async for found in self._next(tail):
                        yield found
            ends = [(tail, end) for tail, end in ends if self._positions[tail.run_id] < end]

    async def _next(self, tail: Tail) -> AsyncIterator[Encoded]:
        """Yields the next page of a run, as messages."""
        run_id = tail.run_id
        if self._fell_behind(tail):
            self._positions[run_id] = self._opened[run_id] = tail.end
            yield self._message(b"", [run_id])
            return
        position = self._positions[run_id]
        found, end = self._recents.parts(tail, position, self._keys) or await self._page(tail)
        for blocks, until in found:
            self._positions[run_id] = until
            yield self._message(blocks)
        self._positions[run_id] = end

    async def _page(self, tail: Tail) -> tuple[list[Part], int]:
        """Reads what follows from the database."""
        assert tail.row is not None
        position = self._positions[tail.run_id]
        async with self._reading:
            async for page in self._points.pages(tail.row, position, tail.end, self._keys):
                if page.blocks and not self._keys:
                    tail.learn(page.blocks[-1])
                made = await asyncio.to_thread(parts, tail.run_id, page.blocks, page.end, self._keys)
                return made, page.end
        raise run_not_found(tail.run_id)

    def _fell_behind(self, tail: Tail) -> bool:
        position = max(self._positions[tail.run_id], self._opened[tail.run_id])
        if tail.floor <= position:
            return False
        # A few keys of a wide run are a small part of what has come.
        row = NUMBER * (len(self._keys) + 2)
        return not self._keys or (tail.end - position) * row > BEHIND_BYTES

    def _message(self, blocks: bytes, resync: Sequence[str] = ()) -> Encoded:
        return message(blocks, watch_cursors.encode(self._positions), resync)
