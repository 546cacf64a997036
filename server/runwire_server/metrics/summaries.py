"""Summaries of series, folded in memory after each commit and before its answer.

Memory holds, for each run that points came for, the exact state of all its series up to a log position.
It is only a cache: the points are in the log, stored rows say how far they reach, and any process can
fold the rest. So points that come out of turn (other servers write to the same run, answers overtake each
other) are left to a task that reads the log; whoever wants to read the run meanwhile waits for that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import structlog

from runwire_server.domain.blocks import Points
from runwire_server.domain.folding import Slots, SummaryTable
from runwire_server.domain.limits import MAX_RUN_SERIES
from runwire_server.errors import ResourceExhausted, RunwireError
from runwire_server.metrics.series import RunSeries
from runwire_server.storage.appended import Appended
from runwire_server.storage.base import PointStore
from runwire_server.storage.summary_base import SummaryStore, Unfolded

# Runs that are read from the database at the same time.
LOADS = 2
# How long an earlier answer may take to be seen before the log is asked for its points.
OVERTAKEN_SECONDS = 0.002
# Series that the database does not have; beyond that, points come in no faster than summaries are stored.
MAX_UNSTORED = 1_000_000
# But nobody waits longer than that for an answer: on a full disk, nothing gets stored.
HELD_SECONDS = 1.0

log = structlog.get_logger("runwire.summaries")


class Summaries:
    """The summaries of all runs that are being written.

    Attributes:
        table: All of them.
        dirty: The runs that the database does not have all of, in the order in which they became so.
    """

    def __init__(self, store: SummaryStore, points: PointStore) -> None:
        self.table = SummaryTable()
        self.dirty: dict[RunSeries, None] = {}
        self._store = store
        self._points = points
        # Least recently written first.
        self._runs: OrderedDict[int, RunSeries] = OrderedDict()
        self._by_id: dict[str, RunSeries] = {}
        self._unfolded: dict[str, Unfolded] = {}
        # Runs that have ended.
        self._over: dict[RunSeries, None] = {}
        self._tasks: dict[RunSeries, asyncio.Task[None]] = {}
        # Runs whose points could not be read.
        self._behind: dict[RunSeries, None] = {}
        self._loads = asyncio.Semaphore(LOADS)
        self._readers: list[set[str]] = []
        self._woken = asyncio.Event()
        self._relieved = asyncio.Event()

    async def absorb(self, appended: Sequence[Appended]) -> None:
        """Folds what committed transactions have added; never fails.

        What can not be folded at once is folded by a task, for which `settle` waits. Returns late while
        there is too much to store.
        """
        parts: list[tuple[Slots, Points]] = []
        try:
            for piece in appended:
                self._absorb(piece, parts)
            self.table.fold(parts)
        except Exception:
            # The points are in the log: what was half done is done again from there.
            log.exception("could not fold")
            self._redo({piece.run for piece in appended})
        if self.table.taken > MAX_UNSTORED and self.unstored > MAX_UNSTORED:
            self._relieved.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._relieved.wait(), HELD_SECONDS)

    @property
    def unstored(self) -> int:
        """How many series the database does not have as they are."""
        return int(np.count_nonzero(self.table.dirty))

    def _absorb(self, piece: Appended, parts: list[tuple[Slots, Points]]) -> None:
        series = self._runs.get(piece.run)
        if series is None:
            if not piece.blocks:
                return
            series = self._begin(piece)
        self._runs.move_to_end(piece.run)
        if piece.finished:
            self._over[series] = None
        else:
            self._over.pop(series, None)
        end = piece.end
        if end <= series.through or not piece.blocks:
            return
        if series.is_behind or piece.first != series.through:
            series.keep(piece)
            self._catch_up(series)
        else:
            self._take(series, piece, end, parts)

    def _redo(self, runs: Collection[int]) -> None:
        for run in runs:
            if series := self._runs.get(run):
                self.drop(series)
                self._unfolded[series.run_id] = Unfolded(run, series.run_id, series.experiment, 0)

    def _begin(self, piece: Appended) -> RunSeries:
        series = RunSeries(self.table, piece.run, piece.run_id, piece.experiment)
        # Nothing comes before position 0, so there is nothing to load.
        series.loaded = piece.first == 0
        self._add(series)
        return series

    def _add(self, series: RunSeries) -> None:
        self._runs[series.run] = series
        self._by_id[series.run_id] = series
        self._unfolded.pop(series.run_id, None)

    def _take(self, series: RunSeries, piece: Appended, end: int, parts: list[tuple[Slots, Points]]) -> None:
        parts += [(series.slots_of(block), block) for block in piece.blocks]
        series.reach(end)
        self._mark(series)

    def _mark(self, series: RunSeries) -> None:
        if series not in self.dirty:
            self.dirty[series] = None
            self._woken.set()

    def _catch_up(self, series: RunSeries, forced: bool = False) -> asyncio.Task[None]:
        """Has the missing points of a run read and folded."""
        task = self._tasks.get(series)
        # One that has just ended does not see what came since.
        if task is None or task.done():
            task = self._tasks[series] = asyncio.create_task(self._read_on(series, forced))
            task.add_done_callback(lambda ended: self._ended(series, ended))
        return task

    def _ended(self, series: RunSeries, task: asyncio.Task[None]) -> None:
        if self._tasks.get(series) is task:
            del self._tasks[series]
        self._behind.pop(series, None)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, RunwireError):
            # Tried again by the next read and by `fold_rest`; nothing is lost, the points are in the log.
            if self._has(series) and series.is_behind:
                self._behind[series] = None
        else:
            log.error("could not fold", run_id=series.run_id, exc_info=error)
            self._redo([series.run])

    async def _read_on(self, series: RunSeries, forced: bool) -> None:
        if series.loaded and not forced:
            await asyncio.sleep(OVERTAKEN_SECONDS)
            self._fold_ready(series)
            if not series.is_behind:
                return
        async with self._loads:
            if not series.loaded:
                stored = await self._store.load(series.run)
                if stored is None:
                    self.drop(series)
                if not self._has(series) or stored is None:
                    return
                series.restore(stored)
            await self._fold_log(series)
            # Points that came meanwhile have waited and are folded by now, unless they were too many.
            while self._has(series) and series.is_behind:
                if not await self._points.ends([series.run]):
                    self.drop(series)
                    return
                await self._fold_log(series)

    async def _fold_log(self, series: RunSeries) -> None:
        """Folds what the log has by now, then what has come meanwhile."""
        series.is_reading = True
        try:
            async for page in self._points.pages(series.run, series.through):
                if not self._has(series):
                    return
                self.table.fold([part for block in page.blocks for part in series.placed_parts(block)])
                series.reach(page.end)
                self._mark(series)
            if self._has(series):
                self._fold_ready(series)
        finally:
            series.is_reading = False

    def _has(self, series: RunSeries) -> bool:
        """Whether a run was not dropped while something was awaited."""
        return self._runs.get(series.run) is series

    def _fold_ready(self, series: RunSeries) -> None:
        parts: list[tuple[Slots, Points]] = []
        for piece in series.ready():
            self._take(series, piece, piece.end, parts)
        self.table.fold(parts)

    async def settle(self, run_ids: Collection[str]) -> None:
        """Waits until all that was absorbed for some runs is folded, and what a dead server left unfolded.

        Raises:
            Unavailable: STORAGE_UNAVAILABLE, if it has to be read and can not.
        """
        waiting = []
        for run_id in run_ids:
            series = self._by_id.get(run_id)
            if series is None and run_id in self._unfolded:
                series = self._adopt(self._unfolded[run_id])
            if series is not None and series.is_behind:
                waiting.append(asyncio.shield(self._catch_up(series)))
        if waiting:
            await asyncio.gather(*waiting)

    async def settle_experiments(self, experiments: Collection[int]) -> None:
        """Does the same for all runs of some experiments."""
        late: list[RunSeries | Unfolded] = [*self._unfolded.values(), *self._tasks, *self._behind]
        await self.settle({run.run_id for run in late if run.experiment in experiments})

    def _adopt(self, left: Unfolded) -> RunSeries:
        series = RunSeries(self.table, left.run, left.run_id, left.experiment)
        self._add(series)
        return series

    def note_unfolded(self, found: Sequence[Unfolded]) -> None:
        """Learns of runs whose stored summaries lag behind, as a server that died leaves them."""
        for left in found:
            if left.run not in self._runs:
                self._unfolded[left.run_id] = left

    async def fold_rest(self) -> None:
        """Folds the runs that were noted, and those whose points could not be read, one after the other.

        Raises:
            Unavailable: STORAGE_UNAVAILABLE.
        """
        while self._unfolded or self._behind:
            await self.settle([next(iter(self._unfolded), None) or next(iter(self._behind)).run_id])

    async def take_over(self, left: Unfolded) -> None:
        """Folds a run that its own server does not, unless what is missing is on its way to the database.

        Raises:
            Unavailable: STORAGE_UNAVAILABLE.
        """
        series = self._runs.get(left.run) or self._adopt(left)
        if series not in self.dirty:
            await asyncio.shield(self._catch_up(series, forced=True))

    def find(self, run_id: str) -> RunSeries | None:
        """Returns what is in memory for a run."""
        return self._by_id.get(run_id)

    def check_room(self, run_id: str, blocks: Sequence[Points]) -> None:
        """Refuses blocks with which a run would have too many series, as far as they are in memory.

        Raises:
            ResourceExhausted: LIMIT_EXCEEDED.
        """
        series = self._by_id.get(run_id)
        if series is not None and not series.admits(blocks, MAX_RUN_SERIES):
            raise ResourceExhausted(
                "LIMIT_EXCEEDED",
                f"run {run_id} would have more than {MAX_RUN_SERIES} metrics",
                {"limit": "max_run_series", "max": str(MAX_RUN_SERIES)},
            )

    @contextlib.contextmanager
    def reading(self) -> Iterator[set[str]]:
        """Collects, within the block, the ids of the runs that are dropped from memory.

        What was read of them before may lack what was in memory only until then.
        """
        dropped: set[str] = set()
        self._readers.append(dropped)
        try:
            yield dropped
        finally:
            # By identity: equal sets of other readers are other sets.
            self._readers = [other for other in self._readers if other is not dropped]

    def drop(self, series: RunSeries) -> None:
        """Lets go of a run: one that is stored, or purged."""
        if not self._has(series):
            return
        del self._runs[series.run]
        self._by_id.pop(series.run_id, None)
        self.dirty.pop(series, None)
        self._over.pop(series, None)
        self._behind.pop(series, None)
        series.free()
        for dropped in self._readers:
            dropped.add(series.run_id)

    def stored(self, series: RunSeries, folded: int) -> None:
        """Notes that the database has a run up to a log position."""
        series.folded = max(series.folded, folded)
        if series.is_stored:
            self.dirty.pop(series, None)

    def make_room(self, most: int) -> None:
        """Drops stored runs: ended ones, and the longest idle while there are more than `most` series.

        The one that was written last stays, however large it is.
        """
        self._relieved.set()
        for series in list(self._over):
            self._drop_stored(series)
        if self.table.taken > most:
            for series in list(self._runs.values())[:-1]:
                self._drop_stored(series)
                if self.table.taken <= most:
                    return

    def _drop_stored(self, series: RunSeries) -> None:
        if series not in self.dirty and series not in self._tasks:
            self.drop(series)

    async def woken(self) -> None:
        """Waits until something is to be stored."""
        while not self.dirty:
            self._woken.clear()
            await self._woken.wait()

    async def close(self) -> None:
        """Ends the tasks."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
