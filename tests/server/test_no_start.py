"""What keeps a server from starting is said in one line; what its housekeeping meets does not end it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from tests.support.postgres import Postgres

from runwire_server import janitor
from runwire_server.errors import Unavailable


def refused(folder: Path, *arguments: str) -> str:
    """Runs a server that does not start, and returns its one line."""
    command = [sys.executable, "-m", "runwire_server", "--grpc-port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=folder)
    assert done.returncode == 1, done.stderr
    assert "ready" not in done.stdout
    (line,) = done.stderr.splitlines()
    return line


def test_a_ready_file_that_can_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "ready"
    assert f"{path} can not be written" in refused(tmp_path, "--ready-file", str(path))


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "can not be used" in refused(tmp_path, "--data-dir", str(tmp_path / "file" / "data"))


def test_a_user_who_may_not_make_tables(tmp_path: Path, postgres: Postgres) -> None:
    async def make() -> str:
        url = await postgres.create_database()
        connection = await asyncpg.connect(url)
        try:
            name = await connection.fetchval("SELECT 'low_' || current_database()")
            await connection.execute(f"CREATE ROLE {name} LOGIN")
        finally:
            await connection.close()
        return url.replace("postgres@", f"{name}@")

    line = refused(tmp_path, "--database", asyncio.run(make()))
    assert "permission denied" in line
    # Nothing of SQL, nothing of Python.
    assert "CREATE" not in line


def test_a_database_that_is_not_there(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.url("nowhere").replace("postgres@", "postgres:hushhush@") + "&password=hushhush"
    line = refused(tmp_path, "--database", url)
    assert "can not connect to postgresql://postgres:***@/nowhere" in line
    assert 'database "nowhere" does not exist' in line
    assert "hush" not in line


class Housekeeping:
    """Fails at first, in a way that is promised and in one that is not."""

    def __init__(self) -> None:
        self.failures: list[Exception] = [Unavailable("STORAGE_UNAVAILABLE", "away"), ValueError("a bug")]
        self.done = asyncio.Event()

    async def finish_purges(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    async def forget_requests(self) -> None:
        """There are none."""

    async def forget_unused(self) -> None:
        self.done.set()

    async def mark_lost(self) -> int:
        return 0


async def test_housekeeping_goes_on_after_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janitor, "INTERVAL_SECONDS", 0)
    housekeeping: Any = Housekeeping()
    stores: Any = SimpleNamespace(maintenance=housekeeping, writers=housekeeping, leases=housekeeping)
    working = asyncio.create_task(janitor.work(stores))
    await asyncio.wait_for(housekeeping.done.wait(), 120)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
