"""Runs in SQL: what the RPCs do, each a unit with its request id."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from google.protobuf.message import Message

from runwire.v1 import run_pb2
from runwire_server.domain import paging
from runwire_server.domain.blocks import Points
from runwire_server.domain.names import readable, uuid7
from runwire_server.errors import NotFound, run_not_found
from runwire_server.storage import experiments as experiment_rows
from runwire_server.storage import metrics, run_changes, run_values, search
from runwire_server.storage.appended import AfterCommit, Appended
from runwire_server.storage.engine import Engine
from runwire_server.storage.requests import once
from runwire_server.storage.run_changes import NewRun
from runwire_server.storage.run_rows import load_run, load_runs
from runwire_server.storage.run_values import RunRow
from runwire_server.storage.schema import ACTIVE, DELETED

M = TypeVar("M", bound=Message)

# Runs of a page that are loaded at first, and how many times as many each time after that.
LOADED_FIRST, LOADED_MORE = 4, 8

# What UpdateRun and FinishRun answer with.
_BARE = run_pb2.RunMask()
_BARE.fields.paths.extend(
    f for f in run_pb2.Run.DESCRIPTOR.fields_by_name if f not in {"params", "tags", "metrics", "inputs"}
)


class SqlRuns:
    """See `base.RunStore`."""

    def __init__(
        self, engine: Engine, clock: Callable[[], int], chance: random.Random, after_commit: AfterCommit
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._chance = chance
        self._after_commit = after_commit

    async def create(self, request: run_pb2.CreateRunRequest) -> run_pb2.CreateRunResponse:
        """See `base.RunStore.create`."""
        now = self._clock()
        new = NewRun(
            request.run_id or uuid7(now),
            request.name or readable(self._chance),
            request.start_time.ToMilliseconds() if request.HasField("start_time") else now,
            run_changes.payload_hash(request),
        )

        def unit(connection: sa.Connection) -> run_pb2.CreateRunResponse:
            key = run_changes.existing(connection, request, new.create_hash) if request.run_id else None
            if key is not None:
                return run_pb2.CreateRunResponse(run=load_runs(connection, [key])[0])
            return run_pb2.CreateRunResponse(run=_create(connection, request, new))

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
            page = search.search_runs(connection, request)
            found = _fitting(connection, page.keys, request.mask)
            return run_pb2.SearchRunsResponse(runs=found, next_page_token=page.token(len(found)))

        return await self._engine.read(unit)

    async def update(self, request: run_pb2.UpdateRunRequest) -> run_pb2.UpdateRunResponse:
        """See `base.RunStore.update`."""

        def change(connection: sa.Connection, row: RunRow) -> run_pb2.UpdateRunResponse:
            run_changes.update(connection, row, request)
            return run_pb2.UpdateRunResponse(run=load_runs(connection, [row.id], _BARE)[0])

        return await self._write(request, run_pb2.UpdateRunResponse, change)

    async def finish(self, request: run_pb2.FinishRunRequest) -> run_pb2.FinishRunResponse:
        """See `base.RunStore.finish`."""
        now = self._clock()
        added: list[Appended] = []

        def change(connection: sa.Connection, row: RunRow) -> run_pb2.FinishRunResponse:
            run_changes.finish(connection, row, request, now)
            added.append(
                Appended(row.id, request.run_id, row.experiment, row.next_position, (), finished=True)
            )
            return run_pb2.FinishRunResponse(run=load_runs(connection, [row.id], _BARE)[0])

        return await self._write(request, run_pb2.FinishRunResponse, change, added=added)

    async def delete(self, request: run_pb2.DeleteRunRequest) -> run_pb2.DeleteRunResponse:
        """See `base.RunStore.delete`."""
        now = self._clock()

        def unit(connection: sa.Connection) -> run_pb2.DeleteRunResponse:
            row = run_changes.locked(connection, request.run_id)
            if row.lifecycle == ACTIVE:
                run_changes.set_lifecycle(connection, row.id, DELETED, now)
            return run_pb2.DeleteRunResponse()

        return await self._engine.write(once(request, run_pb2.DeleteRunResponse, unit, now))

    async def restore(self, request: run_pb2.RestoreRunRequest) -> run_pb2.RestoreRunResponse:
        """See `base.RunStore.restore`."""

        def unit(connection: sa.Connection) -> run_pb2.RestoreRunResponse:
            row = run_changes.locked(connection, request.run_id)
            if row.lifecycle == DELETED:
                run_changes.set_lifecycle(connection, row.id, ACTIVE, None)
            return run_pb2.RestoreRunResponse()

        return await self._engine.write(once(request, run_pb2.RestoreRunResponse, unit, self._clock()))

    async def log_batch(self, request: Any, blocks: Sequence[Points]) -> run_pb2.LogBatchResponse:
        """See `base.RunStore.log_batch`."""
        added: list[Appended] = []

        def change(connection: sa.Connection, row: RunRow) -> run_pb2.LogBatchResponse:
            run_values.add_params(connection, request.run_id, row, request.params)
            run_values.set_tags(connection, row, request.tags)
            if blocks:
                stored = metrics.append(connection, request.run_id, row, blocks)
                added.append(Appended(row.id, request.run_id, row.experiment, row.next_position, stored))
            return run_pb2.LogBatchResponse()

        rows = sum(block.rows for block in blocks)
        return await self._write(request, run_pb2.LogBatchResponse, change, rows, added)

    async def set_tags(self, request: run_pb2.SetRunTagsRequest) -> run_pb2.SetRunTagsResponse:
        """See `base.RunStore.set_tags`."""

        def change(connection: sa.Connection, row: RunRow) -> run_pb2.SetRunTagsResponse:
            run_values.set_tags(connection, row, request.tags)
            return run_pb2.SetRunTagsResponse()

        return await self._write(request, run_pb2.SetRunTagsResponse, change)

    async def delete_tag(self, request: run_pb2.DeleteRunTagRequest) -> run_pb2.DeleteRunTagResponse:
        """See `base.RunStore.delete_tag`."""

        def change(connection: sa.Connection, row: RunRow) -> run_pb2.DeleteRunTagResponse:
            if not run_changes.delete_tag(connection, row, request.key):
                raise NotFound("TAG_NOT_FOUND", f"the run has no tag {request.key!r}", {"key": request.key})
            return run_pb2.DeleteRunTagResponse()

        return await self._write(request, run_pb2.DeleteRunTagResponse, change)

    async def log_inputs(self, request: run_pb2.LogInputsRequest) -> run_pb2.LogInputsResponse:
        """See `base.RunStore.log_inputs`."""

        def change(connection: sa.Connection, row: RunRow) -> run_pb2.LogInputsResponse:
            run_changes.add_inputs(connection, row, request.inputs)
            return run_pb2.LogInputsResponse()

        return await self._write(request, run_pb2.LogInputsResponse, change)

    async def _write(
        self,
        request: Any,
        answer: type[M],
        change: Callable[[sa.Connection, RunRow], M],
        positions: int = 0,
        added: list[Appended] | None = None,
    ) -> M:
        """Runs a change of an active run, with log positions for it; what it adds is passed on."""
        now = self._clock()

        def unit(connection: sa.Connection) -> M:
            return change(connection, run_changes.writable(connection, request.run_id, now, positions))

        known = once(request, answer, unit, now)
        if added is None:
            return await self._engine.write(known)

        def counted(connection: sa.Connection) -> M:
            # A unit may be run again; only what its last run has added counts.
            added.clear()
            return known(connection)

        result = await self._engine.write(counted)
        await self._after_commit(added)
        return result


def _fitting(connection: sa.Connection, keys: Sequence[int], mask: run_pb2.RunMask) -> list[run_pb2.Run]:
    """Loads as many runs as fit into a page: a few first, so that large ones are not loaded in vain."""
    found: list[run_pb2.Run] = []
    size, count = 0, LOADED_FIRST
    while len(found) < len(keys):
        loaded = load_runs(connection, keys[len(found) : len(found) + count], mask)
        fits, size = paging.fitting(loaded, size)
        found += loaded[:fits]
        if fits < len(loaded):
            break
        count *= LOADED_MORE
    return found


def _create(connection: sa.Connection, request: run_pb2.CreateRunRequest, new: NewRun) -> run_pb2.Run:
    # The shared lock keeps the experiment from being purged before this run is there to be purged.
    experiment = experiment_rows.writable(connection, request.experiment_id, share=True)
    row = run_changes.create(connection, request, new, experiment.id)
    if row is None:
        key = run_changes.existing(connection, request, new.create_hash)
        assert key is not None
        return load_runs(connection, [key])[0]
    run = load_runs(connection, [row.id], _BARE)[0]
    run.params.extend(sorted(request.params, key=run_changes.by_key))
    run.tags.extend(sorted(request.tags, key=run_changes.by_key))
    return run
