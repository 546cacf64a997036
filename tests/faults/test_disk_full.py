"""A full disk: refused in so many words, nothing half stored, and on it goes when there is space."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from tests.support.messages import (
    as_dict,
    block,
    get_run,
    history,
    log,
    new_run,
    point,
)
from tests.support.mounts import mounted
from tests.support.remote_stores import remote_stores
from tests.support.server import ServerProcess

from runwire_server import config
from runwire_server.app import clock, listening, working
from runwire_server.errors import ResourceExhausted
from runwire_server.storage.base import Stores
from runwire_server.storage.sqlite import SqliteEngine
from runwire_server.storage.stores import open_engine

KEYS = [f"k{i}" for i in range(8)]
# Some 64 KiB in a batch: 8,000 doubles.
ROWS = 1_000


async def set_limit(engine: SqliteEngine, more_pages: int) -> None:
    """Lets the database grow by so many pages and no further, as a full disk would."""
    writer = engine._writer
    (pages,) = await writer.run(lambda: writer._conn.execute("PRAGMA page_count").fetchone())
    await writer.run(lambda: writer._conn.execute(f"PRAGMA max_page_count = {pages + more_pages}").fetchone())


class SmallDisk:
    """A server whose disk is nearly full.

    Attributes:
        stores: Through gRPC.
        make_space: Lets the disk be larger.
    """

    def __init__(self, stores: Stores, make_space: Callable[[], Any]) -> None:
        self.stores = stores
        self.make_space = make_space


@contextlib.asynccontextmanager
async def on_small_file_system(tmp_path: Path) -> AsyncIterator[SmallDisk]:
    with mounted(tmp_path / "data", "3m"), ServerProcess(tmp_path / "data") as server:

        async def grow() -> None:
            command = ["mount", "-o", "remount,size=40m", tmp_path / "data"]
            await asyncio.to_thread(subprocess.run, command, check=True)

        async with grpc.aio.insecure_channel(server.address) as channel:
            yield SmallDisk(remote_stores(channel), grow)
        assert server.stop() == 0
        assert "Traceback" not in server.log


@contextlib.asynccontextmanager
async def on_few_pages(tmp_path: Path) -> AsyncIterator[SmallDisk]:
    engine = await open_engine(tmp_path / "runwire.db")
    assert isinstance(engine, SqliteEngine)
    try:
        await set_limit(engine, 400)
        settings = config.read(["--grpc-port", "0", "--grace", "0.01", "--data-dir", str(tmp_path)])
        async with (
            working(engine, clock, random.Random(1)) as metrics,
            listening(settings, metrics, engine.dialect) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield SmallDisk(remote_stores(channel), lambda: set_limit(engine, 10_000))
    finally:
        await engine.close()


@pytest.fixture(params=["file system", "pages"])
async def disk(request: pytest.FixtureRequest, tmp_path: Path, may_mount: bool) -> AsyncIterator[SmallDisk]:
    """A real small disk, and a database that may have few pages, which is possible everywhere."""
    real = request.param == "file system" and may_mount
    async with (on_small_file_system if real else on_few_pages)(tmp_path) as small:
        yield small


async def batch(stores: Stores, run: str, number: int) -> None:
    rows = [(number, [float(number)] * len(KEYS))] * ROWS
    await log(
        stores,
        run,
        block(KEYS, rows),
        params={f"p{number}": "x" * 1_000},
        tags={"last": str(number)},
        request_id=f"{run}-{number}",
    )


async def fill(stores: Stores, run: str) -> int:
    """Logs batches until the disk is full; returns how many were acknowledged."""
    error, stored = None, 0
    while error is None:
        try:
            await batch(stores, run, stored)
            stored += 1
        except ResourceExhausted as full:
            error = full
    assert error.reason == "STORAGE_FULL"
    assert error.retry_after
    assert "full" in str(error)
    return stored


async def assert_whole(stores: Stores, run: str, numbers: range) -> None:
    """Exactly these batches are there, each of them whole."""
    found = await get_run(stores, run)
    assert {p.key for p in found.params} == {f"p{n}" for n in numbers}
    assert as_dict(found.tags) == ({"last": str(numbers[-1])} if numbers else {})
    assert {m.key: m.count for m in found.metrics} == {key: ROWS * len(numbers) for key in KEYS}
    points = (await history(stores, run))[run]
    expected = [point(n, float(n)) for n in numbers for _ in range(ROWS)]
    for key in KEYS:
        assert points[key] == expected


async def test_a_full_disk_and_what_comes_after_it(disk: SmallDisk) -> None:
    stores = disk.stores
    run = (await new_run(stores)).run_id
    stored = await fill(stores, run)
    assert stored >= 3
    await assert_whole(stores, run, range(stored))
    # It stays full, and readable, however often one tries; and many at once fare no better.
    results = await asyncio.gather(
        *(batch(stores, run, stored + n) for n in range(8)), return_exceptions=True
    )
    assert {getattr(r, "reason", "stored") for r in results} == {"STORAGE_FULL"}
    await assert_whole(stores, run, range(stored))
    await disk.make_space()
    # The same request ids as before: what failed left no trace of them.
    for number in range(stored, stored + 8):
        await batch(stores, run, number)
        await batch(stores, run, number)
    await assert_whole(stores, run, range(stored + 8))


def test_no_space_for_a_new_database(tmp_path: Path, may_mount: bool) -> None:
    if not may_mount:
        pytest.skip("no small disk can be mounted here")
    with mounted(tmp_path / "data", "40k"):
        command = [
            sys.executable,
            "-m",
            "runwire_server",
            "--grpc-port",
            "0",
            "--data-dir",
            tmp_path / "data",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "disk is full" in done.stderr


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[SqliteEngine]:
    """An engine with one table, that may grow by 20 pages."""
    opened = await open_engine(tmp_path / "runwire.db")
    assert isinstance(opened, SqliteEngine)
    await opened.write(lambda c: c.exec_driver_sql("CREATE TABLE t (name TEXT, data BLOB)"))
    await set_limit(opened, 20)
    yield opened
    await opened.close()


class Unit:
    """Adds a row; keeps in mind how often it was run, and whether in a transaction that died under it."""

    def __init__(self, name: str, size: int, rows: int = 1) -> None:
        self.name = name
        self.runs = 0
        self.ended_the_transaction = False
        self._size = size
        self._rows = rows

    def __call__(self, connection: sa.Connection) -> str:
        self.runs += 1
        raw = connection.connection.dbapi_connection
        try:
            for _ in range(self._rows):
                raw.execute("INSERT INTO t VALUES (?, zeroblob(?))", (self.name, self._size))
        finally:
            self.ended_the_transaction |= not raw.in_transaction
        return self.name


async def at_once(engine: SqliteEngine, units: list[Unit]) -> list[Any]:
    """Has units committed in one transaction: they gather while the writer is held up."""
    busy, go = threading.Event(), threading.Event()

    def hold(connection: sa.Connection) -> None:
        busy.set()
        assert go.wait(120)

    holding = asyncio.ensure_future(engine.write(hold))
    await asyncio.to_thread(busy.wait, 120)
    waiting = [asyncio.ensure_future(engine.write(unit)) for unit in units]
    # A task's first step takes it to its place in the queue.
    await asyncio.sleep(0)
    assert len(engine._waiting) == len(units)
    go.set()
    await holding
    return await asyncio.gather(*waiting, return_exceptions=True)


async def names(engine: SqliteEngine) -> list[str]:
    return list(await engine.read(lambda c: c.exec_driver_sql("SELECT name FROM t").scalars().all()))


async def test_units_beside_the_one_that_fills_the_disk_are_stored_once(engine: SqliteEngine) -> None:
    units = [Unit(f"small {n}", 100) for n in range(6)]
    units.insert(3, Unit("big", 1_000_000))
    results = await at_once(engine, units)
    big = units[3]
    # The case that this is about: the error took the whole transaction, not just the unit.
    assert big.ended_the_transaction
    assert isinstance(results[3], ResourceExhausted)
    assert [r for r in results if isinstance(r, str)] == [f"small {n}" for n in range(6)]
    assert sorted(await names(engine)) == [f"small {n}" for n in range(6)]
    # Those before it were undone and run again.
    assert [unit.runs for unit in units] == [2, 2, 2, 2, 1, 1, 1]


async def test_those_that_fit_are_stored_and_the_others_are_not(engine: SqliteEngine) -> None:
    # Each needs 5 of the 20 pages.
    units = [Unit(f"unit {n}", 20_000) for n in range(8)]
    results = await at_once(engine, units)
    stored = [r for r in results if isinstance(r, str)]
    assert 1 <= len(stored) <= 4
    assert {r.reason for r in results if isinstance(r, ResourceExhausted)} == {"STORAGE_FULL"}
    assert len([r for r in results if isinstance(r, ResourceExhausted)]) == 8 - len(stored)
    assert sorted(await names(engine)) == sorted(stored)
    await set_limit(engine, 1_000)
    assert await at_once(engine, [Unit("after", 20_000)]) == ["after"]
    assert sorted(await names(engine)) == sorted([*stored, "after"])


async def test_a_unit_of_several_statements_leaves_none_of_them(engine: SqliteEngine) -> None:
    units = [Unit("first", 100), Unit("many", 30_000, rows=5), Unit("last", 100)]
    results = await at_once(engine, units)
    assert isinstance(results[1], ResourceExhausted)
    assert sorted(await names(engine)) == ["first", "last"]


async def test_a_lonely_unit_on_a_full_disk(engine: SqliteEngine) -> None:
    with pytest.raises(ResourceExhausted):
        await engine.write(Unit("big", 1_000_000))
    assert await engine.write(Unit("small", 100)) == "small"
    assert await names(engine) == ["small"]


async def test_callers_hear_of_a_commit_that_fails_in_a_way_nobody_foresaw(
    engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:

        def fail(units: list[Any]) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        broken.setattr(engine._writer, "commit_units", fail)
        results = await asyncio.wait_for(at_once_without_holding(engine), 120)
        assert {type(r) for r in results} == {sqlite3.OperationalError}
    assert await engine.write(Unit("after", 100)) == "after"


async def at_once_without_holding(engine: SqliteEngine) -> list[Any]:
    units = [Unit(f"unit {n}", 100) for n in range(3)]
    return await asyncio.gather(*(engine.write(unit) for unit in units), return_exceptions=True)


async def test_a_transaction_that_was_left_open_does_not_stop_the_next(engine: SqliteEngine) -> None:
    def leave_open() -> None:
        engine._writer._conn.execute("BEGIN IMMEDIATE")
        engine._writer._conn.execute("INSERT INTO t VALUES ('lost', NULL)")

    await engine._writer.run(leave_open)
    assert await at_once_without_holding(engine) == ["unit 0", "unit 1", "unit 2"]
    await engine._writer.run(leave_open)
    assert await engine.write(Unit("alone", 100)) == "alone"
    assert await names(engine) == ["unit 0", "unit 1", "unit 2", "alone"]
