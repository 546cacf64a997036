"""Writers rest while compaction lags: large ones long, small ones hardly, none for ever."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from tests.support.frames import Cutter, Frame, batch, begin, block, new_id

from runwire.v1 import frame_pb2
from runwire_server.app import clock, working
from runwire_server.errors import Unavailable
from runwire_server.metrics import backlogs, compactor, pace
from runwire_server.metrics.frame_stream import FrameStream
from runwire_server.metrics.ingest import COMMIT_BYTES, SERVER_BYTES, Ingest
from runwire_server.metrics.pace import Pace
from runwire_server.storage.appended import Appended
from runwire_server.storage.engine import Engine
from runwire_server.storage.stores import stores_on

MIB = 1024 * 1024


class Lag:
    """As much as is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Writer:
    """A writer within this process."""

    def __init__(self, stream: FrameStream, cutter: Cutter) -> None:
        self.stream = stream
        self.cutter = cutter
        self.run_id = new_id()
        self.steps = 0

    @classmethod
    async def open(cls, ingest: Ingest) -> Writer:
        cutter = Cutter()
        writer = cls(await ingest.open(frame_pb2.Hello(writer_id=cutter.writer_id)), cutter)
        await writer.sends(cutter.cut(begin(writer.run_id)))
        await writer.acked()
        return writer

    def points(self, count: int) -> Frame:
        values, times = np.full(count, 0.5), np.arange(1, count + 1)
        made = block(["loss"], values, times=times, first=self.steps)
        self.steps += count
        return self.cutter.cut(batch(self.run_id, made))

    async def sends(self, *frames: Frame) -> None:
        for cut in frames:
            if self.stream.ended:
                return
            await self.stream.receive(
                frame_pb2.Frame(sequence=cut.sequence, previous_crc=cut.previous_crc, payload=cut.payload)
            )

    async def acked(self) -> None:
        """Waits until all is acknowledged."""
        while self.stream.committed.sequence < self.cutter.sequence:
            assert await self.stream.next_ack() is not None


@pytest.fixture
def lag() -> Lag:
    return Lag()


@pytest.fixture
async def ingest(engine: Engine, lag: Lag) -> AsyncIterator[Ingest]:
    async def follow(_: Sequence[Appended]) -> None:
        """Nobody follows."""

    stores = stores_on(engine, clock, random.Random(1))
    made = Ingest(stores.writers, follow, lambda *_: None, Pace(lag))
    yield made
    made.stop(Unavailable("SERVER_STOPPING", "it stops"))
    await made.close()


async def test_a_large_writer_rests_and_a_small_one_goes_on(ingest: Ingest, lag: Lag) -> None:
    large, small = await Writer.open(ingest), await Writer.open(ingest)
    lag.now = 5.0
    # A turn takes some of them; the rest waits for seconds.
    sent = [large.points(40_000) for _ in range(10)]
    await large.sends(*sent)
    for _ in range(20):
        await small.sends(small.points(1))
        await small.acked()
    assert large.stream.committed.sequence < large.cutter.sequence
    # A server that stops stores all that came in, without delay.
    ingest.stop(Unavailable("SERVER_STOPPING", "it stops"))
    await large.acked()


async def test_large_writers_leave_room_for_small_ones(ingest: Ingest, lag: Lag) -> None:
    large = [await Writer.open(ingest) for _ in range(9)]
    small = await Writer.open(ingest)
    lag.now = 5.0
    filling = [asyncio.ensure_future(one.sends(*fill(one))) for one in large]
    while ingest.queued_bytes < SERVER_BYTES // 2 - MIB:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    for _ in range(20):
        await small.sends(small.points(1))
        await small.acked()
        assert ingest.queued_bytes <= SERVER_BYTES
    assert not all(one.done() for one in filling)
    ingest.stop(Unavailable("SERVER_STOPPING", "it stops"))
    await asyncio.gather(*filling)


def fill(writer: Writer) -> list[Frame]:
    """Frames of some 8 MiB."""
    return [writer.points(60_000) for _ in range(9)]


async def test_the_backlog_stays_bounded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    due, behind, count = MIB // 4, 2 * MIB, 3
    monkeypatch.setattr(backlogs, "DUE_BYTES", due)
    monkeypatch.setattr(compactor, "BEHIND_BYTES", behind)
    monkeypatch.setattr(pace, "TOP_RATE", 4 * MIB)
    monkeypatch.setattr(pace, "LEAST_RATE", MIB // 2)
    async with working(engine, clock, random.Random(1)) as metrics:
        writers = [await Writer.open(metrics.ingest) for _ in range(count)]
        seen = 0

        async def write(writer: Writer) -> None:
            nonlocal seen
            for _ in range(16):
                await writer.sends(writer.points(20_000))
                await writer.acked()
                seen = max(seen, metrics.compactor.backlog_bytes)

        await asyncio.gather(*[write(writer) for writer in writers])
    written = count * 16 * 20_000 * 24
    # What is not due yet of each run, and what each brings before its first rest.
    assert seen <= 2 * behind + count * (due + MIB) < written / 2


@pytest.mark.parametrize(("lagging", "seconds"), [(0.99, 0.0), (1.0, 1 / 32), (1.5, 1 / 16), (9.0, 2.0)])
async def test_the_more_it_lags_the_longer(lag: Lag, lagging: float, seconds: float) -> None:
    lag.now = lagging
    assert Pace(lag).rest(MIB // 2, 4) == pytest.approx(seconds)
    assert Pace(lag).rest(MIB * 64, 100) <= pace.LONGEST_REST


async def test_a_firehose_does_not_keep_others_from_their_turn(ingest: Ingest) -> None:
    firehose, small = await Writer.open(ingest), await Writer.open(ingest)
    for _ in range(3):
        filling = asyncio.ensure_future(firehose.sends(*fill(firehose)))
        # Its window is full, and all of it waits before the other's frame.
        while firehose.stream.weight < 7 * MIB:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        before = firehose.stream.stored.sequence
        await small.sends(small.points(1))
        await small.acked()
        # What was on its way already, what shared its commit, and one that was larger than its turn.
        assert firehose.stream.committed.sequence - before <= 2 * COMMIT_BYTES // MIB + 1
        await filling
        await firehose.acked()
