"""PostgreSQL: each unit in a transaction of its own, on a pool of connections."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from runwire_server.errors import Aborted, ResourceExhausted, StartupError, Unavailable
from runwire_server.storage.engine import Observer, Unit, Unobserved

T = TypeVar("T")

# Serialization failure, deadlock, and a row that another transaction removed while this one made rows that
# refer to it: the transaction is gone as a whole and can be run again.
CONFLICTS = {"40001", "40P01", "23503"}
ATTEMPTS = 5
# Classes of states in which the server is there but can not work: starting, stopping, out of slots.
AWAY = {"57P01", "57P02", "57P03", "53300", "08000", "08003", "08006", "25006"}
# Stopped for taking too long.
TOO_LONG = {"57014", "25P03"}
FULL = {"53100"}
# Any number that other programs are unlikely to lock on; held during migrations.
MIGRATION_LOCK = 0x52554E57
# PostgreSQL ends a statement by itself; where it hangs as a whole, this side stops waiting for a unit.
STATEMENT_SECONDS = 30
UNIT_SECONDS = 45
# The locks of a server that has vanished in the middle of a unit are let go of.
IDLE_SECONDS = 60


class PostgresEngine:
    """Units on one PostgreSQL database, of which any number of servers are users."""

    dialect = "postgresql"
    # SQLite's log; this database looks after its own.
    wal_bytes = 0

    def __init__(self, engine: AsyncEngine, observer: Observer) -> None:
        self.failed = asyncio.Event()
        self._engine = engine
        self._observer = observer
        self._snapshots = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    @classmethod
    async def open(cls, url: str, observer: Observer | None = None) -> PostgresEngine:
        """Connects to a database given as `postgresql://...`.

        Args:
            url: The database.
            observer: Is told of commits.

        Raises:
            StartupError: if the URL is wrong or nothing answers there.
        """
        try:
            parsed = sa.make_url(url).set(drivername="postgresql+asyncpg")
            engine = create_async_engine(
                parsed,
                pool_size=16,
                max_overflow=0,
                pool_timeout=30,
                connect_args={
                    "timeout": 5,
                    "server_settings": {
                        # An ack means on disk, whatever the server's default is.
                        "synchronous_commit": "on",
                        "application_name": "runwire",
                        "statement_timeout": f"{STATEMENT_SECONDS}s",
                        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
                    },
                },
            )
        except ImportError as error:
            raise StartupError("PostgreSQL needs: pip install 'runwire[postgres]'") from error
        except sa.exc.ArgumentError as error:
            raise StartupError("--database is not a URL such as postgresql://user@host/name") from error
        try:
            async with engine.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))
        except Exception as error:
            await engine.dispose()
            # A password may also stand behind the question mark.
            shown = parsed.difference_update_query(["password"]).set(drivername="postgresql")
            raise StartupError(f"can not connect to {shown}: {driver_error(error)}") from error
        return cls(engine, observer or Unobserved())

    async def write(self, unit: Unit[T]) -> T:
        """See `Engine.write`."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._transaction(unit)
            except (TimeoutError, sa.exc.SQLAlchemyError, OSError) as error:
                if state_of(error) not in CONFLICTS:
                    raise translated(error) from error
                await asyncio.sleep(0.01 * 2**attempt)
        raise Aborted("STORAGE_CONFLICT", "other transactions kept getting in the way", retry_after=0.1)

    async def _transaction(self, unit: Unit[T]) -> T:
        began = time.perf_counter()
        async with (
            self._engine.connect() as connection,
            limited(connection),
            connection.begin() as transaction,
        ):
            result = await connection.run_sync(unit)
            synced = time.perf_counter()
            await transaction.commit()
        ended = time.perf_counter()
        self._observer.committed(ended - began, ended - synced)
        return result

    async def read(self, unit: Unit[T]) -> T:
        """See `Engine.read`."""
        try:
            async with self._snapshots.connect() as connection, limited(connection):
                return await connection.run_sync(unit)
        except (TimeoutError, sa.exc.SQLAlchemyError, OSError) as error:
            raise translated(error) from error

    async def migrate(self, upgrade: Unit[T]) -> T:
        """See `Engine.migrate`: an advisory lock makes servers that start at once take turns."""

        def locked(connection: sa.Connection) -> T:
            # It takes as long as it takes.
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            return upgrade(connection)

        try:
            async with self._engine.begin() as connection:
                return await connection.run_sync(locked)
        except (TimeoutError, sa.exc.SQLAlchemyError, OSError) as error:
            if (known := translated(error)) is not error:
                raise known from error
            # Such as rights that the user does not have.
            raise StartupError(f"can not be brought up to date: {driver_error(error)}") from error

    async def close(self) -> None:
        """See `Engine.close`."""
        await self._engine.dispose()


@contextlib.asynccontextmanager
async def limited(connection: AsyncConnection) -> AsyncIterator[None]:
    """Gives up on a connection whose block takes too long.

    Raises:
        TimeoutError: if it does.
    """
    raw = (await connection.get_raw_connection()).driver_connection
    try:
        async with asyncio.timeout(UNIT_SECONDS):
            yield
    except TimeoutError:
        # Nothing is asked of it any more, or that would wait too.
        if raw is not None:
            raw.terminate()
        raise


def state_of(error: BaseException) -> str:
    """Returns the SQLSTATE behind an error, or "" if there is none."""
    return getattr(driver_error(error), "sqlstate", None) or ""


def driver_error(error: BaseException) -> BaseException:
    """Returns what the driver raised, without what SQLAlchemy says around it."""
    return error.orig or error if isinstance(error, sa.exc.DBAPIError) else error


def translated(error: Exception) -> Exception:
    """Turns a driver's error into the one that callers are promised; others pass."""
    state = state_of(error)
    if state in FULL:
        return ResourceExhausted(
            "STORAGE_FULL", "the database's disk is full; nothing was stored", retry_after=1.0
        )
    lost = isinstance(error, OSError | asyncio.TimeoutError | sa.exc.TimeoutError) or (
        isinstance(error, sa.exc.DBAPIError) and (error.connection_invalidated or not state)
    )
    if lost or state in AWAY | TOO_LONG:
        return Unavailable(
            "STORAGE_UNAVAILABLE", "the database can not be reached at present", retry_after=1.0
        )
    return error
