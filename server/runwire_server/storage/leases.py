"""Leases of runs in SQL: who said when that it is alive, and who fell silent."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from runwire.v1 import metric_pb2, run_pb2
from runwire_server.storage.engine import Engine
from runwire_server.storage.schema import ACTIVE, experiments, runs

# Silence after which a run with a lease is lost.
SILENT_MS = 2 * 60 * 1000
# Runs marked in one step.
STEP = 500

_ALIVE = (run_pb2.RUN_STATUS_RUNNING, run_pb2.RUN_STATUS_LOST)


class SqlLeases:
    """See `writer_base.LeaseStore`."""

    def __init__(self, engine: Engine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._clock = clock
        # Nobody could be heard before.
        self._listening_since = clock()

    async def beat(self, request: metric_pb2.HeartbeatRequest) -> metric_pb2.HeartbeatResponse:
        """See `writer_base.LeaseStore.beat`."""
        now = self._clock()
        named = (
            sa.select(runs.c.id)
            .join(experiments, experiments.c.id == runs.c.experiment)
            .where(
                runs.c.run_id.in_(list(request.run_ids)),
                runs.c.status.in_(_ALIVE),
                runs.c.lifecycle == ACTIVE,
                experiments.c.lifecycle == ACTIVE,
            )
        )
        # Locked in the order in which all writers lock them.
        mine = named.order_by(runs.c.run_id).with_for_update(of=runs)

        def unit(connection: sa.Connection) -> metric_pb2.HeartbeatResponse:
            alive = (
                sa.update(runs)
                .where(runs.c.id.in_(list(connection.scalars(mine))))
                .values(heartbeat_time=now, status=run_pb2.RUN_STATUS_RUNNING)
                .returning(runs.c.run_id)
            )
            heard = set(connection.scalars(alive))
            return metric_pb2.HeartbeatResponse(run_ids=[r for r in request.run_ids if r in heard])

        return await self._engine.write(unit)

    async def mark_lost(self) -> int:
        """See `writer_base.LeaseStore.mark_lost`."""
        before = self._clock() - SILENT_MS
        if self._listening_since > before:
            return 0
        silent = (
            sa.select(runs.c.id)
            .where(runs.c.heartbeat_time <= before, runs.c.lifecycle == ACTIVE)
            .order_by(runs.c.run_id)
            .limit(STEP)
        )
        # A lost run has no lease: its next beat opens one, as the first did.
        lost = {
            "heartbeat_time": None,
            "status": sa.case(
                (runs.c.status == run_pb2.RUN_STATUS_RUNNING, run_pb2.RUN_STATUS_LOST), else_=runs.c.status
            ),
        }

        def unit(connection: sa.Connection) -> int:
            keys = list(connection.scalars(silent.with_for_update()))
            if keys:
                connection.execute(sa.update(runs).where(runs.c.id.in_(keys)).values(lost))
            return len(keys)

        marked = 0
        # Readers look first: mostly nobody has fallen silent, and that costs no commit.
        while await self._engine.read(lambda c: c.scalar(sa.select(sa.exists(silent)))):
            marked += await self._engine.write(unit)
        return marked
