"""Writers and leases on each database, with a clock of their own."""

from __future__ import annotations

import random
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.frames import new_id

from runwire.v1 import frame_pb2, metric_pb2, run_pb2
from runwire_server.domain.frames import Change, Contents
from runwire_server.domain.writers import Writer
from runwire_server.errors import Aborted, FailedPrecondition
from runwire_server.storage.base import Stores
from runwire_server.storage.engine import Engine
from runwire_server.storage.schema import metric_writer
from runwire_server.storage.stores import stores_on
from runwire_server.storage.writer_base import Care

MINUTE = 60 * 1000
DAY = 24 * 60 * MINUTE


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1_000 * DAY

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stores(engine: Engine, clock: Clock) -> Stores:
    return stores_on(engine, clock, random.Random(1))


def of(sequence: int, *changes: Change) -> Contents:
    return Contents(sequence, list(changes))


def begins(run_id: str) -> Change:
    run = run_pb2.CreateRunRequest(run_id=run_id, experiment_id="0")
    return Change("begin", run_id, frame_pb2.BeginRun(run=run), (), 0)


def sets(run_id: str, *params: str) -> Change:
    sent = [run_pb2.Param(key=key, value="1") for key in params]
    return Change("batch", run_id, run_pb2.LogBatchRequest(run_id=run_id, params=sent), (), 0)


def hello(writer_id: str, acked: int = 0) -> frame_pb2.Hello:
    return frame_pb2.Hello(writer_id=writer_id, acked_sequence=acked, acked_crc=5)


async def status(stores: Stores, run_id: str) -> str:
    run = (await stores.runs.get(run_pb2.GetRunRequest(run_id=run_id))).run
    return run_pb2.RunStatus.Name(run.status).removeprefix("RUN_STATUS_")


class TestFrames:
    """What the transaction of some frames does."""

    async def test_a_record_on_which_the_database_chokes_is_rejected_alone(self, stores: Stores) -> None:
        run_id, writer = new_id(), await stores.writers.open(hello(new_id()))
        # The checks would have refused the param that is there twice.
        frames = [of(1, begins(run_id), sets(run_id, "a", "b", "b"), sets(run_id, "c"))]
        after = Writer(1, 1, 5)
        with pytest.raises(Exception, match=r"(?i)unique"):
            await stores.writers.apply(writer, writer.state, after, frames)
        applied = await stores.writers.apply(writer, writer.state, after, frames, care=Care.RECORDS)
        assert [(r.run_id, r.reason, r.records) for r in applied.rejections] == [(run_id, "INTERNAL", 1)]
        run = (await stores.runs.get(run_pb2.GetRunRequest(run_id=run_id))).run
        assert [param.key for param in run.params] == ["c"]

    async def test_calls_that_race_and_fences(self, stores: Stores) -> None:
        writer_id = new_id()
        writer = await stores.writers.open(hello(writer_id))
        await stores.writers.apply(writer, writer.state, Writer(1, 1, 5), [of(1)])
        with pytest.raises(Aborted):
            await stores.writers.apply(writer, writer.state, Writer(1, 1, 5), [of(1)])
        newer = await stores.writers.open(hello(writer_id))
        assert newer.state == Writer(2, 1, 5)
        for attempt in (
            stores.writers.apply(writer, Writer(1, 1, 5), Writer(1, 2, 6), [of(2)]),
            stores.writers.confirm(writer, 1),
            stores.writers.resume(writer_id, 1),
        ):
            with pytest.raises(FailedPrecondition) as caught:
                await attempt
            assert (caught.value.reason, caught.value.metadata["epoch"]) == ("WRITER_FENCED", "2")

    async def test_a_hello_that_is_refused_leaves_no_writer(self, engine: Engine, stores: Stores) -> None:
        with pytest.raises(FailedPrecondition):
            await stores.writers.open(hello(new_id(), acked=3))
        count: Any = sa.select(sa.func.count()).select_from(metric_writer)
        assert await engine.read(lambda connection: connection.scalar(count)) == 0


