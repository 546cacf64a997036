"""Runs in SQL: their life, params, tags and inputs."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy import bindparam

from runwire.v1 import experiment_pb2, run_pb2
from runwire_server.domain.blocks import Points
from runwire_server.domain.names import readable, uuid7
from runwire_server.errors import AlreadyExists, FailedPrecondition, NotFound, run_not_found
from runwire_server.storage import experiments as experiment_rows
from runwire_server.storage import metrics, run_values, search
from runwire_server.storage.engine import Engine, HotStatement, insert
from runwire_server.storage.requests import once
from runwire_server.storage.run_rows import key_of, load_run, load_runs
from runwire_server.storage.run_values import RunRow
from runwire_server.storage.schema import (
    ACTIVE,
    DELETED,
    PURGED,
    experiments,
    metric_series,
    params,
    runs,
    tags,
)

M = TypeVar("M", bound=Message)

# Everything that copies a run's lifecycle.
COPIES = (params, tags, metric_series)
# What UpdateRun and FinishRun answer with.
_BARE = run_pb2.RunMask()
_BARE.fields.paths.extend(
    f for f in run_pb2.Run.DESCRIPTOR.fields_by_name if f not in {"params", "tags", "metrics", "inputs"}
)


# Locks the run until commit on PostgreSQL: writers of one run take turns there too.
_LOCKED = HotStatement(
    lambda _: (
        sa.select(
            runs.c.id,
            runs.c.experiment,
            runs.c.lifecycle,
            runs.c.start_time,
            runs.c.next_position,
            experiments.c.lifecycle,
        )
        .select_from(runs.outerjoin(experiments, experiments.c.id == runs.c.experiment))
        .where(runs.c.run_id == bindparam("run_id"))
        .with_for_update(of=runs)
    )
)
# The same, with log positions taken for points that are folded in the same transaction.
_RESERVED = HotStatement(
    lambda _: (
        sa.update(runs)
        .where(runs.c.run_id == bindparam("run"))
        .values(
            next_position=runs.c.next_position + bindparam("positions"),
            folded_position=runs.c.next_position + bindparam("positions"),
        )
        .returning(
            runs.c.id,
            runs.c.experiment,
            runs.c.lifecycle,
            runs.c.start_time,
            runs.c.next_position - bindparam("positions"),
            sa.select(experiments.c.lifecycle).where(experiments.c.id == runs.c.experiment).scalar_subquery(),
        )
    )
)
_CREATE = HotStatement(
    lambda _: (
        insert(runs)
        .values(
            {
                name: bindparam(name, type_=runs.c[name].type)
                for name in (
                    "run_id experiment name status lifecycle start_time parent_run_id create_hash".split()
                )
            }
        )
        .on_conflict_do_nothing(index_elements=["run_id"])
        .returning(runs.c.id)
    )
)
_FINISH = HotStatement(
    lambda _: (
        sa.update(runs)
        .where(runs.c.id == bindparam("run"))
        .values(status=bindparam("to_status"), end_time=bindparam("to_end_time"))
    )
)
_CREATED_AS = HotStatement(
    lambda _: sa.select(runs.c.id, runs.c.create_hash).where(runs.c.run_id == bindparam("run_id"))
)


class SqlRuns:
    """See `base.RunStore`."""

    def __init__(self, engine: Engine, clock: Callable[[], int], chance: random.Random) -> None:
        self._engine = engine
        self._clock = clock
        self._chance = chance

    async def create(self, request: run_pb2.CreateRunRequest) -> run_pb2.CreateRunResponse:
        """See `base.RunStore.create`."""
        now = self._clock()
        payload = _payload_hash(request)
        row: dict[str, Any] = {
            "run_id": request.run_id or uuid7(now),
            "name": request.name or readable(self._chance),
            "status": request.status or run_pb2.RUN_STATUS_RUNNING,
            "lifecycle": ACTIVE,
            "start_time": request.start_time.ToMilliseconds() if request.HasField("start_time") else now,
            "parent_run_id": request.parent_run_id or None,
            "create_hash": payload,
        }

        def unit(connection: sa.Connection) -> run_pb2.CreateRunResponse:
            key = _existing(connection, request, payload) if request.run_id else None
            if key is not None:
                return run_pb2.CreateRunResponse(run=load_runs(connection, [key])[0])
            return run_pb2.CreateRunResponse(run=_create(connection, request, row))

        return await self._engine.write(once(request, run_pb2.CreateRunResponse, unit, now))

    async def get(self, request: run_pb2.GetRunRequest) -> run_pb2.GetRunResponse:
        """See `base.RunStore.get`."""

        def unit(connection: sa.Connection) -> run_pb2.GetRunResponse:
            run = load_run(connection, request.run_id, request.mask)
            if run is None:
                raise run_not_found(request.run_id)
            return run_pb2.GetRunResponse(run=run)

        return await self._engine.read(unit)

    async def search(self, request: run_pb2.SearchRunsRequest) -> run_pb2.SearchRunsResponse:
        """See `base.RunStore.search`."""

        def unit(connection: sa.Connection) -> run_pb2.SearchRunsResponse:
            keys, token = search.search_runs(connection, request)
            return run_pb2.SearchRunsResponse(
                runs=load_runs(connection, keys, request.mask), next_page_token=token
            )

        return await self._engine.read(unit)

    async def update(self, request: run_pb2.UpdateRunRequest) -> run_pb2.UpdateRunResponse:
        """See `base.RunStore.update`."""
        changes: dict[str, Any] = {}
        if "name" in request.update_mask.paths:
            changes["name"] = request.name
        if "status" in request.update_mask.paths:
            changes["status"] = request.status
            if request.status in (run_pb2.RUN_STATUS_RUNNING, run_pb2.RUN_STATUS_SCHEDULED):
                changes["end_time"] = None

        def change(connection: sa.Connection, row: RunRow) -> run_pb2.UpdateRunResponse:
            connection.execute(sa.update(runs).where(runs.c.id == row.id).values(**changes))
            return run_pb2.UpdateRunResponse(run=load_runs(connection, [row.id], _BARE)[0])

        return await self._write(request, run_pb2.UpdateRunResponse, change)

    async def finish(self, request: run_pb2.FinishRunRequest) -> run_pb2.FinishRunResponse:
        """See `base.RunStore.finish`."""
        end = request.end_time.ToMilliseconds() if request.HasField("end_time") else self._clock()
        changes = {"to_status": request.status or run_pb2.RUN_STATUS_FINISHED, "to_end_time": end}

        def change(connection: sa.Connection, row: RunRow) -> run_pb2.FinishRunResponse:
            _FINISH.count(connection, run=row.id, **changes)
            return run_pb2.FinishRunResponse(run=load_runs(connection, [row.id], _BARE)[0])

        return await self._write(request, run_pb2.FinishRunResponse, change)

    async def delete(self, request: run_pb2.DeleteRunRequest) -> run_pb2.DeleteRunResponse:
        """See `base.RunStore.delete`."""
        now = self._clock()

        def unit(connection: sa.Connection) -> run_pb2.DeleteRunResponse:
            row = locked(connection, request.run_id)
            if row.lifecycle == ACTIVE:
                _set_lifecycle(connection, row.id, DELETED, now)
            return run_pb2.DeleteRunResponse()

        return await self._engine.write(once(request, run_pb2.DeleteRunResponse, unit, now))

    async def restore(self, request: run_pb2.RestoreRunRequest) -> run_pb2.RestoreRunResponse:
        """See `base.RunStore.restore`."""

        def unit(connection: sa.Connection) -> run_pb2.RestoreRunResponse:
            row = locked(connection, request.run_id)
            if row.lifecycle == DELETED:
                _set_lifecycle(connection, row.id, ACTIVE, None)
            return run_pb2.RestoreRunResponse()

        return await self._engine.write(once(request, run_pb2.RestoreRunResponse, unit, self._clock()))

    async def log_batch(self, request: Any, blocks: Sequence[Points]) -> run_pb2.LogBatchResponse:
        """See `base.RunStore.log_batch`."""

        def change(connection: sa.Connection, row: RunRow) -> run_pb2.LogBatchResponse:
            run_values.add_params(connection, request.run_id, row, request.params)
            run_values.set_tags(connection, row, request.tags)
            if blocks:
                metrics.append(connection, request.run_id, row, blocks)
            return run_pb2.LogBatchResponse()

        rows = sum(block.rows for block in blocks)
        return await self._write(request, run_pb2.LogBatchResponse, change, rows)

    async def set_tags(self, request: run_pb2.SetRunTagsRequest) -> run_pb2.SetRunTagsResponse:
        """See `base.RunStore.set_tags`."""

        def change(connection: sa.Connection, row: RunRow) -> run_pb2.SetRunTagsResponse:
            run_values.set_tags(connection, row, request.tags)
            return run_pb2.SetRunTagsResponse()

        return await self._write(request, run_pb2.SetRunTagsResponse, change)

    async def delete_tag(self, request: run_pb2.DeleteRunTagRequest) -> run_pb2.DeleteRunTagResponse:
        """See `base.RunStore.delete_tag`."""

        def change(connection: sa.Connection, row: RunRow) -> run_pb2.DeleteRunTagResponse:
            matching = (tags.c.run == row.id) & (tags.c.key == request.key)
            if not connection.execute(sa.delete(tags).where(matching)).rowcount:
                raise NotFound("TAG_NOT_FOUND", f"the run has no tag {request.key!r}", {"key": request.key})
            return run_pb2.DeleteRunTagResponse()

        return await self._write(request, run_pb2.DeleteRunTagResponse, change)

    async def log_inputs(self, request: run_pb2.LogInputsRequest) -> run_pb2.LogInputsResponse:
        """See `base.RunStore.log_inputs`."""

        def change(connection: sa.Connection, row: RunRow) -> run_pb2.LogInputsResponse:
            for entry in request.inputs:
                run_values.add_input(connection, row, entry)
            return run_pb2.LogInputsResponse()

        return await self._write(request, run_pb2.LogInputsResponse, change)

    async def _write(
        self,
        request: Any,
        answer: type[M],
        change: Callable[[sa.Connection, RunRow], M],
        positions: int = 0,
    ) -> M:
        """Runs a change of an active run, with log positions for it."""

        def unit(connection: sa.Connection) -> M:
            row = locked(connection, request.run_id, positions)
            if row.lifecycle == DELETED:
                raise FailedPrecondition(
                    "RUN_DELETED",
                    f"run {request.run_id} is deleted; restore it first",
                    {"run_id": request.run_id},
                )
            return change(connection, row)

        return await self._engine.write(once(request, answer, unit, self._clock()))


def locked(connection: sa.Connection, run_id: str, positions: int = 0) -> RunRow:
    """Returns a run, deleted or not, of an active experiment; locks it until commit.

    Args:
        connection: Of the unit.
        run_id: The run.
        positions: How many log positions to take, from the returned `next_position` on.

    Raises:
        NotFound: RUN_NOT_FOUND.
        FailedPrecondition: RUN_PURGED, EXPERIMENT_DELETED.
    """
    if positions:
        found = _RESERVED.rows(connection, run=run_id, positions=positions)
    else:
        found = _LOCKED.rows(connection, run_id=run_id)
    if not found:
        raise run_not_found(run_id)
    row = RunRow(*found[0])
    if row.lifecycle == PURGED or row.experiment_lifecycle in (PURGED, None):
        raise _purged(run_id)
    if row.experiment_lifecycle == DELETED:
        raise experiment_rows.deleted(row.experiment)
    return row


def _purged(run_id: str) -> FailedPrecondition:
    return FailedPrecondition("RUN_PURGED", f"run {run_id} was purged", {"run_id": run_id})


def _payload_hash(request: run_pb2.CreateRunRequest) -> bytes:
    payload = run_pb2.CreateRunRequest()
    payload.CopyFrom(request)
    payload.ClearField("request_id")
    payload.ClearField("allow_existing")
    return hashlib.sha256(payload.SerializeToString(deterministic=True)).digest()


def _existing(connection: sa.Connection, request: run_pb2.CreateRunRequest, payload: bytes) -> int | None:
    """Returns the run that has the client-minted id already, if it may be returned; None if none has."""
    found = _CREATED_AS.rows(connection, run_id=request.run_id)
    if not found:
        return None
    key, created_as = found[0]
    if key_of(connection, request.run_id) is None:
        raise _purged(request.run_id)
    if not request.allow_existing and bytes(created_as) != payload:
        raise AlreadyExists(
            "RUN_EXISTS", f"run {request.run_id} was created with another payload", {"run_id": request.run_id}
        )
    return int(key)


def _create(connection: sa.Connection, request: run_pb2.CreateRunRequest, row: dict[str, Any]) -> run_pb2.Run:
    # The shared lock keeps the experiment from being purged before this run is there to be purged.
    experiment = experiment_rows.writable(connection, request.experiment_id, share=True)
    if request.parent_run_id:
        _check_parent(connection, request, experiment.id)
    created = _CREATE.rows(connection, experiment=experiment.id, **row)
    if not created:
        # On PostgreSQL, another server created it since we looked; its commit was waited for.
        key = _existing(connection, request, row["create_hash"])
        assert key is not None
        return load_runs(connection, [key])[0]
    owner = RunRow(created[0][0], experiment.id, ACTIVE, row["start_time"], 0, ACTIVE)
    run_values.add_params(connection, row["run_id"], owner, request.params)
    run_values.set_tags(connection, owner, request.tags)
    run = load_runs(connection, [owner.id], _BARE)[0]
    run.params.extend(sorted(request.params, key=_key))
    run.tags.extend(sorted(request.tags, key=_key))
    return run


def _key(pair: run_pb2.Param | experiment_pb2.Tag) -> str:
    return pair.key


def _check_parent(connection: sa.Connection, request: run_pb2.CreateRunRequest, experiment: int) -> None:
    parent = connection.execute(sa.select(runs).where(runs.c.run_id == request.parent_run_id)).first()
    why = None
    if request.parent_run_id == request.run_id:
        why = "itself"
    elif parent is None or parent.lifecycle == PURGED:
        why = "not_found"
    elif parent.experiment != experiment:
        why = "other_experiment"
    elif parent.lifecycle == DELETED:
        why = "deleted"
    if why:
        raise FailedPrecondition(
            "PARENT_RUN_INVALID",
            f"run {request.parent_run_id} can not be the parent: {why.replace('_', ' ')}",
            {"parent_run_id": request.parent_run_id, "why": why},
        )


def _set_lifecycle(connection: sa.Connection, run: int, lifecycle: int, delete_time: int | None) -> None:
    connection.execute(
        sa.update(runs).where(runs.c.id == run).values(lifecycle=lifecycle, delete_time=delete_time)
    )
    for table in COPIES:
        connection.execute(sa.update(table).where(table.c.run == run).values(lifecycle=lifecycle))
