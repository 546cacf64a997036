"""SQLite: one connection that writes and checkpoints, a few that read, group commit."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import aiosqlite
import sqlalchemy as sa
import structlog
from sqlalchemy.pool import StaticPool

from runwire_server.errors import ResourceExhausted, Unavailable
from runwire_server.failpoints import reach
from runwire_server.storage.engine import Observer, Unit, Unobserved
from runwire_server.storage.sqlite_file import kept_log, look_at, probe, refused, settle
from runwire_server.storage.wal import WriteAheadLog

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
    # That is done between commits.
    "PRAGMA wal_autocheckpoint = 0",
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

# Errors that say nothing about what is on disk: of memory, of locks, of the index in shared memory.
HARMLESS = (
    "SQLITE_IOERR_NOMEM",
    "SQLITE_IOERR_SHM",
    "SQLITE_IOERR_LOCK",
    "SQLITE_IOERR_UNLOCK",
    "SQLITE_IOERR_RDLOCK",
    "SQLITE_IOERR_CHECKRESERVEDLOCK",
    "SQLITE_IOERR_GETTEMPPATH",
    "SQLITE_IOERR_BLOCKED",
)

log = structlog.get_logger("runwire.storage")


class UnitConnection(aiosqlite.Connection):
    """A connection whose thread takes a whole unit in one hop.

    A hop between the event loop and the thread costs some 100 us, more than most statements do.
    """

    sqlalchemy: sa.Connection
    observer: Observer = Unobserved()
    log: WriteAheadLog | None = None
    # Once a sync has failed, the kernel takes what was to be written for clean: the next sync would
    # succeed with nothing on disk. So nothing is written any more.
    failed = False

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
        raw, began = self._conn, time.perf_counter()
        outcomes: list[Outcome] = []
        try:
            raw.execute("BEGIN IMMEDIATE")
            for unit in units:
                outcomes.append(self._in_savepoint(unit))
                if self.failed or not raw.in_transaction:
                    self._roll_back()
                    return [self._commit_alone(u) for u in units]
            self._commit(began)
        except sqlite3.Error as error:
            self.note(error)
            self._roll_back()
            return [self._commit_alone(u) for u in units]
        return outcomes

    def is_log_due(self) -> bool:
        """Tells whether it is time for a checkpoint; in the connection's thread."""
        return self.log is not None and not self.failed and self.log.is_due()

    def checkpoint(self) -> None:
        """Makes a checkpoint; in the connection's thread. A full disk puts it off."""
        assert self.log is not None
        began = time.perf_counter()
        try:
            self.log.checkpoint()
        except sqlite3.Error as error:
            self.note(error)
            log.warning("checkpoint put off", error=str(error))
        else:
            self.observer.checkpointed(time.perf_counter() - began)

    def note(self, error: Exception) -> None:
        """Takes note of an error after which it is not known any more what is on disk."""
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        name = getattr(cause, "sqlite_errorname", "")
        if name.startswith("SQLITE_IOERR") and not name.startswith(HARMLESS) and not self.failed:
            self.failed = True
            log.error("the disk has failed: nothing is stored until a restart", error=name)

    def _commit(self, began: float) -> None:
        synced = time.perf_counter()
        self._conn.execute("COMMIT")
        ended = time.perf_counter()
        self.observer.committed(ended - began, ended - synced)

    def _roll_back(self) -> None:
        if self._conn.in_transaction:
            self._conn.execute("ROLLBACK")

    def _in_savepoint(self, unit: Unit[Any]) -> Outcome:
        raw = self._conn
        raw.execute("SAVEPOINT unit")
        try:
            outcome = (True, unit(self.sqlalchemy))
        except Exception as error:
            self.note(error)
            if raw.in_transaction:
                raw.execute("ROLLBACK TO unit")
                raw.execute("RELEASE unit")
            return (False, translated(error))
        raw.execute("RELEASE unit")
        return outcome

    def _commit_alone(self, unit: Unit[Any]) -> Outcome:
        if self.failed:
            return (False, disk_failed())
        raw, began = self._conn, time.perf_counter()
        try:
            raw.execute("BEGIN IMMEDIATE")
            result = unit(self.sqlalchemy)
            self._commit(began)
        except Exception as error:
            self.note(error)
            self._roll_back()
            return (False, disk_failed() if self.failed else translated(error))
        return (True, result)


class SqliteEngine:
    """Units on one SQLite database, of which this process is the only user."""

    dialect = "sqlite"

    def __init__(self, path: Path | None, writer: UnitConnection, readers: list[UnitConnection]) -> None:
        self.failed = asyncio.Event()
        self._path = path
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
    async def open(
        cls, path: Path | None, check: Unit[None], observer: Observer | None = None
    ) -> SqliteEngine:
        """Opens a database file, or one in memory for None.

        Args:
            path: The file; made when it is not there.
            check: Looks at an existing file before anything is done to it.
            observer: Is told of commits and checkpoints.

        Raises:
            StartupError: if the file is not a database, is damaged or can not be written.
        """
        if path is not None:
            await asyncio.to_thread(look_at, path, check)
        try:
            writer = await UnitConnection.open(str(path or ":memory:"), WRITER_PRAGMAS)
            try:
                await writer.run(partial(_begin, writer, path))
                writer.observer = observer or writer.observer
                readers = [
                    await UnitConnection.open(str(path), READER_PRAGMAS)
                    for _ in range(READERS if path else 0)
                ]
            except BaseException:
                await writer.close()
                raise
        except sqlite3.Error as error:
            raise refused(path, error) from error
        return cls(path, writer, readers)

    @property
    def wal_bytes(self) -> int:
        """See `Engine.wal_bytes`."""
        return self._writer.log.bytes if self._writer.log else 0

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
                    outcomes, due = await self._writer.run(partial(self._work, units))
                except Exception as error:
                    # Nobody must wait for an answer that will not come.
                    self._writer.note(error)
                    outcomes, due = [(False, translated(error))] * len(batch), False
                if self._writer.failed:
                    self.failed.set()
                for (_, future), (worked, result) in zip(batch, outcomes, strict=True):
                    if future.done():
                        continue
                    if worked:
                        future.set_result(result)
                    else:
                        future.set_exception(result)
                if due:
                    await self._checkpoint()
        finally:
            self._committing = None

    def _work(self, units: list[Unit[Any]]) -> tuple[list[Outcome], bool]:
        return self._writer.commit_units(units), self._writer.is_log_due()

    async def _checkpoint(self) -> None:
        """Makes a checkpoint, after the answers."""
        reach("before-checkpoint")
        await self._writer.run(self._writer.checkpoint)
        reach("after-checkpoint")
        if self._writer.failed:
            self.failed.set()

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
        # The last connection to go makes a checkpoint, which after a failure would lose what is in the log.
        with kept_log(self._path if self.failed.is_set() else None):
            # The writer goes last, since that checkpoint is its to make.
            for connection in (*self._readers, self._writer):
                with contextlib.suppress(sqlite3.Error):
                    await connection.run(connection.sqlalchemy.close)
                    await connection.close()
        if self._writer.log is not None:
            self._writer.log.close()


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


def disk_failed() -> Unavailable:
    """Makes the error of an engine that refuses to write."""
    return Unavailable(
        "STORAGE_UNAVAILABLE",
        "the server's disk has failed; it stores nothing until it is restarted",
        retry_after=1.0,
    )


def _begin(writer: UnitConnection, path: Path | None) -> None:
    """Readies the connection that writes, once it is known that the file can be used."""
    probe(writer._conn)
    if path is not None:
        settle(writer._conn)
        writer.log = WriteAheadLog(writer._conn, path)
