"""Filters and orders as SQL.

The statements are written by hand, not with Core's expressions: which index is walked, and in which
order tables are joined, is the point of a search, and the hints for that are not in Core. Their text
depends on the shape of a query only, never on its values, so both SQLAlchemy and the driver prepare
each shape once. What users wrote gets into a statement as a bound value only.

Names used throughout: `r` is `runs`; `d` the table whose index drives the search; `q` the rows found,
with their keys `k0`, `k1` ...
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from runwire_server.domain.filter_ast import And, Field, Kind, Node, Not, Operator, Or, OrderKey, Term, Type
from runwire_server.domain.filter_terms import STATUSES, fold_ascii
from runwire_server.domain.paging import Cursor, Value

# A status is ordered by its name, as a text would be.
STATUS_RANKS = {STATUSES[name]: rank for rank, name in enumerate(sorted(STATUSES))}

_TABLES = {Kind.METRIC: "metric_series", Kind.PARAM: "params", Kind.TAG: "tags"}
_RUN_COLUMNS = {
    "run_id": "r.run_id",
    "run_name": "r.name",
    "status": "r.status",
    "parent_run_id": "r.parent_run_id",
    "start_time": "r.start_time",
    "end_time": "r.end_time",
}
_NULLABLE = {"parent_run_id", "end_time"}


class Found(NamedTuple):
    """A row of a search's outcome.

    Attributes:
        key: The row key.
        id: The public id, the last tie-breaker.
        time: The first tie-breaker, newest first.
        values: The values under the order's keys; None for NaN and missing.
    """

    key: int
    id: str
    time: int
    values: tuple[Value, ...]

    @property
    def cursor(self) -> Cursor:
        """Where a page that ends with this row ends."""
        return Cursor(self.values, self.time, self.id)


@functools.lru_cache(maxsize=1024)
def _text(sql: str) -> sa.TextClause:
    return sa.text(sql)


class Statement:
    """A statement while it is being written: hands out names for values, knows the dialect."""

    __slots__ = ("_connection", "_values", "is_sqlite")

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._values: dict[str, object] = {}
        self.is_sqlite = connection.dialect.name == "sqlite"

    def bind(self, value: object) -> str:
        """Adds a value; returns its place holder."""
        name = f"p{len(self._values)}"
        self._values[name] = value
        return f":{name}"

    def bind_all(self, values: Sequence[object]) -> str:
        """Adds values; returns their place holders, with commas between."""
        return ", ".join([self.bind(value) for value in values])

    def indexed(self, index: str) -> str:
        """The hint that holds SQLite to an index. PostgreSQL has statistics."""
        return f" INDEXED BY {index}" if self.is_sqlite else ""

    @property
    def fence(self) -> str:
        """Ends an EXISTS so that PostgreSQL probes row by row.

        Otherwise it may read all that matches into a hash table, for a page of 100 runs.
        """
        return "" if self.is_sqlite else " OFFSET 0"

    def fetch(self, sql: str) -> Sequence[Any]:
        """Runs it."""
        return self._connection.execute(_text(sql), self._values).all()

    def found(self, sql: str) -> list[Found]:
        """Runs it; its columns are id, run_id, start_time, k0, k1 ..."""
        return [Found(row[0], row[1], row[2], tuple(row[3:])) for row in self.fetch(sql)]


def prefer_indexes(connection: sa.Connection) -> None:
    """Tells PostgreSQL's planner, for this transaction, that searches end early.

    It can not know how soon a page is full, and its guess, when wrong, reads all runs. Compiling to
    machine code takes longer than a page. SQLite gets its hints in the statements.
    """
    if connection.dialect.name != "sqlite":
        settings = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS)
        connection.execute(_text(f"SELECT {settings}"))


_SETTINGS = (
    ("jit", "off"),
    ("plan_cache_mode", "force_custom_plan"),
    ("max_parallel_workers_per_gather", "0"),
    *((f"enable_{way}", "off") for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin", "sort")),
)


def boolean(node: Node, leaf: Callable[[Term], str]) -> str:
    """Writes a filter as a condition that is true or false, never NULL, as its leaves must be."""
    match node:
        case And(operands):
            return "(" + " AND ".join([boolean(operand, leaf) for operand in operands]) + ")"
        case Or(operands):
            return "(" + " OR ".join([boolean(operand, leaf) for operand in operands]) + ")"
        case Not(operand):
            return f"NOT {boolean(operand, leaf)}"
        case Term():
            return leaf(node)


def condition(statement: Statement, node: Node, run: str) -> str:
    """Writes a filter over runs; `run` is SQL for the row key of the run at hand."""
    return boolean(node, lambda term: _term(statement, term, run))


def key_sql(statement: Statement, field: Field, run: str) -> str:
    """Writes the value under an order's key; NULL for NaN and missing."""
    if field.kind is Kind.ATTRIBUTE:
        if field.type is Type.STATUS:
            whens = " ".join(f"WHEN {number} THEN {rank}" for number, rank in STATUS_RANKS.items())
            return f"CASE r.status {whens} END"
        return _RUN_COLUMNS[field.key]
    probe = f"x.run = {run} AND x.key = {statement.bind(field.key)}"
    return f"(SELECT x.{_column(field)} FROM {_TABLES[field.kind]} AS x WHERE {probe})"


