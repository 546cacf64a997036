"""An SQLite file at the start and the end of its use: looked at, taken over, left."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from runwire_server.errors import StartupError
from runwire_server.storage.engine import Unit


def probe(raw: sqlite3.Connection) -> None:
    """Fails now, not at the first call, if the file can not be read or written."""
    raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
    raw.execute("BEGIN IMMEDIATE")
    raw.execute("PRAGMA user_version = 0")
    raw.execute("ROLLBACK")


def settle(raw: sqlite3.Connection) -> None:
    """Copies the log that a dead server has left into the database.

    Where that server's disk had failed, the log may be in the kernel's memory only, and taken for
    written: copied, it is written anew, and none of it is built upon before it is on disk.

    Raises:
        sqlite3.Error: if the disk fails again.
    """
    try:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        if not getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_BUSY")):
            raise


@contextlib.contextmanager
def kept_log(path: Path | None) -> Iterator[None]:
    """Has the connections that are closed within the block leave the log as it is; does nothing for None."""
    if path is None:
        yield
        return
    # The last one to go can not write, so it makes no checkpoint.
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as last:
        last.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield


def refused(path: Path | None, error: sqlite3.Error) -> StartupError:
    """Makes what a person is told of a file that can not be opened."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StartupError(f"{path} is damaged or not a Runwire database ({error}); it was not changed")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return StartupError(f"{path} can not be written by this user ({error}); it was not changed")
    return StartupError(f"{path} can not be opened: {error}")


def look_at(path: Path, check: Unit[None]) -> None:
    """Checks a database file without any chance of changing it.

    Raises:
        StartupError: what `check` raises, or that it is no database.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    # immutable: not even a lock or a -shm file is made. What a dead server left in the write-ahead log
    # is not seen that way, so where there is one it is read too.
    log = path.with_name(path.name + "-wal")
    mode = "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"
    connect = partial(sqlite3.connect, f"{path.as_uri()}?{mode}", uri=True)
    engine = sa.create_engine("sqlite://", creator=connect, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            check(connection)
    except sa.exc.DBAPIError as error:
        raise refused(path, cast("sqlite3.Error", error.orig)) from error
    except sqlite3.Error as error:
        raise refused(path, error) from error
    except StartupError as error:
        raise StartupError(f"{path} {error}") from error
