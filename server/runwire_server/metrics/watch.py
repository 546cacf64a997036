"""Live watches: whoever watches a run is woken after a commit, and reads what is new.

Ingest only sets events here. A watcher that keeps up is served from the newest points, which are kept
in memory; any other one reads the database page by page, and holds no snapshot while it sends.
Other servers of the same database tell nothing, so the ends of watched runs are also asked for now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from typing import Any

import structlog

from runwire.v1 import metric_pb2
from runwire_server.domain import watch_cursors
from runwire_server.domain.blocks import NUMBER, Placed
from runwire_server.domain.watch_messages import chosen, message, windows
from runwire_server.errors import RunwireError, run_not_found
from runwire_server.metrics.tails import BEHIND_BYTES, Recents, Tail
from runwire_server.storage.base import Appended, PointStore

# A watcher rests so long after it has sent what was new: what comes meanwhile is one message, and
# many watchers of a busy run leave ingest its time.
PAUSE_SECONDS = 0.04

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

    async def watch(self, request: metric_pb2.WatchMetricsRequest) -> AsyncGenerator[Any, None]:
        """Yields WatchMetricsResponse messages, of the packed kind, until the caller has enough.

        Raises:
            NotFound: RUN_NOT_FOUND.
            InvalidArgument: INVALID_CURSOR.
            Unavailable: STORAGE_UNAVAILABLE.
            RunwireError: what `stop` was given.
        """
        with self._tails_of(request.run_ids) as (tails, news):
            watcher = _Watcher(self._points, tails, request)
            yield await watcher.open()
            while True:
                # Cleared before the look, so that what comes during the look is not slept over.
                news.clear()
                sent = False
                async for found in watcher.news():
                    sent = True
                    yield found
                    if self._stopped:
                        break
                if self._stopped:
                    raise self._stopped
                if sent:
                    await asyncio.sleep(PAUSE_SECONDS)
                await news.wait()

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
                tail.wakers.discard(news)
                if not tail.wakers:
                    self._tails.pop(tail.run_id, None)
            if not self._tails:
                self._watched.clear()
                self._recents.clear()


class _Watcher:
    """One call: which runs it watches, and how far each was shown."""

    def __init__(
        self, points: PointStore, tails: list[Tail], request: metric_pb2.WatchMetricsRequest
    ) -> None:
        self._points = points
        self._tails = tails
        self._request = request
        self._keys = frozenset(request.keys)
        self._positions: dict[str, int] = {}
        # Where each run ended when this began, or when it last fell behind: what lies before is no delay.
        self._opened: dict[str, int] = {}

    async def open(self) -> Any:
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
        return self._message("", (), resync)

    async def news(self) -> AsyncIterator[Any]:
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

    async def _next(self, tail: Tail) -> AsyncIterator[Any]:
        """Yields the next page of a run, as messages."""
        run_id = tail.run_id
        if self._fell_behind(tail):
            self._positions[run_id] = self._opened[run_id] = tail.end
            yield self._message(run_id, (), [run_id])
            return
        blocks, end = tail.since(self._positions[run_id]) or await self._page(tail)
        wanted = [Placed(chosen(block.points, self._keys), block.positions) for block in blocks]
        for points, until in windows([block for block in wanted if block.points.size], end):
            self._positions[run_id] = until
            yield self._message(run_id, points)
        self._positions[run_id] = end

    async def _page(self, tail: Tail) -> tuple[tuple[Placed, ...], int]:
        assert tail.row is not None
        pages = self._points.pages(tail.row, self._positions[tail.run_id], tail.end, self._keys)
        async for page in pages:
            if page.blocks and not self._keys:
                tail.learn(page.blocks[-1])
            return page.blocks, page.end
        raise run_not_found(tail.run_id)

    def _fell_behind(self, tail: Tail) -> bool:
        position = max(self._positions[tail.run_id], self._opened[tail.run_id])
        if tail.floor <= position:
            return False
        # A few keys of a wide run are a small part of what has come.
        row = NUMBER * (len(self._keys) + 2)
        return not self._keys or (tail.end - position) * row > BEHIND_BYTES

    def _message(self, run_id: str, points: Any, resync: Iterable[str] = ()) -> Any:
        return message(run_id, points, watch_cursors.encode(self._positions), list(resync))
