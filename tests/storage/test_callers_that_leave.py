"""Callers that leave while what they sent is being committed: it is stored, and so everybody sees it."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support.messages import column, get_run, log, new_run

from runwire_server.app import clock, working
from runwire_server.metrics.engine import MetricEngine
from runwire_server.storage.engine import Engine
from runwire_server.storage.stores import open_engine


@pytest.fixture(params=["sqlite", "memory"])
async def opened(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Engine, MetricEngine]]:
    """A database whose commits can be held up, and a metric engine over it."""
    engine = await open_engine(tmp_path / "runwire.db" if request.param == "sqlite" else None)
    async with working(engine, clock, random.Random(1)) as metrics:
        yield engine, metrics
    await engine.close()


async def test_points_whose_caller_has_left_are_in_the_summaries(
    opened: tuple[Engine, MetricEngine],
) -> None:
    engine, metrics = opened
    run = (await new_run(metrics.stores)).run_id

    async def send() -> None:
        await log(metrics.stores, run, column("loss", (0, 0.5), (1, 0.25)), request_id="one")

    begun, go_on = threading.Event(), threading.Event()

    def slow(_: sa.Connection) -> None:
        begun.set()
        assert go_on.wait(120)

    call = asyncio.create_task(send())
    others = asyncio.create_task(engine.write(slow))
    assert await asyncio.to_thread(begun.wait, 120)
    call.cancel()
    go_on.set()
    await others
    with pytest.raises(asyncio.CancelledError):
        await call
    # As its client does, which has no answer.
    await send()
    (metric,) = (await get_run(metrics.stores, run)).metrics
    assert (metric.key, metric.count, metric.value) == ("loss", 2, 0.25)
