"""Runs whose rows are damaged: all others are compacted as ever."""

from __future__ import annotations

import asyncio
import random

import pytest
import sqlalchemy as sa
from tests.support.messages import column, log, new_run

from runwire.v1 import run_pb2
from runwire_server.app import clock
from runwire_server.metrics import compactor
from runwire_server.metrics.compactor import Compactor
from runwire_server.storage.base import Stores
from runwire_server.storage.engine import Engine
from runwire_server.storage.schema import metric_log
from runwire_server.storage.stores import stores_on


async def ended_run(stores: Stores, batches: int) -> int:
    """Makes a run that is due, and returns its row key."""
    run_id = (await new_run(stores)).run_id
    for step in range(batches):
        await log(stores, run_id, column("loss", (step, 0.5)))
    await stores.runs.finish(run_pb2.FinishRunRequest(run_id=run_id))
    (run,) = await stores.metrics.find([run_id])
    return run


async def test_a_run_that_can_not_be_compacted_keeps_no_other_waiting(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compactor, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(compactor, "LOOK_SECONDS", 0.01)
    stores = stores_on(engine, clock, random.Random(1))
    # The one that has most comes first.
    damaged, others = await ended_run(stores, 200), [await ended_run(stores, 80) for _ in range(3)]
    of_it = metric_log.c.run == damaged
    await engine.write(lambda c: c.execute(sa.update(metric_log).where(of_it).values(data=b"\xff" * 4000)))
    working = Compactor(stores.compaction)
    working.start()

    async def done() -> None:
        waiting = sa.select(sa.func.count()).where(metric_log.c.run.in_(others))
        while await engine.read(lambda c: c.scalar(waiting)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)

    try:
        await asyncio.wait_for(done(), 120)
    finally:
        await working.close()
    left = sa.select(sa.func.count()).where(of_it)
    assert await engine.read(lambda c: c.scalar(left)) == 200
