"""A server that stops under open streams: what came in is stored and acknowledged first."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path

import grpc
import sqlalchemy as sa
from tests.rpc.asking import Api, failure_of
from tests.rpc.streaming import counts, points
from tests.support.frames import Cutter, Frame, FrameStream, begin, new_id
from tests.support.server import ServerProcess

from runwire_server import config
from runwire_server.app import clock, listening, working
from runwire_server.metrics.frame_stream import FRAME_OVERHEAD
from runwire_server.metrics.ingest import Ingest
from runwire_server.storage.sqlite import SqliteEngine
from runwire_server.storage.stores import open_engine


def test_an_idle_stream_is_told_at_once(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server, grpc.insecure_channel(server.address) as channel:
        stream = FrameStream(channel, new_id())
        assert server.stop() == 0
        failure = failure_of(stream.error())
        assert (failure.code.name, failure.reason) == ("UNAVAILABLE", "SERVER_STOPPING")
        assert failure.retry is not None


async def test_frames_that_wait_are_stored_first(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path / "runwire.db")
    assert isinstance(engine, SqliteEngine)
    busy, go = threading.Event(), threading.Event()

    def hold(connection: sa.Connection) -> None:
        busy.set()
        assert go.wait(120)

    settings = config.read(["--grpc-port", "0", "--grace", "300", "--data-dir", str(tmp_path)])
    async with working(engine, clock, random.Random(1)) as metrics:
        serving = listening(settings, metrics, engine.dialect)
        with grpc.insecure_channel(await serving.__aenter__()) as channel:
            cutter, run_id = Cutter(), new_id()
            stream = await asyncio.to_thread(FrameStream, channel, cutter.writer_id)
            await asyncio.to_thread(stream.deliver, cutter.cut(begin(run_id)))
            holding = asyncio.ensure_future(engine.write(hold))
            await asyncio.to_thread(busy.wait, 120)
            sent = [cutter.cut(points(run_id, float(n), first=n)) for n in range(50)]
            stream.send(*sent)
            await taken_in(metrics.ingest, sent)
            stopping = asyncio.ensure_future(serving.__aexit__(None, None, None))
            await asyncio.to_thread(refused, channel)
            assert stream.acked == 1
            go.set()
            await holding
            failure = failure_of(await asyncio.to_thread(stream.error))
            assert failure.reason == "SERVER_STOPPING"
            assert stream.acked == 51
            await stopping
    await engine.close()
    with ServerProcess(tmp_path) as server, grpc.insecure_channel(server.address) as channel:
        assert counts(Api(channel), run_id) == {"loss": 50}


async def taken_in(ingest: Ingest, frames: list[Frame]) -> None:
    """Waits until the server has these frames in its queues."""
    weight = sum(len(frame.payload) + FRAME_OVERHEAD for frame in frames)
    async with asyncio.timeout(120):
        while True:
            if ingest.queued_bytes == weight:
                return
            await asyncio.sleep(0.01)


def refused(channel: grpc.Channel) -> None:
    """Opens streams until the server says that it stops."""
    while True:
        try:
            FrameStream(channel, new_id(), timeout=2).cancel()
        except TimeoutError:
            continue
        except grpc.RpcError as error:
            if failure_of(error).reason == "SERVER_STOPPING":
                return
            raise
