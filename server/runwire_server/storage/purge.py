"""Removal for good: mark first, then remove in steps that let writers in between."""

from __future__ import annotations

from collections.abc import Callable

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
    metric_group,
    metric_log,
    metric_series,
    params,
    requests,
    run_inputs,
    runs,
    tags,
)

# Rows in one step; at most some 10 ms of the writer's time, but for log rows, which are large.
STEP = 1_000
LOG_STEP = 50
# Runs taken up in one step: small runs do not cost a transaction each.
RUNS_STEP = 50
RUN_CHILDREN = (
    (metric_log, LOG_STEP),
    (metric_series, STEP),
    (metric_group, LOG_STEP),
    (params, STEP),
    (tags, STEP),
    (run_inputs, STEP),
)


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
            marked = connection.execute(
                sa.update(runs).where(alone | inside).values(lifecycle=PURGED, purging=1)
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
    for table, step in RUN_CHILDREN:
        key = sa.tuple_(*table.primary_key.columns)
        some = sa.select(*table.primary_key.columns).where(table.c.run.in_(doomed)).limit(step)
        count = connection.execute(sa.delete(table).where(key.in_(some))).rowcount
        removed += count
        if count == step or removed >= STEP:
            return True
    connection.execute(sa.update(runs).where(runs.c.id.in_(doomed)).values(purging=0))
    return True


def _purge_experiment(connection: sa.Connection) -> bool:
    """The same for experiments, whose runs are tombstones by now; their own row is free to go."""
    query = sa.select(experiments.c.id).where(experiments.c.lifecycle == PURGED).limit(1)
    experiment = connection.scalar(query)
    if experiment is None:
        return False
    some = sa.select(datasets.c.id).where(datasets.c.experiment == experiment).limit(STEP)
    if connection.execute(sa.delete(datasets).where(datasets.c.id.in_(some))).rowcount:
        return True
    connection.execute(sa.delete(experiment_tags).where(experiment_tags.c.experiment == experiment))
    connection.execute(sa.delete(experiments).where(experiments.c.id == experiment))
    return True
