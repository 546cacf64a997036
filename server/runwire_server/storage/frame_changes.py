"""What frames do to runs, in SQL: their changes in order, and one log row for each run.

A change that can not be applied is rejected alone. Each change looks before it writes, so that nothing
has to be taken back.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import sqlalchemy as sa
import structlog

from runwire.v1 import frame_pb2, run_pb2
from runwire_server.domain.blocks import Points
from runwire_server.domain.frames import Change, Contents, failure
from runwire_server.domain.names import readable
from runwire_server.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    RunwireError,
    run_not_found,
)
from runwire_server.storage import experiments as experiment_rows
from runwire_server.storage import metrics, run_changes, run_values
from runwire_server.storage.appended import Appended
from runwire_server.storage.run_changes import NewRun
from runwire_server.storage.run_values import RunRow
from runwire_server.storage.writer_base import Care

# What a record can be at fault for; all else is the server's trouble.
FAULTS = (AlreadyExists, FailedPrecondition, InvalidArgument, NotFound)

log = structlog.get_logger("runwire.frames")


def of_the_record(error: Exception) -> bool:
    """Tells whether an unexpected error comes from what a record says, and would come again."""
    if isinstance(error, sa.exc.DBAPIError | sqlite3.Error):
        driver = getattr(error, "orig", error)
        refused = isinstance(driver, sqlite3.DataError | sqlite3.IntegrityError)
        # Data exceptions and violated constraints.
        return refused or str(getattr(driver, "sqlstate", ""))[:2] in {"22", "23"}
    return isinstance(error, ValueError | LookupError | TypeError | ArithmeticError | AttributeError)


@dataclass(slots=True)
class _Run:
    """A run within the transaction.

    Attributes:
        row: Its locked row; None if it can not be written.
        refusal: Why not.
        born: Whether it is there yet: False until its own BeginRun's turn comes.
        params: Those of a run that the transaction has created; None for others, whose params are stored.
        reserved: Whether log positions were taken when it was locked.
        blocks: Points to append.
        finished: Whether a change ends it.
    """

    row: RunRow | None = None
    refusal: RunwireError | None = None
    born: bool = True
    params: dict[str, str] | None = None
    reserved: bool = False
    blocks: list[Points] = field(default_factory=list)
    finished: bool = False


def _fault(change: Callable[[], None]) -> RunwireError | None:
    """Makes a change; returns why it can not be made, if that is its own fault."""
    try:
        change()
    except FAULTS as error:
        return error
    return None


class FrameChanges:
    """Applies the frames of one writer within a unit.

    Attributes:
        rejections: What was rejected, be it here or when the frames were read.
    """

    def __init__(
        self, connection: sa.Connection, now: int, chance: random.Random, care: Care = Care.NONE
    ) -> None:
        """Takes the unit's connection.

        Args:
            connection: Of the unit.
            now: Unix milliseconds.
            chance: For the names of runs.
            care: If any, each change has a savepoint, so that one on which the database or this
                code chokes can be rejected too.
        """
        self._connection = connection
        self._care = care
        self._now = now
        self._chance = chance
        self._runs: dict[str, _Run] = {}
        # Why runs could not be created, by the frame and the place in it of their BeginRun.
        self._unborn: dict[tuple[int, int], RunwireError] = {}
        self.rejections: list[frame_pb2.Rejection] = []

    def apply(self, frames: Sequence[Contents]) -> list[Appended]:
        """Applies frames in order; returns what they have added to runs.

        Raises:
            FailedPrecondition: GROUP_UNKNOWN.
        """
        self._create_runs(frames)
        self._lock_runs(frames)
        for frame in frames:
            # Apart from the frame's own, since the unit may be run again.
            refused = Contents(frame.sequence)
            for i, change in enumerate(frame.changes):
                unborn = self._unborn.get((frame.sequence, i))
                error = self._tried(partial(self._apply, change, unborn))
                if error is not None and error.reason == "GROUP_UNKNOWN":
                    raise error
                if error is not None:
                    refused.reject(change.run_id, error, change.points)
            self.rejections += frame.rejections.values()
            self.rejections += refused.rejections.values()
        return [
            self._appended(run_id, run) for run_id, run in self._runs.items() if run.blocks or run.finished
        ]

    def _create_runs(self, frames: Sequence[Contents]) -> None:
        for frame in frames:
            for i, change in enumerate(frame.changes):
                if change.kind == "begin" and change.run_id not in self._runs:
                    error = self._tried(partial(self._create, change))
                    if error is not None:
                        self._unborn[frame.sequence, i] = error

    def _tried(self, change: Callable[[], None]) -> RunwireError | None:
        """Makes a change; returns why it can not be made, with nothing of it done."""
        if self._care is Care.NONE:
            return _fault(change)
        self._connection.exec_driver_sql("SAVEPOINT change")
        try:
            fault = _fault(change)
        except Exception as error:
            if isinstance(error, RunwireError) or (self._care is Care.RECORDS and not of_the_record(error)):
                raise
            self._connection.exec_driver_sql("ROLLBACK TO SAVEPOINT change")
            log.exception("a record could not be applied")
            fault = failure()
        self._connection.exec_driver_sql("RELEASE SAVEPOINT change")
        return fault

    def _create(self, change: Change) -> None:
        """Creates a run, or leaves the one that is there."""
        request: run_pb2.CreateRunRequest = change.request.run
        lenient = run_pb2.CreateRunRequest(run_id=request.run_id, allow_existing=True)
        if run_changes.existing(self._connection, lenient, b"") is not None:
            return
        name = change.request.experiment_name
        experiment = (
            experiment_rows.found_or_created(self._connection, name, self._now)
            if name
            else experiment_rows.writable(self._connection, request.experiment_id, share=True)
        )
        new = NewRun(
            request.run_id,
            request.name or readable(self._chance),
            request.start_time.ToMilliseconds() if request.HasField("start_time") else self._now,
            run_changes.payload_hash(request),
        )
        row = run_changes.create(self._connection, request, new, experiment.id)
        if row is not None:
            known = {param.key: param.value for param in request.params}
            self._runs[change.run_id] = _Run(row=row, born=False, params=known)

    def _lock_runs(self, frames: Sequence[Contents]) -> None:
        """Locks all other runs, sorted by id; those that get only points take log positions at once."""
        rows: dict[str, int] = {}
        for frame in frames:
            for change in frame.changes:
                if change.kind == "begin" or change.run_id in self._runs:
                    continue
                plain = change.kind == "batch" and not (change.request.params or change.request.tags)
                known = rows.get(change.run_id, 0)
                if plain and not frame.undeclared and known >= 0:
                    rows[change.run_id] = known + change.rows
                else:
                    rows[change.run_id] = -1
        for run_id in sorted(rows):
            positions = max(rows[run_id], 0)
            try:
                row = run_changes.writable(self._connection, run_id, self._now, positions)
                self._runs[run_id] = _Run(row=row, reserved=positions > 0)
            except FAULTS as error:
                self._runs[run_id] = _Run(refusal=error)

    def _apply(self, change: Change, unborn: RunwireError | None) -> None:
        """Applies one change, or raises why it can not be."""
        if unborn is not None:
            raise unborn
        run = self._runs.get(change.run_id)
        if change.kind == "begin":
            if run is not None:
                run.born = True
            return
        assert run is not None
        if run.row is None:
            assert run.refusal is not None
            raise run.refusal
        if not run.born:
            raise run_not_found(change.run_id)
        _APPLY[change.kind](self, run, run.row, change)

    def _batch(self, run: _Run, row: RunRow, change: Change) -> None:
        blocks: Sequence[Points] = change.blocks
        if any(not block.keys for block in blocks):
            blocks = metrics.resolved(self._connection, change.run_id, row.id, blocks)
        request = change.request
        if run.params is None:
            run_values.add_params(self._connection, change.run_id, row, request.params)
        else:
            run_values.check_params(change.run_id, run.params, request.params)
            fresh = [param for param in request.params if param.key not in run.params]
            run_values.add_first_params(self._connection, row, fresh)
            run.params |= {param.key: param.value for param in fresh}
        run_values.set_tags(self._connection, row, request.tags)
        run.blocks += blocks

    def _update(self, run: _Run, row: RunRow, change: Change) -> None:
        run_changes.update(self._connection, row, change.request)

    def _finish(self, run: _Run, row: RunRow, change: Change) -> None:
        run_changes.finish(self._connection, row, change.request, self._now)
        run.finished = True

    def _delete_tag(self, run: _Run, row: RunRow, change: Change) -> None:
        run_changes.delete_tag(self._connection, row, change.request.key)

    def _inputs(self, run: _Run, row: RunRow, change: Change) -> None:
        run_changes.add_inputs(self._connection, row, change.request.inputs)

    def _appended(self, run_id: str, run: _Run) -> Appended:
        """Stores the points of a run."""
        row = run.row
        assert row is not None
        blocks: tuple[Points, ...] = ()
        if run.blocks:
            if not run.reserved:
                rows = sum(block.rows for block in run.blocks)
                row = row._replace(next_position=run_changes.reserve(self._connection, row.id, rows))
            blocks = metrics.append(self._connection, run_id, row, run.blocks)
        return Appended(row.id, run_id, row.experiment, row.next_position, blocks, run.finished)


_APPLY: dict[str, Callable[[FrameChanges, _Run, RunRow, Change], None]] = {
    "batch": FrameChanges._batch,
    "update": FrameChanges._update,
    "finish": FrameChanges._finish,
    "delete_tag": FrameChanges._delete_tag,
    "inputs": FrameChanges._inputs,
}
