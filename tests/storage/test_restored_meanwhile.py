"""A run that is restored while a batch for it is on its way, on PostgreSQL, where both go at once."""

from __future__ import annotations

import asyncio
import random

import asyncpg
from tests.support.messages import column, history, log, new_run
from tests.support.postgres import Postgres

from runwire.v1 import run_pb2
from runwire_server.app import clock
from runwire_server.storage.schema import ACTIVE
from runwire_server.storage.stores import open_engine, stores_on

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


async def test_its_points_get_positions_of_their_own(postgres: Postgres) -> None:
    url = await postgres.create_database()
    engine = await open_engine(url)
    stores = stores_on(engine, clock, random.Random(1))
    run = (await new_run(stores)).run_id
    await stores.runs.delete(run_pb2.DeleteRunRequest(run_id=run))
    other = await asyncpg.connect(url)
    async with other.transaction():
        await other.execute("UPDATE runs SET lifecycle = $1 WHERE run_id = $2", ACTIVE, run)
        # It sees the run as deleted, and then waits for its row.
        batch = asyncio.create_task(log(stores, run, column("a", (1, 1.0), (2, 2.0))))
        while not await other.fetchval(WAITING):
            assert not batch.done()
            await asyncio.sleep(0)
    await batch
    await other.close()
    await log(stores, run, column("a", (3, 3.0)))
    assert [p.step for p in (await history(stores, run))[run]["a"]] == [1, 2, 3]
    await engine.close()
