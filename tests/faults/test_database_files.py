"""Database files that can not be used: a clear line, exit code 1, and the file as it was."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from runwire_server.storage.stores import open_engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a server."""
    made = tmp_path / "data"
    made.mkdir()
    return made


@pytest.fixture
def database(folder: Path) -> Path:
    """A sound database, closed."""
    path = folder / "runwire.db"

    async def make() -> None:
        await (await open_engine(path)).close()

    asyncio.run(make())
    return path


def start(folder: Path, **how: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runwire_server", "--data-dir", str(folder), "--grpc-port", "0"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **how)


def assert_refused(done: subprocess.CompletedProcess[str], path: Path, *said: str) -> None:
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for words in (str(path), *said):
        assert words in done.stderr
    assert done.stdout == ""


def test_a_file_that_is_no_database(folder: Path) -> None:
    path = folder / "runwire.db"
    path.write_bytes(b"These are somebody's notes, not a database.\n" * 100)
    before = path.read_bytes()
    assert_refused(start(folder), path, "damaged or not a Runwire database", "was not changed")
    assert path.read_bytes() == before
    assert sorted(p.name for p in folder.iterdir()) == ["runwire.db", "runwire.lock"]


def test_a_database_whose_first_page_is_damaged(folder: Path, database: Path) -> None:
    data = bytearray(database.read_bytes())
    data[100:400] = b"\xff" * 300
    database.write_bytes(data)
    assert_refused(start(folder), database, "damaged", "was not changed")
    assert database.read_bytes() == data
    assert sorted(p.name for p in folder.iterdir()) == ["runwire.db", "runwire.lock"]


def test_a_database_that_was_cut_short(folder: Path, database: Path) -> None:
    data = database.read_bytes()[:6000]
    database.write_bytes(data)
    assert_refused(start(folder), database, "damaged", "was not changed")
    assert database.read_bytes() == data


def test_another_programs_database(folder: Path) -> None:
    path = folder / "runwire.db"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE experiments (name TEXT)")
        raw.execute("INSERT INTO experiments VALUES ('theirs')")
    raw.close()
    before = path.read_bytes()
    assert_refused(start(folder), path, "not a Runwire database", "was not changed")
    assert path.read_bytes() == before


def test_a_newer_schema(folder: Path, database: Path) -> None:
    with sqlite3.connect(database) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    before = database.read_bytes()
    assert_refused(start(folder), database, "9999", "newer", "was not changed")
    assert database.read_bytes() == before
    assert sorted(p.name for p in folder.iterdir()) == ["runwire.db", "runwire.lock"]


def test_a_newer_schema_that_is_still_in_the_log(folder: Path, database: Path) -> None:
    # As a newer server leaves it after kill -9: the version is in the write-ahead log only.
    script = (
        "import os, sqlite3, sys\n"
        "raw = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "raw.execute(\"UPDATE alembic_version SET version_num = '9999'\")\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, database], check=True)
    log = database.with_name("runwire.db-wal")
    assert log.stat().st_size > 0
    assert_refused(start(folder), database, "9999", "newer")
    with sqlite3.connect(database) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def start_without_privileges(folder: Path) -> subprocess.CompletedProcess[str]:
    """Starts the server so that what files say of who may write them holds for root too."""
    command = [sys.executable, "-m", "runwire_server", "--data-dir", str(folder), "--grpc-port", "0"]
    if os.getuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_database_that_the_user_may_only_read(folder: Path, database: Path) -> None:
    database.chmod(0o444)
    before = database.read_bytes()
    done = start_without_privileges(folder)
    assert_refused(done, database, "can not be written by this user", "was not changed")
    assert database.read_bytes() == before
    # And a folder in which nothing can be made.
    (folder / "runwire.lock").unlink()
    folder.chmod(0o555)
    done = start_without_privileges(folder)
    folder.chmod(0o755)
    assert_refused(done, folder, "can not be used")
