"""Storing summaries: lazily, in small transactions, and at once where a search needs them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection

import structlog

from runwire_server.errors import RunwireError
from runwire_server.metrics.series import RunSeries
from runwire_server.metrics.summaries import MAX_UNSTORED, Summaries
from runwire_server.storage.summary_base import SeriesRows, SummaryStore

# Rows in a transaction: some 20 ms, during which others wait.
ROWS_ALONE, ROWS_SHARED = 2_000, 500
# After t seconds of flushing it waits for so many times t: a tenth of the one writer's time at most. Where
# other servers wait for what is stored, only the writers of the same runs are held up, so it may have half.
SHARE_ALONE, SHARE_SHARED = 9, 1
# What a transaction costs beyond its statements.
COMMIT_SECONDS = 0.001
# How long points may come in before they are stored. Other servers see what is stored only; without
# any, reads have what is in memory, and each row that is stored less often is time won.
DELAY_SHARED, DELAY_ALONE = 0.5, 2.0
# With so many rows to store and no ingest in the way, it does not wait for more.
MANY_ROWS = 10_000
LOOK_SECONDS = 0.05
RETRY_SECONDS = 1.0
# Above that many series in memory (300 bytes each), stored runs are dropped.
MAX_SERIES = 400_000

log = structlog.get_logger("runwire.summaries")

_Batch = list[tuple[RunSeries, SeriesRows]]


class Flusher:
    """Stores what `Summaries` has folded."""

    def __init__(
        self,
        summaries: Summaries,
        store: SummaryStore,
        *,
        shared: bool,
        busy: Callable[[], bool] = lambda: True,
    ) -> None:
        """Takes its neighbours.

        Args:
            summaries: What to flush.
            store: Where to.
            shared: Whether other servers may read it.
            busy: Whether ingest has work to do.
        """
        self._busy = busy
        self._rested_at = -math.inf
        self._summaries = summaries
        self._store = store
        self._delay = DELAY_SHARED if shared else DELAY_ALONE
        self._share = SHARE_SHARED if shared else SHARE_ALONE
        self._rows = ROWS_SHARED if shared else ROWS_ALONE
        # One transaction at a time: a run is stored as a whole only when all its rows are.
        self._turn = asyncio.Lock()

    async def work(self) -> None:
        """Stores what comes, for ever."""
        while True:
            await self._summaries.woken()
            await self._wait()
            try:
                await self._round(waiting=True)
                self._rested_at = time.monotonic()
            except RunwireError as error:
                log.warning("summaries are not stored for now", reason=error.reason)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("could not store summaries")
                await asyncio.sleep(RETRY_SECONDS)

    async def _wait(self) -> None:
        """Lets points come in for a while; a large run that has stopped sending is not waited for."""
        end = time.monotonic() + self._delay
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, LOOK_SECONDS))
            rested = time.monotonic() - self._rested_at > self._delay
            if rested and not self._busy() and self._summaries.unstored >= MANY_ROWS:
                return

    async def drain(self, seconds: float) -> None:
        """Stores all there is, as far as the time allows; what is left can be folded from the log again."""
        try:
            async with asyncio.timeout(seconds):
                while self._summaries.dirty:
                    await self._round(waiting=False)
        except (TimeoutError, RunwireError):
            log.warning("some summaries are not stored; they will be folded again from the log")

    async def _round(self, *, waiting: bool) -> None:
        """Stores each run once."""
        left = dict.fromkeys(self._summaries.dirty)
        while left:
            async with self._turn:
                spent = await self._flush(self._batch(left))
            self._summaries.make_room(MAX_SERIES)
            if waiting:
                # The more there is to store, the less it waits.
                free = 1 - self._summaries.unstored / MAX_UNSTORED if self._busy() else 0.0
                await asyncio.sleep(max(0.0, free) * self._share * spent)

    def _batch(self, left: dict[RunSeries, None]) -> _Batch:
        """Takes rows of the next runs until a transaction is full; runs that are through leave `left`."""
        batch: _Batch = []
        room = self._rows
        while left and room > 0 and len(batch) < self._rows:
            series = next(iter(left))
            if series not in self._summaries.dirty:
                del left[series]
                continue
            rows = series.next_rows(room)
            batch.append((series, rows))
            room -= len(rows.keys)
            del left[series]
            if rows.folded is None:
                # The others have their turn before the rest of a large run.
                left[series] = None
        return batch

    async def flush_for(self, experiments: Collection[int], keys: Collection[str]) -> None:
        """Stores the summaries of some keys in all runs of some experiments, and waits for that.

        Raises:
            Unavailable: STORAGE_UNAVAILABLE.
            ResourceExhausted: STORAGE_FULL.
        """
        names = sorted(keys)
        runs = [s for s in self._summaries.dirty if s.experiment in experiments]
        while runs:
            async with self._turn:
                batch: _Batch = []
                room = self._rows
                while runs and room > 0:
                    series = runs.pop()
                    if series in self._summaries.dirty and (rows := series.rows_of(names)).keys:
                        batch.append((series, rows))
                        room -= len(rows.keys)
                await self._flush(batch)

    async def _flush(self, batch: _Batch) -> float:
        """Stores rows; returns how long that has kept others from writing."""
        if not batch:
            return 0.0
        try:
            flushed = await self._store.flush([rows for _, rows in batch])
        except BaseException:
            # Stored or not, it does no harm to store them again.
            for series, rows in batch:
                self._put_back(series, rows)
            raise
        for series, rows in batch:
            if series.run in flushed.gone:
                self._summaries.drop(series)
            elif rows.folded is not None:
                self._summaries.stored(series, rows.folded)
        return flushed.seconds + COMMIT_SECONDS

    def _put_back(self, series: RunSeries, rows: SeriesRows) -> None:
        if series in self._summaries.dirty:
            series.put_back(rows)