async def test_unused_writers_are_forgotten(stores: Stores, clock: Clock) -> None:
    unused, used, unconfirmed = (new_id() for _ in range(3))
    for writer_id in (unused, used, unconfirmed):
        writer = await stores.writers.open(hello(writer_id))
        lost = of(1, sets(new_id(), "a")) if writer_id == unconfirmed else of(1)
        await stores.writers.apply(writer, writer.state, Writer(1, 1, 5), [lost])
    clock.now += 89 * DAY
    await stores.writers.open(hello(used, 1))
    await stores.writers.forget_unused()
    clock.now += 2 * DAY
    await stores.writers.forget_unused()
    for writer_id in (used, unconfirmed):
        await stores.writers.open(hello(writer_id, 1))
    with pytest.raises(FailedPrecondition) as caught:
        await stores.writers.open(hello(unused, 1))
    assert caught.value.reason == "WRITER_UNKNOWN"


class TestLeases:
    """Who is alive, and who fell silent."""

    @pytest.fixture
    async def run_id(self, stores: Stores) -> str:
        request = run_pb2.CreateRunRequest(experiment_id="0", run_id=new_id())
        return (await stores.runs.create(request)).run.run_id

    @staticmethod
    async def beat(stores: Stores, *run_ids: str) -> list[str]:
        return list((await stores.leases.beat(metric_pb2.HeartbeatRequest(run_ids=run_ids))).run_ids)

    async def test_a_silent_run_is_lost_until_it_beats(
        self, stores: Stores, clock: Clock, run_id: str
    ) -> None:
        clock.now += 5 * MINUTE
        assert await self.beat(stores, run_id, new_id()) == [run_id]
        clock.now += 2 * MINUTE - 1
        assert await stores.leases.mark_lost() == 0
        clock.now += 1
        assert await stores.leases.mark_lost() == 1
        assert await status(stores, run_id) == "LOST"
        assert await self.beat(stores, run_id) == [run_id]
        assert await status(stores, run_id) == "RUNNING"
        # The beat has opened a lease again.
        clock.now += 2 * MINUTE
        assert await stores.leases.mark_lost() == 1

    async def test_a_write_finds_it_again(self, stores: Stores, clock: Clock, run_id: str) -> None:
        await self.beat(stores, run_id)
        clock.now += 2 * MINUTE
        await stores.leases.mark_lost()
        await stores.runs.set_tags(run_pb2.SetRunTagsRequest(run_id=run_id, tags=[{"key": "a"}]))
        assert await status(stores, run_id) == "RUNNING"
        clock.now += 2 * MINUTE
        assert await stores.leases.mark_lost() == 1
        writer = await stores.writers.open(hello(new_id()))
        await stores.writers.apply(writer, writer.state, Writer(1, 1, 5), [of(1, sets(run_id, "p"))])
        assert await status(stores, run_id) == "RUNNING"

    async def test_silence_counts_from_the_start_of_the_server(
        self, engine: Engine, stores: Stores, clock: Clock, run_id: str
    ) -> None:
        await self.beat(stores, run_id)
        clock.now += DAY
        later = stores_on(engine, clock, random.Random(1))
        clock.now += 2 * MINUTE - 1
        assert await later.leases.mark_lost() == 0
        clock.now += 1
        assert await later.leases.mark_lost() == 1

    async def test_runs_without_a_lease_are_never_lost(
        self, stores: Stores, clock: Clock, run_id: str
    ) -> None:
        clock.now += DAY
        assert await stores.leases.mark_lost() == 0
        assert await status(stores, run_id) == "RUNNING"

    async def test_runs_that_have_ended_or_are_deleted(
        self, stores: Stores, clock: Clock, run_id: str
    ) -> None:
        other = (await stores.runs.create(run_pb2.CreateRunRequest(experiment_id="0"))).run.run_id
        await self.beat(stores, run_id, other)
        await stores.runs.finish(run_pb2.FinishRunRequest(run_id=run_id))
        await stores.runs.delete(run_pb2.DeleteRunRequest(run_id=other))
        assert await self.beat(stores, run_id, other) == []
        clock.now += DAY
        assert await stores.leases.mark_lost() == 0
        assert (await status(stores, run_id), await status(stores, other)) == ("FINISHED", "RUNNING")

    async def test_scheduled_runs_do_not_beat(self, stores: Stores) -> None:
        request = run_pb2.CreateRunRequest(experiment_id="0", status=run_pb2.RUN_STATUS_SCHEDULED)
        run_id = (await stores.runs.create(request)).run.run_id
        assert await self.beat(stores, run_id) == []
        assert await status(stores, run_id) == "SCHEDULED"
