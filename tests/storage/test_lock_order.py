"""Locks on PostgreSQL are taken in one order by all, so that nobody waits for a deadlock to be found."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.support.frames import new_id
from tests.support.postgres import Postgres

from runwire.v1 import frame_pb2, run_pb2
from runwire_server.app import clock
from runwire_server.domain.frames import Change, Contents
from runwire_server.domain.writers import Writer
from runwire_server.storage import postgresql
from runwire_server.storage.engine import Engine
from runwire_server.storage.stores import open_engine, stores_on
from runwire_server.storage.summaries import SqlSummaries
from runwire_server.storage.summary_base import SeriesRows

ROUNDS = 150
# Created in an order that is not that of their ids.
RUNS = [f"{digit}" * 32 for digit in "fa05"]


async def frames(engine: Engine) -> None:
    """Has a writer change all runs, over and over."""
    stores = stores_on(engine, clock, random.Random(1))
    writer = await stores.writers.open(frame_pb2.Hello(writer_id=new_id()))
    state = writer.state
    for sequence in range(1, ROUNDS + 1):
        changes = [
            Change("batch", run, run_pb2.LogBatchRequest(run_id=run, tags=[]), (), 0)
            for run in random.sample(RUNS, len(RUNS))
        ]
        after = Writer(state.epoch, sequence, sequence)
        await stores.writers.apply(writer, state, after, [Contents(sequence, changes)])
        state = after


async def flushes(engine: Engine, keys: list[int]) -> None:
    """Has summaries of all runs stored, over and over."""
    store = SqlSummaries(engine)
    for position in range(1, ROUNDS + 1):
        await store.flush([SeriesRows(run, position, [], [], position) for run in keys])


async def test_frames_and_summaries_of_the_same_runs_do_not_lock_each_other_out(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A deadlock is an error here, and not tried again.
    monkeypatch.setattr(postgresql, "ATTEMPTS", 1)
    engine = await open_engine(await postgres.create_database())
    stores = stores_on(engine, clock, random.Random(1))
    for run in RUNS:
        await stores.runs.create(run_pb2.CreateRunRequest(run_id=run, experiment_id="0"))
    keys = await stores.metrics.find(RUNS)
    await asyncio.gather(frames(engine), frames(engine), flushes(engine, keys), flushes(engine, keys))
    await engine.close()
