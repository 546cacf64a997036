"""What only the SQLite engine does."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from runwire_server.errors import Unavailable
from runwire_server.storage.engine import Unit
from runwire_server.storage.migrations import check
from runwire_server.storage.sqlite import READERS, SqliteEngine
from runwire_server.storage.stores import open_engine
from runwire_server.storage.wal import CHECKPOINT_BYTES

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_a_read_that_nobody_waits_for_is_ended(tmp_path: Path) -> None:
    engine = await SqliteEngine.open(tmp_path / "x.db", check)
    try:
        for _ in range(READERS + 1):
            started = asyncio.Event()
            loop = asyncio.get_running_loop()

            def endless(connection: sa.Connection, started=started, loop=loop) -> None:
                loop.call_soon_threadsafe(started.set)
                connection.exec_driver_sql(ENDLESS).all()

            reading = asyncio.create_task(engine.read(endless))
            await started.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        assert await engine.read(lambda c: c.scalar(sa.text("SELECT 1"))) == 1
    finally:
        await engine.close()


async def test_a_reader_can_not_write(tmp_path: Path) -> None:
    engine = await SqliteEngine.open(tmp_path / "x.db", check)
    try:
        with pytest.raises(Unavailable):
            await engine.read(lambda c: c.exec_driver_sql("CREATE TABLE t (a)"))
        assert await engine.read(lambda c: c.exec_driver_sql("SELECT * FROM sqlite_master").all()) == []
    finally:
        await engine.close()


async def test_a_write_whose_caller_has_gone_before_its_turn_is_not_made(tmp_path: Path) -> None:
    engine = await SqliteEngine.open(tmp_path / "x.db", check)
    try:
        await engine.write(lambda c: c.exec_driver_sql("CREATE TABLE t (a)"))
        gone = asyncio.create_task(engine.write(lambda c: c.exec_driver_sql("INSERT INTO t VALUES (1)")))
        kept = asyncio.create_task(engine.write(lambda c: c.exec_driver_sql("INSERT INTO t VALUES (2)")))
        # Both wait from their first step on; the committing task has not run yet.
        await asyncio.sleep(0)
        gone.cancel()
        await kept
        assert await engine.read(lambda c: c.exec_driver_sql("SELECT a FROM t").scalars().all()) == [2]
    finally:
        await engine.close()


class Watching:
    """An observer that counts."""

    def __init__(self) -> None:
        self.commits: list[tuple[float, float]] = []
        self.checkpoints: list[float] = []

    def committed(self, seconds: float, synced: float) -> None:
        self.commits.append((seconds, synced))

    def checkpointed(self, seconds: float) -> None:
        self.checkpoints.append(seconds)


def insert(size: int) -> Unit[Any]:
    """Writes so many bytes."""
    return lambda c: c.exec_driver_sql("INSERT INTO t VALUES (zeroblob(?))", (size,))


async def test_the_log_is_copied_after_each_16_mib_and_used_again(tmp_path: Path) -> None:
    path, observer = tmp_path / "x.db", Watching()
    engine = await SqliteEngine.open(path, check, observer)
    try:
        await engine.write(lambda c: c.exec_driver_sql("CREATE TABLE t (a)"))
        sizes = [await in_log(engine, insert(2**20)) for _ in range(40)]
        assert len(observer.checkpoints) == 2
        assert len(observer.commits) == 41
        assert all(seconds >= synced > 0 for seconds, synced in observer.commits)
        assert max(sizes) < CHECKPOINT_BYTES + 3 * 2**20
        assert sum(later < earlier for earlier, later in itertools.pairwise(sizes)) == 2
        assert (tmp_path / "x.db-wal").stat().st_size < 20 * 2**20
    finally:
        await engine.close()


async def in_log(engine: SqliteEngine, unit: Unit[Any]) -> int:
    """Runs a unit; returns what the log holds then, once a checkpoint that was due is made."""
    await engine.write(unit)
    size = engine.wal_bytes
    while engine._committing is not None:
        await asyncio.wait([engine._committing])
    return size


async def test_what_is_in_the_log_is_known_without_a_checkpoint(tmp_path: Path) -> None:
    engine = await SqliteEngine.open(tmp_path / "x.db", check)
    writer = engine._writer
    try:
        await engine.write(lambda c: c.exec_driver_sql("CREATE TABLE t (a)"))
        for sizes in ([1], [9_000, 1, 1, 400_000], [3_000_000], [1] * 20, [70_000, 70_000]):
            for size in sizes:
                seen = await in_log(engine, insert(size))
            _, frames, copied = await writer.run(
                lambda: writer._conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            )
            assert seen == frames * (4096 + 24) > 0
            # So the next commit starts the log over.
            assert copied == frames
    finally:
        await engine.close()


async def test_a_log_that_a_reader_holds_grows_and_is_then_cut(tmp_path: Path) -> None:
    path, observer = tmp_path / "x.db", Watching()
    engine = await SqliteEngine.open(path, check, observer)
    log = tmp_path / "x.db-wal"
    try:
        await engine.write(lambda c: c.exec_driver_sql("CREATE TABLE t (a)"))
        await engine.write(insert(1))
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
        for _ in range(12):
            await engine.write(insert(8 * 2**20))
        assert engine.wal_bytes > 96 * 2**20
        # Not after each commit, though it did no good.
        assert len(observer.checkpoints) <= 6
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
        reader.close()
        for _ in range(4):
            await engine.write(insert(8 * 2**20))
        assert engine.wal_bytes < 64 * 2**20
        assert log.stat().st_size <= 64 * 2**20
        assert await engine.read(lambda c: c.scalar(sa.text("SELECT count(*) FROM t"))) == 17
    finally:
        await engine.close()
    assert not log.exists()


async def test_the_log_of_a_dead_server_is_copied_before_anything_is_added(tmp_path: Path) -> None:
    (tmp_path / "dead").mkdir()
    dead = tmp_path / "dead" / "x.db"
    engine = await open_engine(tmp_path / "x.db")
    await engine.write(lambda c: c.exec_driver_sql("CREATE TABLE t (a)"))
    await engine.write(insert(1))
    for name in ("x.db", "x.db-wal"):
        (tmp_path / "dead" / name).write_bytes((tmp_path / name).read_bytes())
    await engine.close()
    log = dead.with_name("x.db-wal")
    assert log.stat().st_size > 0
    engine = await SqliteEngine.open(dead, check)
    try:
        assert log.stat().st_size == 0
        assert await engine.read(lambda c: c.scalar(sa.text("SELECT count(*) FROM t"))) == 1
    finally:
        await engine.close()
