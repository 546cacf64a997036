"""PostgreSQL dies and comes back: callers are told to wait, and then it goes on by itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from tests.support.messages import column, find, get_run, history, log, new_run, point
from tests.support.postgres import Postgres
from tests.support.remote_stores import remote_stores
from tests.support.server import ServerProcess

from runwire_server.errors import Aborted, RunwireError, StartupError, Unavailable
from runwire_server.storage import postgresql
from runwire_server.storage.base import Stores
from runwire_server.storage.engine import Engine
from runwire_server.storage.postgresql import ATTEMPTS
from runwire_server.storage.stores import open_engine


@pytest.fixture
def mortal() -> Iterator[Postgres]:
    """A PostgreSQL that a test may kill."""
    instance = Postgres()
    try:
        instance.start()
        yield instance
    finally:
        instance.close()


@pytest.fixture
async def served(mortal: Postgres, tmp_path: Path) -> AsyncIterator[Stores]:
    """The stores of a server process on it, through gRPC."""
    with ServerProcess(tmp_path / "data", "--database", await mortal.create_database()) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield remote_stores(channel)
        assert await asyncio.to_thread(server.stop) == 0
        # What is expected to happen is no reason for a stack in the log.
        assert "Traceback" not in server.log


async def refusals(*calls: Any) -> list[RunwireError]:
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(r, RunwireError) for r in results), results
    return [r for r in results if isinstance(r, RunwireError)]


async def test_while_it_is_away_every_call_says_so(mortal: Postgres, served: Stores) -> None:
    run = (await new_run(served)).run_id
    # As many connections as there may be, so that all of them are dead.
    await asyncio.gather(*(log(served, run, column("a", (n, 1.0)), request_id=f"{n}") for n in range(40)))
    mortal.kill()
    for attempt in range(2):
        refused = await refusals(
            *(log(served, run, column("a", (100, 1.0)), request_id="again") for _ in range(10)),
            *(get_run(served, run) for _ in range(10)),
            find(served, "0"),
            history(served, run),
            new_run(served),
        )
        assert {(type(r), r.reason) for r in refused} == {(Unavailable, "STORAGE_UNAVAILABLE")}, attempt
        assert all(r.retry_after for r in refused)
        # Driver texts stay in the server.
        assert {str(r) for r in refused} == {"the database can not be reached at present"}
    mortal.start()
    # At once, without a start of the server: dead connections are not handed to callers.
    await asyncio.gather(*(log(served, run, column("a", (100, 1.0)), request_id="again") for _ in range(20)))
    points = (await history(served, run))[run]["a"]
    assert points == [point(n, 1.0) for n in (*range(40), 100)]


async def test_calls_that_are_cut_off_are_stored_once_after_a_repeat(
    mortal: Postgres, served: Stores
) -> None:
    run = (await new_run(served)).run_id

    async def keep_at_it(number: int) -> int:
        attempts = 0
        while True:
            attempts += 1
            try:
                await log(served, run, column("a", (number, 1.0)), request_id=f"{number}")
                return attempts
            except Unavailable as error:
                # The server says when; tests are in more of a hurry.
                await asyncio.sleep((error.retry_after or 1000) / 20)

    writing = [asyncio.ensure_future(keep_at_it(n)) for n in range(150)]
    await asyncio.wait(writing[:20], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.to_thread(mortal.kill)
    await asyncio.to_thread(mortal.start)
    attempts = await asyncio.gather(*writing)
    assert max(attempts) > 1
    assert (await history(served, run))[run]["a"] == [point(n, 1.0) for n in range(150)]


async def test_a_server_does_not_start_without_its_database(mortal: Postgres, tmp_path: Path) -> None:
    url = await mortal.create_database()
    mortal.kill()
    command = [sys.executable, "-m", "runwire_server", "--grpc-port", "0", "--database"]
    for where in (url, "postgresql://someone:secret@127.0.0.1:1/nowhere"):
        done = await asyncio.to_thread(
            subprocess.run, [*command, where], capture_output=True, text=True, cwd=tmp_path, timeout=120
        )
        assert done.returncode == 1
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "can not connect to postgresql://" in done.stderr
        assert "secret" not in done.stderr


@pytest.fixture
async def engine(postgres: Postgres) -> AsyncIterator[Engine]:
    """An engine with two rows to fight over."""
    opened = await open_engine(await postgres.create_database())

    def make(connection: sa.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE t (id INT PRIMARY KEY, value INT)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 0), (2, 0)")

    await opened.write(make)
    yield opened
    await opened.close()


async def values(engine: Engine) -> dict[int, int]:
    return await engine.read(lambda c: {r[0]: r[1] for r in c.exec_driver_sql("SELECT id, value FROM t")})


async def test_a_deadlock_is_run_again(engine: Engine) -> None:
    """Two units take two rows in opposite orders, the first time each waits for the other to have one."""
    meet, runs = asyncio.Barrier(2), []

    def unit(first: int, second: int) -> Any:
        def run(connection: sa.Connection) -> None:
            runs.append(first)
            connection.exec_driver_sql(f"UPDATE t SET value = value + 1 WHERE id = {first}")
            if len(runs) <= 2:
                sa.util.await_only(meet.wait())
            connection.exec_driver_sql(f"UPDATE t SET value = value + 1 WHERE id = {second}")

        return run

    await asyncio.gather(engine.write(unit(1, 2)), engine.write(unit(2, 1)))
    assert len(runs) == 3
    assert await values(engine) == {1: 2, 2: 2}


async def test_a_conflict_is_run_again_and_given_up_in_the_end(engine: Engine) -> None:
    runs = []

    def conflict(times: int) -> Any:
        def run(connection: sa.Connection) -> str:
            connection.exec_driver_sql("UPDATE t SET value = value + 1")
            runs.append(1)
            if len(runs) <= times:
                connection.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")
            return "done"

        return run

    assert await engine.write(conflict(ATTEMPTS - 1)) == "done"
    assert await values(engine) == {1: 1, 2: 1}
    runs.clear()
    with pytest.raises(Aborted) as refused:
        await engine.write(conflict(ATTEMPTS))
    assert (refused.value.reason, len(runs)) == ("STORAGE_CONFLICT", ATTEMPTS)
    assert refused.value.retry_after
    assert await values(engine) == {1: 1, 2: 1}


@pytest.mark.parametrize(
    ("state", "kind", "reason"),
    [
        ("53100", "ResourceExhausted", "STORAGE_FULL"),
        ("57P01", "Unavailable", "STORAGE_UNAVAILABLE"),
        ("53300", "Unavailable", "STORAGE_UNAVAILABLE"),
        ("25006", "Unavailable", "STORAGE_UNAVAILABLE"),
    ],
)
async def test_what_postgresql_says_in_need(engine: Engine, state: str, kind: str, reason: str) -> None:
    def unit(connection: sa.Connection) -> None:
        connection.exec_driver_sql("UPDATE t SET value = value + 1")
        connection.exec_driver_sql(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$")

    with pytest.raises(RunwireError) as refused:
        await engine.write(unit)
    assert (type(refused.value).__name__, refused.value.reason) == (kind, reason)
    assert refused.value.retry_after
    assert await values(engine) == {1: 0, 2: 0}


async def test_a_database_that_hangs_is_not_waited_for(
    mortal: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await open_engine(await mortal.create_database())
    await engine.write(lambda c: c.exec_driver_sql("CREATE TABLE t (a INT)"))

    def insert(connection: sa.Connection) -> None:
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")

    try:
        # Connections that are open already, so that none is made meanwhile.
        await asyncio.gather(
            *(engine.read(lambda c: c.scalar(sa.text("SELECT pg_sleep(0.1)"))) for _ in range(4))
        )
        mortal.hang()
        with monkeypatch.context() as hasty:
            # Only now: what is to work has its time.
            hasty.setattr(postgresql, "UNIT_SECONDS", 1.0)
            began = time.monotonic()
            refused = await refusals(
                engine.write(insert),
                engine.write(insert),
                engine.read(lambda c: c.scalar(sa.text("SELECT 1"))),
            )
        assert {r.reason for r in refused} == {"STORAGE_UNAVAILABLE"}
        assert time.monotonic() - began < postgresql.UNIT_SECONDS
        mortal.go_on()
        await engine.write(insert)
        # What was given up may have been stored, or not.
        count = await engine.read(lambda c: c.scalar(sa.text("SELECT count(*) FROM t")))
        assert 1 <= count <= 3
    finally:
        mortal.go_on()
        await engine.close()


async def test_a_statement_that_takes_too_long_is_ended_by_the_database(
    mortal: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "STATEMENT_SECONDS", 1)
    engine = await open_engine(await mortal.create_database())
    try:
        for run in (engine.read, engine.write):
            with pytest.raises(Unavailable) as refused:
                await run(lambda c: c.scalar(sa.text("SELECT pg_sleep(60)")))
            assert refused.value.reason == "STORAGE_UNAVAILABLE"
        assert await engine.migrate(lambda c: c.scalar(sa.text("SELECT 1 FROM pg_sleep(1.2)"))) == 1
    finally:
        await engine.close()


async def test_a_database_that_has_no_place_left_is_away_too(mortal: Postgres) -> None:
    """It answers, but refuses the connection; that comes another way than a failed statement."""
    url = await mortal.create_database()
    engine = await open_engine(url)
    await engine.write(lambda c: c.exec_driver_sql("ALTER ROLE postgres NOSUPERUSER"))
    await engine.close()
    engine = await open_engine(url)
    try:
        name = url.partition("?")[0].rpartition("/")[2]
        await engine.write(lambda c: c.exec_driver_sql(f"ALTER DATABASE {name} CONNECTION LIMIT 1"))
        calls = [engine.write(lambda c: c.scalar(sa.text("SELECT pg_sleep(0.2)"))) for _ in range(4)]
        calls += [engine.read(lambda c: c.scalar(sa.text("SELECT 1"))) for _ in range(4)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert {r.reason for r in results if isinstance(r, Exception)} == {"STORAGE_UNAVAILABLE"}
    finally:
        await engine.close()


async def test_a_database_that_is_still_starting_is_away_too(mortal: Postgres) -> None:
    fields = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"E" + (4 + len(fields)).to_bytes(4, "big") + fields)
        writer.close()
        await writer.wait_closed()

    url = await mortal.create_database()
    engine = await open_engine(url)
    try:
        mortal.kill()
        socket = mortal.folder / ".s.PGSQL.5432"
        socket.unlink()
        async with await asyncio.start_unix_server(refuse, socket):
            refused = await refusals(
                # The first calls meet the dead connections.
                *(engine.read(lambda c: c.scalar(sa.text("SELECT 1"))) for _ in range(3)),
            )
            refused += await refusals(
                engine.write(lambda c: c.scalar(sa.text("SELECT 1"))),
                engine.read(lambda c: c.scalar(sa.text("SELECT 1"))),
            )
            assert {r.reason for r in refused} == {"STORAGE_UNAVAILABLE"}
            with pytest.raises(StartupError, match="starting up"):
                await open_engine(url)
    finally:
        await engine.close()
