"""The metric engine put together: what follows commits, works in the background, and is laid over reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from runwire_server.errors import RunwireError
from runwire_server.metrics.behind import Behind
from runwire_server.metrics.compactor import Compactor
from runwire_server.metrics.flusher import MANY_ROWS, Flusher
from runwire_server.metrics.ingest import Ingest
from runwire_server.metrics.overlaid import OverlaidRuns
from runwire_server.metrics.pace import Pace
from runwire_server.metrics.summaries import Summaries
from runwire_server.metrics.watch import Watches
from runwire_server.storage.appended import AfterCommit, Appended
from runwire_server.storage.base import Stores
from runwire_server.storage.summary_base import SummaryStore, Unfolded

# How often runs of other servers are looked at; one whose summaries have not moved since the last time
# is taken care of here.
LOOK_SECONDS = 1.0
RETRY_SECONDS = 1.0
# How often the runs that are watched are looked at: for points that another server has taken in, and
# where there is none, for purges.
SHARED_WATCH_SECONDS = 0.05
WATCH_SECONDS = 1.0
# What is not stored by then is folded again at the next start.
DRAIN_SECONDS = 5.0

log = structlog.get_logger("runwire.metrics")


class MetricEngine:
    """Everything between the services and storage that has to do with points.

    Attributes:
        stores: All roles, with reads that see what is in memory only.
        ingest: Takes frames in.
        summaries: The summaries in memory.
        compactor: Compacts the log behind ingest.
        watches: Tells those who watch runs what is new.
        points: How many points were stored since it was made.
    """

    def __init__(
        self, make_stores: Callable[[AfterCommit], Stores], store: SummaryStore, *, shared: bool
    ) -> None:
        """Puts it together; nothing works before `start`.

        Args:
            make_stores: Makes the stores that tell, after each commit, what was added.
            store: The summaries that are stored.
            shared: Whether other servers may use the same database.
        """
        self.behind = Behind(lambda appended: self.summaries.absorb(appended), self._tell_others)
        stores = make_stores(self.behind)
        pace = Pace(lambda: self.compactor.lag)
        self.ingest = Ingest(
            stores.writers,
            self.behind,
            lambda run_id, blocks: self.summaries.check_room(run_id, blocks),
            pace,
        )
        self.summaries = Summaries(store, stores.metrics)
        self.compactor = Compactor(
            stores.compaction,
            # Summaries are searched, and soon stored: they go first too.
            busy=lambda: self.ingest.queued_bytes > 0 or self.summaries.unstored >= MANY_ROWS,
        )
        self.watches = Watches(stores.metrics, SHARED_WATCH_SECONDS if shared else WATCH_SECONDS)
        self._flusher = Flusher(
            self.summaries, store, shared=shared, busy=lambda: shared or self.ingest.queued_bytes > 0
        )
        self._store = store
        self._shared = shared
        self._runs = OverlaidRuns(stores.runs, self.summaries, self._flusher, pace)
        self.stores = replace(stores, runs=self._runs)
        self.points = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Learns what a server that died has left unfolded, and begins to work.

        Raises:
            Unavailable: STORAGE_UNAVAILABLE.
        """
        self.summaries.note_unfolded(await self._store.unfolded())
        self._tasks = [
            asyncio.create_task(self._flusher.work()),
            asyncio.create_task(self._look_after_unfolded()),
            asyncio.create_task(self.watches.poll()),
        ]
        self.compactor.start()

    def stop(self, error: RunwireError) -> None:
        """Has streams of frames and watches end with an error, and takes nothing in any more."""
        self.ingest.stop(error)
        self.watches.stop(error)

    async def close(self) -> None:
        """Stops working, and stores what it can in a few seconds; a server that dies loses nothing either."""
        await self._runs.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.compactor.close()
        await self.summaries.close()
        await self._flusher.drain(DRAIN_SECONDS)

    async def _tell_others(self, appended: Sequence[Appended]) -> None:
        self.points += sum(block.size for one in appended for block in one.blocks)
        self.watches.notify(appended)
        await self.compactor.note(appended)

    async def _look_after_unfolded(self) -> None:
        seen: set[Unfolded] = set()
        while True:
            try:
                await self.summaries.fold_rest()
                await asyncio.sleep(LOOK_SECONDS)
                if self._shared:
                    seen = await self._look_after_others(seen)
            except RunwireError as error:
                log.warning("summaries can not be folded for now", reason=error.reason)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                # A bug with one run must not leave all others unfolded.
                log.exception("could not fold")
                await asyncio.sleep(RETRY_SECONDS)

    async def _look_after_others(self, seen: set[Unfolded]) -> set[Unfolded]:
        """Takes over the runs that nobody has folded since the last look; returns what it has seen."""
        found = set(await self._store.unfolded())
        for left in found & seen:
            await self.summaries.take_over(left)
        return found
