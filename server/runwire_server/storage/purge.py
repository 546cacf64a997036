"""Removal for good: mark first, then remove in steps that let writers in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from runwire.v1 import server_pb2
from runwire_server.storage.engine import Engine
from runwire_server.storage.requests import KEPT_MS, once
from runwire_server.storage.schema import (
    DELETED,
    PURGED,
    datasets,
    experiment_tags,
    experiments,
    metric_chunk,
    metric_group,
    metric_log,
    metric_series,
    params,
    requests,
    run_inputs,
    runs,
    tags,
)

# Rows in one step; at most some 10 ms of the writer's time.
STEP = 1_000
# The same for rows that are large: rows, and bytes of them.
LARGE_STEP = 50
LARGE_BYTES = 4 * 1024 * 1024
# Runs taken up in one step: small runs do not cost a transaction each.
RUNS_STEP = 50
RUN_CHILDREN = (metric_log, metric_chunk, metric_series, metric_group, params, tags)
# Those with large rows, and in which column.
LARGE = {metric_log: "data", metric_chunk: "data", metric_group: "keys"}


class SqlMaintenance:
    """See `base.MaintenanceStore`."""

    def __init__(self, engine: Engine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._clock = clock

    async def purge(self, request: server_pb2.PurgeRequest) -> server_pb2.PurgeResponse:
        """See `base.MaintenanceStore.purge`."""
        now = self._clock()
        before = now - request.older_than.ToMilliseconds()

        def mark(connection: sa.Connection) -> server_pb2.PurgeResponse:
            doomed = sa.select(experiments.c.id).where(
                experiments.c.lifecycle == DELETED, experiments.c.delete_time <= before
            )
            ids = list(connection.scalars(doomed.with_for_update()))
            alone = (runs.c.lifecycle == DELETED) & (runs.c.delete_time <= before)
            inside = runs.c.experiment.in_(ids) & (runs.c.lifecycle != PURGED)
            # Locked in the order that all lock in.
            chosen = sa.select(runs.c.id).where(alone | inside).order_by(runs.c.run_id).with_for_update()
            marked = connection.execute(
                sa.update(runs).where(runs.c.id.in_(chosen)).values(lifecycle=PURGED, purging=1)
            ).rowcount
            connection.execute(
                sa.update(experiments).where(experiments.c.id.in_(ids)).values(lifecycle=PURGED)
            )
            return server_pb2.PurgeResponse(runs=marked, experiments=len(ids))

        answer = await self._engine.write(once(request, server_pb2.PurgeResponse, mark, now))
        await self.finish_purges()
        return answer

    async def finish_purges(self) -> None:
        """See `base.MaintenanceStore.finish_purges`."""
        while await self._engine.write(_purge_step):
            pass

    async def forget_requests(self) -> None:
        """See `base.MaintenanceStore.forget_requests`."""
        before = self._clock() - KEPT_MS

        def step(connection: sa.Connection) -> int:
            old = sa.select(requests.c.request_id).where(requests.c.create_time <= before).limit(STEP)
            return connection.execute(sa.delete(requests).where(requests.c.request_id.in_(old))).rowcount

        while await self._engine.write(step):
            pass


def _purge_step(connection: sa.Connection) -> bool:
    """Removes a bounded number of rows of purged runs or experiments; returns whether there were any."""
    query = sa.select(runs.c.id).where(runs.c.purging == 1).order_by(runs.c.id).limit(RUNS_STEP)
    doomed = list(connection.scalars(query))
    if not doomed:
        return _purge_experiment(connection)
    removed = 0
    for table in RUN_CHILDREN:
        count, more = remove_some(connection, table, table.c.run.in_(doomed), LARGE.get(table))
        removed += count
        if more or removed >= STEP:
            return True
    if _remove_inputs(connection, doomed):
        return True
    # There is nothing to fold any more: or servers would look at the tombstone for ever.
    done = {"purging": 0, "folded_position": runs.c.next_position}
    connection.execute(sa.update(runs).where(runs.c.id.in_(doomed)).values(done))
    return True


def _remove_inputs(connection: sa.Connection, doomed: Sequence[int]) -> int:
    """Removes some inputs of purged runs, with the data sets that no other run has."""
    c = run_inputs.c
    query = sa.select(c.run, c.position, c.dataset).where(c.run.in_(doomed)).limit(STEP)
    found = connection.execute(query).all()
    if found:
        keys = [(row.run, row.position) for row in found]
        connection.execute(sa.delete(run_inputs).where(sa.tuple_(c.run, c.position).in_(keys)))
        used = sa.select(sa.literal(1)).where(c.dataset == datasets.c.id).exists()
        ids = sorted({row.dataset for row in found})
        connection.execute(sa.delete(datasets).where(datasets.c.id.in_(ids), ~used))
    return len(found)


def _purge_experiment(connection: sa.Connection) -> bool:
    """The same for experiments, whose runs are tombstones by now; their own row is free to go."""
    query = sa.select(experiments.c.id).where(experiments.c.lifecycle == PURGED).limit(1)
    experiment = connection.scalar(query)
    if experiment is None:
        return False
    for table in (datasets, experiment_tags):
        if remove_some(connection, table, table.c.experiment == experiment)[0]:
            return True
    connection.execute(sa.delete(experiments).where(experiments.c.id == experiment))
    return True


def remove_some(
    connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool], large: str | None = None
) -> tuple[int, bool]:
    """Removes rows, but not so many that it takes long.

    Args:
        connection: In a transaction.
        table: From which.
        where: Which.
        large: The column that has most of the bytes, for tables whose rows are large.

    Returns:
        How many were removed, and whether there may be more.
    """
    key = table.primary_key.columns
    if large is None:
        some = sa.select(*key).where(where).limit(STEP)
        count = connection.execute(sa.delete(table).where(sa.tuple_(*key).in_(some))).rowcount
        return count, count == STEP
    size = sa.func.length(table.c[large])
    rows = connection.execute(sa.select(*key, size).where(where).limit(LARGE_STEP)).all()
    taken, total = 0, 0
    for row in rows:
        if taken and total + row[-1] > LARGE_BYTES:
            break
        taken, total = taken + 1, total + row[-1]
    if taken:
        chosen = [tuple(row[:-1]) for row in rows[:taken]]
        connection.execute(sa.delete(table).where(sa.tuple_(*key).in_(chosen)))
    return taken, taken < len(rows) or taken == LARGE_STEP
