"""What only the SQLite engine does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from runwire_server.errors import Unavailable
from runwire_server.storage.migrations import check
from runwire_server.storage.sqlite import READERS, SqliteEngine

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
