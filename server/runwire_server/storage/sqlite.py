"""SQLite: one connection that writes and checkpoints, a few that read, group commit."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.pool import NullPool, StaticPool

from runwire_server.errors import ResourceExhausted, StartupError, Unavailable
from runwire_server.storage.engine import Unit

T = TypeVar("T")

# Readers beyond the cores only wait for the interpreter.
READERS = 3

# synchronous=FULL: a commit is on disk when it returns. Temporary structures stay in memory, so that a
# full disk can not break a savepoint.
WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -65536",
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA journal_size_limit = 67108864",
)
READER_PRAGMAS = (
    "PRAGMA query_only = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -65536",
)
# LIKE tells A from a on PostgreSQL; here it has to be told to.
COMMON_PRAGMAS = ("PRAGMA case_sensitive_like = ON", "PRAGMA busy_timeout = 5000")

# A unit's outcome: (True, its result) or (False, what it raised).
Outcome = tuple[bool, Any]


class UnitConnection(aiosqlite.Connection):
    """A connection whose thread takes a whole unit in one hop.

    A hop between the event loop and the thread costs some 100 us, more than most statements do.
    """

    sqlalchemy: sa.Connection

    async def run(self, function: Callable[[], T]) -> T:
        """Runs a function in the connection's thread."""
        return await cast("Awaitable[T]", self._execute(function))  # type: ignore[no-untyped-call]

    @classmethod
    async def open(cls, path: str, pragmas: tuple[str, ...]) -> UnitConnection:
        """Opens the file (`:memory:` too) in a thread of its own, in driver-level autocommit.

        Raises:
            sqlite3.Error: if it can not be opened.
        """
        connect = partial(sqlite3.connect, path, isolation_level=None, cached_statements=512)
        connection = cls(connect, iter_chunk_size=64)
        await connection
        try:
            await connection.run(partial(connection._prepare, pragmas))
        except BaseException:
            await connection.close()
            raise
        return connection

    def _prepare(self, pragmas: tuple[str, ...]) -> None:
        for pragma in (*pragmas, *COMMON_PRAGMAS):
            self._conn.execute(pragma)
        # BEGIN and COMMIT are ours; SQLAlchemy only makes SQL on top of the open connection.
        engine = sa.create_engine(
            "sqlite://", creator=lambda: self._conn, poolclass=StaticPool, isolation_level="AUTOCOMMIT"
        )
        self.sqlalchemy = engine.connect()

    def read(self, unit: Unit[T]) -> T:
        """Runs a unit on a snapshot; in the connection's thread."""
        self._conn.execute("BEGIN")
        try:
            return unit(self.sqlalchemy)
        finally:
            # A failed statement may have ended the transaction already.
            if self._conn.in_transaction:
                self._conn.execute("ROLLBACK")

    def commit_units(self, units: list[Unit[Any]]) -> list[Outcome]:
        """Runs units in one transaction, each in a savepoint; in the connection's thread.

        Some errors, a full disk among them, end the whole transaction. Then nothing of it counts, and
        each unit is run again in a transaction of its own.

        Raises:
            sqlite3.Error: if not even undoing works.
        """
        # What could not be undone the last time is undone now.
        self._roll_back()
        if len(units) == 1:
            return [self._commit_alone(units[0])]
        raw = self._conn
        outcomes: list[Outcome] = []
        try:
            raw.execute("BEGIN IMMEDIATE")
            for unit in units:
                outcomes.append(self._in_savepoint(unit))
                if not raw.in_transaction:
                    return [self._commit_alone(u) for u in units]
            raw.execute("COMMIT")
        except sqlite3.Error:
            self._roll_back()
            return [self._commit_alone(u) for u in units]
        return outcomes

    def _roll_back(self) -> None:
        if self._conn.in_transaction:
            self._conn.execute("ROLLBACK")

    def _in_savepoint(self, unit: Unit[Any]) -> Outcome:
        raw = self._conn
        raw.execute("SAVEPOINT unit")
        try:
            outcome = (True, unit(self.sqlalchemy))
        except Exception as error:
            if raw.in_transaction:
                raw.execute("ROLLBACK TO unit")
                raw.execute("RELEASE unit")
            return (False, translated(error))
        raw.execute("RELEASE unit")
        return outcome

    def _commit_alone(self, unit: Unit[Any]) -> Outcome:
        raw = self._conn
        try:
            raw.execute("BEGIN IMMEDIATE")
            result = unit(self.sqlalchemy)
            raw.execute("COMMIT")
        except Exception as error:
            self._roll_back()
            return (False, translated(error))
        return (True, result)


