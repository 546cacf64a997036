"""What a stop in order promises to callers, and a start to what a crash has left."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from tests.support.messages import block, column, delete_run, get_run, history, log, new_run, params_of, point
from tests.support.remote_stores import remote_stores
from tests.support.server import ServerProcess

from runwire.v1 import server_pb2
from runwire_server import config
from runwire_server.app import clock, listening, working
from runwire_server.errors import NotFound, RunwireError, Unavailable
from runwire_server.interceptors import LINGER_SECONDS
from runwire_server.storage.base import Stores
from runwire_server.storage.purge import SqlMaintenance
from runwire_server.storage.sqlite import SqliteEngine
from runwire_server.storage.stores import open_engine, stores_on

KEYS = [f"k{n}" for n in range(20)]


async def write_until_refused(
    stores: Stores, run: str, writer: int, went: asyncio.Event
) -> tuple[set[int], str]:
    """Logs batch after batch; returns the steps that were acknowledged, and why it ended."""
    acked: set[int] = set()
    while True:
        step = writer * 10**6 + len(acked)
        try:
            await log(stores, run, block(KEYS, [(step, [1.0] * len(KEYS))]))
        except RunwireError as error:
            return acked, error.reason
        acked.add(step)
        if len(acked) == 3:
            went.set()


@pytest.mark.parametrize("attempt", range(3))
async def test_a_stop_under_load_leaves_no_write_without_its_answer(tmp_path: Path, attempt: int) -> None:
    """What is stored is exactly what was acknowledged: nobody has to ask again whether it worked."""
    server = ServerProcess(tmp_path / "data", "--grace", "300")
    with server:
        channels = [
            grpc.aio.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)])
            for _ in range(4)
        ]
        stores = [remote_stores(channel) for channel in channels]
        run = (await new_run(stores[0])).run_id
        went = [asyncio.Event() for _ in range(12)]
        writers = [
            asyncio.ensure_future(write_until_refused(stores[n % 4], run, n, event))
            for n, event in enumerate(went)
        ]
        going = asyncio.gather(*(event.wait() for event in went))
        await asyncio.wait([going, *writers], return_when=asyncio.FIRST_COMPLETED)
        assert going.done(), [writer.result() for writer in writers if writer.done()]
        assert await asyncio.to_thread(server.stop) == 0
        outcomes = await asyncio.gather(*writers)
        for channel in channels:
            await channel.close()
        # The last two come from gRPC itself, for calls that came after the door was gone.
        reasons = {reason for _, reason in outcomes}
        assert "SERVER_STOPPING" in reasons
        assert reasons <= {"SERVER_STOPPING", "gRPC UNAVAILABLE", "gRPC CANCELLED"}
        await asyncio.to_thread(server.start)
        async with grpc.aio.insecure_channel(server.address) as channel:
            points = (await history(remote_stores(channel), run))[run]["k0"]
        assert {p.step for p in points} == set().union(*(acked for acked, _ in outcomes))


async def test_writes_that_wait_for_their_turn_are_answered(tmp_path: Path) -> None:
    engine = await open_engine(tmp_path / "runwire.db")
    assert isinstance(engine, SqliteEngine)
    over = working(engine, clock, random.Random(1))
    metrics = await over.__aenter__()
    stores = metrics.stores
    run = (await new_run(stores)).run_id
    busy, go = threading.Event(), threading.Event()

    def hold(connection: sa.Connection) -> None:
        busy.set()
        assert go.wait(120)

    settings = config.read(["--grpc-port", "0", "--grace", "300", "--data-dir", str(tmp_path)])
    serving = listening(settings, metrics, engine.dialect)
    async with grpc.aio.insecure_channel(await serving.__aenter__()) as channel:
        remote = remote_stores(channel)
        holding = asyncio.ensure_future(engine.write(hold))
        await asyncio.to_thread(busy.wait, 120)
        writes = [asyncio.ensure_future(log(remote, run, column("a", (n, 1.0)))) for n in range(5)]
        await until(lambda: len(engine._waiting) == 5)
        stopping = asyncio.ensure_future(serving.__aexit__(None, None, None))
        await until_refused(remote, run)
        # Beyond the time for which the door stays open anyway.
        await asyncio.sleep(2 * LINGER_SECONDS)
        assert not any(write.done() for write in writes)
        go.set()
        await asyncio.gather(holding, *writes)
        await stopping
    assert (await history(stores, run))[run]["a"] == [point(n, 1.0) for n in range(5)]
    await over.__aexit__(None, None, None)
    await engine.close()


async def until_refused(stores: Stores, run: str) -> None:
    """Calls until the server says that it stops."""
    with pytest.raises(Unavailable, match="stopping"):  # noqa: PT012
        while True:
            await get_run(stores, run)


async def test_a_start_finishes_an_interrupted_purge(tmp_path: Path) -> None:
    path = tmp_path / "data" / "runwire.db"
    path.parent.mkdir()
    engine = await open_engine(path)
    stores = stores_on(engine, clock, random.Random(1))
    many = {f"k{n}": "v" for n in range(900)}
    runs = [(await new_run(stores, params=params_of(many))).run_id for _ in range(5)]
    for run in runs:
        await delete_run(stores, run)
    with pytest.raises(ConnectionError):
        await SqlMaintenance(Interrupted(engine), clock).purge(server_pb2.PurgeRequest())
    await engine.close()
    assert count(path, "params") == 900 * 5
    with ServerProcess(path.parent) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            with pytest.raises(NotFound):
                await get_run(remote_stores(channel), runs[0])
        # It works beside the calls, and says nothing when it is done.
        await until(lambda: count(path, "params") == 0)
        await until(lambda: count(path, "runs WHERE purging = 1") == 0)
        assert count(path, "runs") == 5


class Interrupted:
    """An engine that marks what is to be purged, and then is no more."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._writes = 0

    async def write(self, unit: Any) -> Any:
        self._writes += 1
        if self._writes > 1:
            raise ConnectionError
        return await self._engine.write(unit)


def count(path: Path, rows: str) -> int:
    raw = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return int(raw.execute(f"SELECT count(*) FROM {rows}").fetchone()[0])
    finally:
        raw.close()


async def until(holds: Callable[[], bool]) -> None:
    """Looks again and again, for two minutes at most, where nothing tells of the change."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def test_standard_output_has_the_ready_line_and_no_more(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data").start()
    process = server.process
    assert process
    assert process.stdout
    process.terminate()
    # The first line was read at the start.
    assert process.stdout.read() == ""
    process.stdout.close()
    assert process.wait(timeout=120) == 0