def order_sql(order: Sequence[OrderKey]) -> str:
    """Writes ORDER BY's list over the columns of `q`."""
    keys = [f"q.k{i} {'DESC' if key.descending else 'ASC'} NULLS LAST" for i, key in enumerate(order)]
    return ", ".join([*keys, "q.start_time DESC", "q.run_id"])


def after_sql(statement: Statement, order: Sequence[OrderKey], cursor: Cursor) -> str:
    """Writes the condition on `q` for the rows behind a cursor."""
    time = statement.bind(cursor.time)
    last = f"(q.start_time < {time} OR (q.start_time = {time} AND q.run_id > {statement.bind(cursor.id)}))"
    return behind(statement, order, cursor.values, last)


def behind(statement: Statement, order: Sequence[OrderKey], values: Sequence[Value], last: str) -> str:
    """Writes the condition on `q` for the rows behind some values of an order's keys.

    Args:
        statement: Gets the values.
        order: The keys.
        values: A value for each key.
        last: The condition among rows that are equal under all keys.
    """
    rest = last
    for i, (key, value) in reversed(list(enumerate(zip(order, values, strict=True)))):
        if value is None:
            rest = f"(q.k{i} IS NULL AND {rest})"
            continue
        bound = statement.bind(value)
        beyond = "<" if key.descending else ">"
        rest = f"(q.k{i} IS NULL OR q.k{i} {beyond} {bound} OR (q.k{i} = {bound} AND {rest}))"
    return rest


def sort(rows: list[Found], order: Sequence[OrderKey]) -> None:
    """Sorts rows as `order_sql` does. Both databases compare texts as Python does, by code point."""
    rows.sort(key=lambda row: row.id)
    rows.sort(key=lambda row: row.time, reverse=True)
    for i, key in reversed(list(enumerate(order))):
        present = [row for row in rows if row.values[i] is not None]
        missing = [row for row in rows if row.values[i] is None]
        present.sort(key=functools.partial(_value, i), reverse=key.descending)
        rows[:] = present + missing


def comparison(statement: Statement, column: str, term: Term) -> str:
    """Writes what a term says about a column that is not NULL."""
    operator, value = term.operator, term.value
    if operator in (Operator.IN, Operator.NOT_IN):
        assert isinstance(value, tuple)
        if not value:
            return "1 = 0" if operator is Operator.IN else "1 = 1"
        return f"{column} {operator.value} ({statement.bind_all(value)})"
    if "LIKE" in operator.value:
        negation = "NOT " if operator.value.startswith("NOT") else ""
        if "ILIKE" in operator.value:
            value = fold_ascii(str(value))
            column = f"lower({column})" if statement.is_sqlite else f'lower({column} COLLATE "C")'
        return f"{column} {negation}LIKE {statement.bind(value)} ESCAPE '\\'"
    sql = {Operator.NE: "<>"}.get(operator, operator.value)
    return f"{column} {sql} {statement.bind(value)}"


def _value(index: int, row: Found) -> Any:
    return row.values[index]


def _column(field: Field) -> str:
    return field.part or "value"


def _term(statement: Statement, term: Term, run: str) -> str:
    field, operator = term.field, term.operator
    if field.kind is Kind.ATTRIBUTE:
        return _attribute_term(statement, term)
    if field.kind is Kind.DATASET:
        column = "i.context" if field.key == "context" else f"s.{field.key}"
        where = comparison(statement, column, term)
        return (
            "EXISTS (SELECT 1 FROM run_inputs AS i JOIN datasets AS s ON s.id = i.dataset"
            f" WHERE i.run = {run} AND {where}{statement.fence})"
        )
    key = statement.bind(field.key)
    probe = f"SELECT 1 FROM {_TABLES[field.kind]} AS x WHERE x.run = {run} AND x.key = {key}"
    if operator is Operator.IS_NULL:
        return f"NOT EXISTS ({probe}{statement.fence})"
    if operator is Operator.IS_NOT_NULL:
        return f"EXISTS ({probe}{statement.fence})"
    column = f"x.{_column(field)}"
    where = comparison(statement, column, term)
    if field.type is Type.REAL and operator is Operator.NE:
        # NaN, kept as NULL, differs from every number.
        where = f"({column} IS NULL OR {where})"
    return f"EXISTS ({probe} AND {where}{statement.fence})"


def _attribute_term(statement: Statement, term: Term) -> str:
    # The plus keeps SQLite from seeking by this bound instead of a tighter one.
    plus = "+" if statement.is_sqlite and term.field.key == "start_time" else ""
    column = plus + _RUN_COLUMNS[term.field.key]
    return column_term(statement, column, term, nullable=term.field.key in _NULLABLE)


def column_term(statement: Statement, column: str, term: Term, *, nullable: bool) -> str:
    """Writes a term about a column of the row at hand."""
    if term.operator is Operator.IS_NULL:
        return f"({column} IS NULL)" if nullable else "(1 = 0)"
    if term.operator is Operator.IS_NOT_NULL:
        return f"({column} IS NOT NULL)" if nullable else "(1 = 1)"
    where = comparison(statement, column, term)
    return f"({column} IS NOT NULL AND {where})" if nullable else f"({where})"