class SqliteEngine:
    """Units on one SQLite database, of which this process is the only user."""

    dialect = "sqlite"

    def __init__(self, writer: UnitConnection, readers: list[UnitConnection]) -> None:
        self._writer = writer
        self._readers = readers
        self._idle: asyncio.Queue[UnitConnection] = asyncio.Queue()
        # In memory there is one connection, and its thread takes turns.
        for reader in readers or [writer]:
            self._idle.put_nowait(reader)
        self._waiting: list[tuple[Unit[Any], asyncio.Future[Any]]] = []
        self._committing: asyncio.Task[None] | None = None
        self._endings: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, path: Path | None, check: Unit[None]) -> SqliteEngine:
        """Opens a database file, or one in memory for None.

        Args:
            path: The file; made when it is not there.
            check: Looks at an existing file before anything is done to it.

        Raises:
            StartupError: if the file is not a database, is damaged or can not be written.
        """
        if path is not None:
            await asyncio.to_thread(_look_at, path, check)
        try:
            writer = await UnitConnection.open(str(path or ":memory:"), WRITER_PRAGMAS)
            try:
                await writer.run(partial(_probe, writer))
                readers = [
                    await UnitConnection.open(str(path), READER_PRAGMAS)
                    for _ in range(READERS if path else 0)
                ]
            except BaseException:
                await writer.close()
                raise
        except sqlite3.Error as error:
            raise _refused(path, error) from error
        return cls(writer, readers)

    async def write(self, unit: Unit[T]) -> T:
        """See `Engine.write`."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((unit, future))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_waiting())
        return await future

    async def _commit_waiting(self) -> None:
        """Commits what waits, all of it at once, until nothing does."""
        try:
            while self._waiting:
                # A caller that has gone before its turn is not worked for.
                batch = [(u, f) for u, f in self._waiting if not f.done()]
                self._waiting.clear()
                if not batch:
                    continue
                units = [unit for unit, _ in batch]
                try:
                    outcomes = await self._writer.run(partial(self._writer.commit_units, units))
                except Exception as error:
                    # Nobody must wait for an answer that will not come.
                    outcomes = [(False, translated(error))] * len(batch)
                for (_, future), (worked, result) in zip(batch, outcomes, strict=True):
                    if future.done():
                        continue
                    if worked:
                        future.set_result(result)
                    else:
                        future.set_exception(result)
        finally:
            self._committing = None

    async def read(self, unit: Unit[T]) -> T:
        """See `Engine.read`."""
        connection = await self._idle.get()
        running = asyncio.ensure_future(connection.run(partial(connection.read, unit)))
        try:
            return await asyncio.shield(running)
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            raise translated(error) from error
        finally:
            if running.done():
                self._idle.put_nowait(connection)
            else:
                ending = asyncio.create_task(self._end(connection, running))
                self._endings.add(ending)
                ending.add_done_callback(self._endings.discard)

    async def _end(self, connection: UnitConnection, running: asyncio.Future[Any]) -> None:
        """Ends a read that nobody waits for any more, then gives its connection back."""
        while not running.done():
            # The writer's connection is never interrupted. A statement that has yet to begin does not
            # notice, so it is told again.
            if self._readers:
                await connection.interrupt()
            await asyncio.wait([running], timeout=0.05)
        # Looked at, or asyncio complains that nobody did.
        running.exception()
        self._idle.put_nowait(connection)

    async def migrate(self, upgrade: Unit[T]) -> T:
        """See `Engine.migrate`; the folder's lock keeps other servers away."""
        return await self.write(upgrade)

    async def close(self) -> None:
        """See `Engine.close`."""
        while self._committing is not None:
            await asyncio.wait([self._committing])
        await asyncio.gather(*self._endings)
        # The writer goes last: the last connection to go checkpoints.
        for connection in (*self._readers, self._writer):
            with contextlib.suppress(sqlite3.Error):
                await connection.run(connection.sqlalchemy.close)
                await connection.close()


def translated(error: Exception) -> Exception:
    """Turns a driver's error into the one that callers are promised; others pass."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    if not isinstance(cause, sqlite3.Error):
        return error
    name = getattr(cause, "sqlite_errorname", "")
    if name.startswith("SQLITE_FULL"):
        return ResourceExhausted(
            "STORAGE_FULL", "the server's disk is full; nothing was stored", retry_after=1.0
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return Unavailable("STORAGE_UNAVAILABLE", "the database can not be used at present", retry_after=1.0)
    return error


def _probe(writer: UnitConnection) -> None:
    """Fails now, not at the first call, if the file can not be read or written."""
    raw = writer._conn
    raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
    raw.execute("BEGIN IMMEDIATE")
    raw.execute("PRAGMA user_version = 0")
    raw.execute("ROLLBACK")


def _refused(path: Path | None, error: sqlite3.Error) -> StartupError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StartupError(f"{path} is damaged or not a Runwire database ({error}); it was not changed")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return StartupError(f"{path} can not be written by this user ({error}); it was not changed")
    return StartupError(f"{path} can not be opened: {error}")


def _look_at(path: Path, check: Unit[None]) -> None:
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
        raise _refused(path, cast("sqlite3.Error", error.orig)) from error
    except sqlite3.Error as error:
        raise _refused(path, error) from error
    except StartupError as error:
        raise StartupError(f"{path} {error}") from error
