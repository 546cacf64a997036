"""The dialect seam: how units of work reach SQLite and PostgreSQL.

A *unit* is a plain function of a `sqlalchemy.Connection`. It touches no memory of the process and may
be run again from its start, so it must not keep state between runs. Nothing but an engine opens a
transaction, and no transaction is ever open while the network is awaited.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")
Unit = Callable[[sa.Connection], T]


class Observer(Protocol):
    """Is told what a database's work costs, on whatever thread that is done; so it has to be quick."""

    def committed(self, seconds: float, synced: float) -> None:
        """A transaction took so many seconds, and of these its COMMIT so many."""

    def checkpointed(self, seconds: float) -> None:
        """A checkpoint took so many seconds."""


class Unobserved:
    """An observer that does not look."""

    def committed(self, seconds: float, synced: float) -> None:
        """See `Observer.committed`."""

    def checkpointed(self, seconds: float) -> None:
        """See `Observer.checkpointed`."""


class Engine(Protocol):
    """A database to which units are handed.

    Attributes:
        failed: Set once the disk has failed in a way after which nothing is stored until a restart.
    """

    failed: asyncio.Event

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""

    @property
    def wal_bytes(self) -> int:
        """How much of SQLite's write-ahead log is in use, as of the last commit; for any thread to ask."""

    async def write(self, unit: Unit[T]) -> T:
        """Runs a unit in a transaction, and returns once that is on disk.

        Raises:
            Exception: what the unit raised; then nothing of it is stored.
            ResourceExhausted: STORAGE_FULL. Nothing is stored.
            Unavailable: STORAGE_UNAVAILABLE. It may be stored or not.
            Aborted: STORAGE_CONFLICT. Nothing is stored.
        """

    async def read(self, unit: Unit[T]) -> T:
        """Runs a unit on a snapshot in which it can change nothing.

        Raises:
            Exception: what the unit raised.
            Unavailable: STORAGE_UNAVAILABLE.
        """

    async def migrate(self, upgrade: Unit[T]) -> T:
        """Runs a schema upgrade while no other server runs one."""

    async def close(self) -> None:
        """Lets running units end, then lets go of the database."""


class HotStatement:
    """A Core statement that is compiled once, and on SQLite run on the driver's own cursor.

    For the statements of the hot path: there, SQLAlchemy's execution costs several times what the
    statement does. Bound values must be what the driver takes; lists are for `one_of`.
    """

    def __init__(self, build: Callable[[str], sa.Executable]) -> None:
        """Takes what builds the statement for a dialect; it is called at the first use."""
        self._build = build
        self._statement: sa.Executable | None = None
        self._sql = ""
        self._names: tuple[str, ...] = ()
        self._fixed: Mapping[str, Any] = {}

    def rows(self, connection: sa.Connection, **values: Any) -> Sequence[Any]:
        """Runs it once and returns all its rows."""
        if connection.dialect.name == "sqlite":
            return self._on_driver(connection, values).fetchall()  # type: ignore[no-any-return]
        return connection.execute(self._core(), values).all()

    def count(self, connection: sa.Connection, **values: Any) -> int:
        """Runs it once and returns how many rows it changed."""
        if connection.dialect.name == "sqlite":
            return self._on_driver(connection, values).rowcount  # type: ignore[no-any-return]
        return connection.execute(self._core(), values).rowcount

    def many(self, connection: sa.Connection, values: Sequence[Sequence[Any]], names: Sequence[str]) -> None:
        """Runs it for each of some rows of values, whose columns have these names."""
        if not values:
            return
        if connection.dialect.name != "sqlite":
            connection.execute(self._core(), [dict(zip(names, row, strict=True)) for row in values])
            return
        self._compile()
        if tuple(names) != self._names:
            raise ValueError(f"columns {names} are not the statement's {self._names}")
        driver(connection).executemany(self._sql, values)

    def _core(self) -> sa.Executable:
        if self._statement is None:
            self._statement = self._build("postgresql")
        return self._statement

    def _compile(self) -> None:
        if not self._sql:
            compiled = self._build("sqlite").compile(dialect=sqlite.dialect())  # type: ignore[attr-defined]
            self._names = tuple(compiled.positiontup or ())
            self._fixed = {k: v for k, v in compiled.params.items() if v is not None}
            self._sql = str(compiled)

    def _on_driver(self, connection: sa.Connection, values: Mapping[str, Any]) -> Any:
        self._compile()
        given = [values[n] if n in values else self._fixed[n] for n in self._names]
        return driver(connection).execute(
            self._sql, [json.dumps(v, ensure_ascii=False) if isinstance(v, list) else v for v in given]
        )


def one_of(dialect: str, column: sa.Column[Any], name: str) -> sa.ColumnElement[bool]:
    """Makes `column IN (the list bound to name)`, of one text for lists of any length."""
    if dialect == "sqlite":
        each = sa.func.json_each(sa.bindparam(name)).table_valued("value")
        return column.in_(sa.select(each.c.value))
    return column == sa.any_(sa.bindparam(name, type_=postgresql.ARRAY(column.type)))


def driver(connection: sa.Connection) -> Any:
    """Returns the `sqlite3.Connection` below."""
    return connection.connection.dbapi_connection


def insert(table: sa.Table) -> postgresql.Insert:
    """Starts an INSERT that may have ON CONFLICT; both databases spell it alike."""
    return postgresql.insert(table)
