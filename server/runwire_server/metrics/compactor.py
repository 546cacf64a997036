"""When and in which order runs are compacted: the log to stripes, stripes to sealed chunks.

Compaction gives way to ingest: its steps are short, and it rests between them while ingest is busy. It may be
interrupted between any two of them, for good too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import structlog

from runwire_server.domain import pyramids
from runwire_server.domain.blocks import NUMBER, Points
from runwire_server.domain.compaction import (
    SEALED_ROWS,
    Backlog,
    Made,
    Marks,
    Span,
    Subset,
    compacted,
    longest,
    made,
    merges,
    worth_sealing,
)
from runwire_server.errors import RunwireError
from runwire_server.metrics.backlogs import QUIET_ROWS, Backlogs, large
from runwire_server.storage.appended import Appended
from runwire_server.storage.base import CompactionStore

# How often quiet runs are looked for, and how soon a failed compaction is tried again.
LOOK_SECONDS = 5.0
RETRY_SECONDS = 5.0
# Bytes of one transaction.
STEP_BYTES = 1024 * 1024
# While ingest is busy, compaction rests for so many times what its last step took, up to a bound.
REST = 4.0
LONGEST_REST = 0.25
# Due bytes with which it does not rest any more, and those with which ingest is asked to slow down.
PRESSING_BYTES = 192 * 1024 * 1024
BEHIND_BYTES = 256 * 1024 * 1024

log = structlog.get_logger("runwire.compactor")


class Compactor:
    """Keeps account of what waits, and compacts it, one run at a time."""

    def __init__(
        self,
        store: CompactionStore,
        busy: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes the steps.

        Args:
            store: The steps.
            busy: Whether ingest, or something else that is waited for, has work to do.
            clock: Returns seconds, from any start.
        """
        self._store = store
        self._busy = busy
        self._clock = clock
        self._backlogs = Backlogs(clock)
        # Of the run that is being compacted.
        self._working_bytes = 0
        self._scanned = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait in logs, those included that are not due yet."""
        return self._backlogs.bytes + self._working_bytes

    @property
    def lag(self) -> float:
        """How much is due, in parts of that with which ingest should slow down."""
        return (self._backlogs.due_bytes + self._working_bytes) / BEHIND_BYTES

    def start(self) -> None:
        """Begins to work, first with what is stored."""
        self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stops, at once: what is begun is taken up again by the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def note(self, appended: Sequence[Appended]) -> None:
        """Takes account of what commits have added."""
        for piece in appended:
            steps = piece.end - piece.first
            size = sum(_size(block) for block in piece.blocks)
            if self._backlogs.add(Backlog(piece.run, 1 if steps else 0, steps, size, piece.finished)):
                self._wake.set()

    async def _work(self) -> None:
        scanned = False
        while True:
            try:
                if not scanned:
                    await self.scan()
                    scanned = True
                if await self.compact_next():
                    continue
            except RunwireError as error:
                log.warning("compaction put off", reason=error.reason)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                # A bug here must not end the work for good.
                log.exception("the compaction of a run failed")
                await asyncio.sleep(RETRY_SECONDS)
            self._wake.clear()
            self._backlogs.look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_SECONDS)

    async def scan(self) -> None:
        """Takes account of what earlier processes have left; what was noted meanwhile may count twice."""
        while True:
            found, going_on = await self._store.scan(self._scanned)
            for backlog in found:
                if backlog.rows or backlog.untidy:
                    self._backlogs.add(backlog)
            if going_on is None:
                return
            self._scanned = going_on

    async def compact_next(self) -> bool:
        """Compacts the due run that has most to compact; returns whether there was one."""
        chosen = self._backlogs.take()
        if chosen is None:
            return False
        self._working_bytes = chosen.bytes
        try:
            left = await self.compact(chosen.run, whole=chosen.ended)
        except (RunwireError, asyncio.CancelledError):
            self._backlogs.add(chosen)
            raise
        except Exception:
            # Such as damaged rows, which stay so. The others have their turn.
            self._backlogs.put_off(chosen)
            raise
        finally:
            self._working_bytes = 0
        if left.rows:
            self._backlogs.set_left(left)
        return True

    async def compact(self, run: int, *, whole: bool = True) -> Backlog:
        """Takes a run's log to stripes or sealed chunks, and merges stripes when there are enough of them.

        Args:
            run: The run.
            whole: Whether to leave nothing in the log, or as much as is not due.

        Returns:
            What was left in the log. All, if another compactor was faster.
        """
        while await self._rested(self._store.trim(run)):
            pass
        while True:
            marks = await self._store.marks(run)
            size = None if marks is None else await self._store.log_size(run, marks)
            if marks is None or size is None:
                left = Backlog(run, 0, 0, 0)
                break
            left = size.backlog
            if not whole and not large(left):
                break
            if not await self._compact_log(run, marks, size.span):
                # Another was faster. Before the next try the run has to become quiet.
                return Backlog(run, QUIET_ROWS, 0, 0)
        await self.seal(run)
        return left

    async def _compact_log(self, run: int, marks: Marks, span: Span) -> bool:
        blocks = [block async for block in self._store.read(run, Subset(span, None, None))]
        sealed = marks.sealed == marks.compacted and await asyncio.to_thread(longest, blocks) >= SEALED_ROWS
        inserted: list[tuple[Any, ...]] = []
        rows = compacted(blocks, span, pyramids.build if sealed else _no_pyramid)
        size = sum(_size(block.points) for block in blocks)
        del blocks
        if not await self._insert(run, marks, sealed, rows, inserted):
            return False
        after = Marks(marks.next, span.end, span.end if sealed else marks.sealed)
        done = await self._flip(run, marks, after, inserted)
        self._working_bytes = max(0, self._working_bytes - size)
        return done

    async def seal(self, run: int) -> bool:
        """Merges a run's stripes into sealed chunks if its series are long enough; returns whether it did."""
        marks = await self._store.marks(run)
        if marks is None or marks.sealed == marks.compacted:
            return False
        stripes = await self._store.stripes(run, marks)
        if not worth_sealing(stripes):
            return False
        inserted: list[tuple[Any, ...]] = []
        ordinals: dict[Span, int] = {}
        for subset in merges(stripes):
            blocks = [block async for block in self._store.read(run, subset)]
            first = ordinals.get(subset.span, 0)
            before = len(inserted)
            rows = made(blocks, subset.span, first, pyramids.build)
            if not await self._insert(run, marks, True, rows, inserted):
                return False
            ordinals[subset.span] = first + len(inserted) - before
        return await self._flip(run, marks, replace(marks, sealed=marks.compacted), inserted)

    async def _insert(
        self, run: int, marks: Marks, sealed: bool, rows: Iterable[Made], inserted: list[tuple[Any, ...]]
    ) -> bool:
        """Makes rows in a thread and stores them, a transaction for each MiB; False when overtaken."""
        making = iter(rows)
        began = self._clock()
        while step := await asyncio.to_thread(_some, making):
            if not await self._rested(self._store.insert(run, marks, sealed, step), began):
                return False
            inserted += [row.mark for row in step]
            began = self._clock()
        return True

    async def _flip(self, run: int, marks: Marks, after: Marks, inserted: Sequence[tuple[Any, ...]]) -> bool:
        if not await self._rested(self._store.flip(run, marks, after, inserted)):
            return False
        while await self._rested(self._store.trim(run)):
            pass
        return True

    async def _rested(self, step: Any, began: float | None = None) -> bool:
        """Takes a step, then lets ingest have its turn.

        Args:
            step: What to wait for.
            began: When the work for it began, if that was before.
        """
        began = self._clock() if began is None else began
        done: bool = await step
        if self._busy() and self._backlogs.due_bytes + self._working_bytes < PRESSING_BYTES:
            await asyncio.sleep(min(REST * (self._clock() - began), LONGEST_REST))
        return done


def _size(points: Points) -> int:
    return (points.size + 2 * points.rows) * NUMBER


def _no_pyramid(_: Any) -> None:
    """Makes none: stripes are short."""


def _some(rows: Iterator[Made]) -> list[Made]:
    """Takes rows of about a MiB."""
    found: list[Made] = []
    size = 0
    for row in rows:
        found.append(row)
        size += len(row.data) + len(row.pyramid or b"")
        if size >= STEP_BYTES:
            break
    return found
