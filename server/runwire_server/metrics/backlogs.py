"""What waits in the logs of runs to be compacted, and which of it is due."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from runwire_server.domain.compaction import Backlog

# A run's log is compacted when it has as many bytes, step rows or rows.
DUE_BYTES = 8 * 1024 * 1024
DUE_STEPS = 65_536
DUE_ROWS = 4_096
# And one that has ended, or got no points for a while, when it has as many rows or bytes; smaller ones stay.
QUIET_ROWS = 64
QUIET_BYTES = 16 * 1024
QUIET_SECONDS = 60.0
# How long one whose compaction failed is left alone.
PUT_OFF_SECONDS = 300.0
# Runs that are kept account of. What those that are dropped have in the log by then waits for the next start.
MOST_RUNS = 200_000


def large(backlog: Backlog) -> bool:
    """Tells whether a backlog is due whatever its run does."""
    return (
        backlog.untidy or backlog.bytes >= DUE_BYTES or backlog.steps >= DUE_STEPS or backlog.rows >= DUE_ROWS
    )


def worthwhile(backlog: Backlog) -> bool:
    """Tells whether a backlog is due once its run is quiet."""
    return large(backlog) or backlog.rows >= QUIET_ROWS or backlog.bytes >= QUIET_BYTES


@dataclass(slots=True)
class _Waiting:
    """A run's backlog, and when it got its last points."""

    backlog: Backlog
    touched: float


class Backlogs:
    """The account of what waits.

    Attributes:
        bytes: Of all runs.
        due_bytes: Of those that are due.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Takes what returns seconds, from any start."""
        self._clock = clock
        self._waiting: dict[int, _Waiting] = {}
        self._due: set[int] = set()
        # Until when runs are left alone.
        self._put_off: dict[int, float] = {}
        self.bytes = 0
        self.due_bytes = 0

    def add(self, more: Backlog) -> bool:
        """Adds to a run's backlog; returns whether it is due now."""
        old = self._take(more.run)
        if old is not None:
            before = old.backlog
            more = Backlog(
                more.run,
                before.rows + more.rows,
                before.steps + more.steps,
                before.bytes + more.bytes,
                before.ended or more.ended,
                before.untidy or more.untidy,
            )
        return self._put(more)

    def put_off(self, backlog: Backlog) -> None:
        """Adds what could not be compacted, which is not due for a while."""
        self._put_off[backlog.run] = self._clock() + PUT_OFF_SECONDS
        self.add(replace(backlog, ended=False))

    def set_left(self, left: Backlog) -> None:
        """Sets what a compaction has left, some of which may have been added meanwhile."""
        old = self._take(left.run)
        if old is not None:
            noted = old.backlog
            left = Backlog(
                left.run,
                max(left.rows, noted.rows),
                max(left.steps, noted.steps),
                max(left.bytes, noted.bytes),
                left.ended or noted.ended,
                noted.untidy,
            )
        self._put(left)

    def look(self) -> None:
        """Finds the runs that have become quiet: each is due, or too small ever to be."""
        now = self._clock()
        self._put_off = {run: until for run, until in self._put_off.items() if until > now}
        for run, waiting in list(self._waiting.items()):
            is_quiet = now - waiting.touched >= QUIET_SECONDS
            if is_quiet and run not in self._due and run not in self._put_off:
                if worthwhile(waiting.backlog):
                    self._due.add(run)
                    self.due_bytes += waiting.backlog.bytes
                elif len(self._waiting) > MOST_RUNS:
                    self._take(run)

    def take(self) -> Backlog | None:
        """Takes the largest that is due; what is added from now on counts anew.

        It has `ended` set if its run is quiet, so that nothing needs to be left.
        """
        if not self._due:
            return None
        run = max(self._due, key=lambda run: self._waiting[run].backlog.bytes)
        taken = self._take(run)
        assert taken is not None
        quiet = self._clock() - taken.touched >= QUIET_SECONDS
        return replace(taken.backlog, ended=taken.backlog.ended or quiet)

    def _take(self, run: int) -> _Waiting | None:
        waiting = self._waiting.pop(run, None)
        if waiting is not None:
            self.bytes -= waiting.backlog.bytes
            if run in self._due:
                self._due.remove(run)
                self.due_bytes -= waiting.backlog.bytes
        return waiting

    def _put(self, backlog: Backlog) -> bool:
        due = large(backlog) or (backlog.ended and worthwhile(backlog))
        if self._put_off.get(backlog.run, -math.inf) > self._clock():
            due = False
        elif backlog.ended and not due:
            # Small for good.
            return False
        self._waiting[backlog.run] = _Waiting(backlog, self._clock())
        self.bytes += backlog.bytes
        if due:
            self._due.add(backlog.run)
            self.due_bytes += backlog.bytes
        return due
