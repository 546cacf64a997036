"""Points whose answers overtake each other, at the worst of moments."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence

from tests.support.messages import column, log, new_run

from runwire_server.app import clock
from runwire_server.metrics.summaries import Summaries
from runwire_server.storage.appended import Appended
from runwire_server.storage.engine import Engine
from runwire_server.storage.stores import stores_on
from runwire_server.storage.summaries import SqlSummaries


async def test_points_that_come_as_others_are_caught_up_with_are_not_left_behind(engine: Engine) -> None:
    told: list[Appended] = []

    async def tell(appended: Sequence[Appended]) -> None:
        told.extend(appended)

    stores = stores_on(engine, clock, random.Random(1), tell)
    summaries = Summaries(SqlSummaries(engine), stores.metrics)
    run = await new_run(stores)
    for step in range(5):
        await log(stores, run.run_id, column("a", (step, 0.5)))
    await summaries.absorb([told[0]])
    await summaries.absorb([told[2]])
    (catching_up,) = asyncio.all_tasks() - {asyncio.current_task()}
    await summaries.absorb([told[1]])
    loop, come = asyncio.get_running_loop(), asyncio.Event()

    def look() -> None:
        if not catching_up.done():
            loop.call_soon(look)
            return
        # In the moment between the end of the task and what is called at its end; told[3] never comes.
        with contextlib.suppress(StopIteration):
            summaries.absorb([told[4]]).send(None)
        come.set()

    look()
    await come.wait()
    await summaries.settle_experiments({told[0].experiment})
    series = summaries.find(run.run_id)
    assert series is not None
    assert (series.through, series.is_behind) == (5, False)
    await summaries.close()
