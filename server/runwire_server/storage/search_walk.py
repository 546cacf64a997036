"""The ways through an index that a search is made of. Which one is taken is `search_plan`'s choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from runwire_server.domain.filter_ast import Field, Kind, Node, Operator, OrderKey, Term, Type
from runwire_server.domain.paging import Cursor
from runwire_server.storage.search_access import Access, Partition, Source, required_ranges, tighten
from runwire_server.storage.search_sql import Found, Statement, after_sql, condition, key_sql, order_sql

START_TIME = Field(Kind.ATTRIBUTE, "start_time", Type.INTEGER)


@dataclass(frozen=True, slots=True)
class Query:
    """What to find in one partition.

    Attributes:
        connection: Where.
        partition: In which runs.
        operands: What they must all satisfy, with NOT pushed down.
        order: The keys; then start time (newest first), then run id.
        cursor: The row to begin behind.
        limit: Most rows.
        trace: Gets a line for each step taken.
    """

    connection: sa.Connection
    partition: Partition
    operands: tuple[Node, ...]
    order: tuple[OrderKey, ...]
    cursor: Cursor | None
    limit: int
    trace: list[str] = field(default_factory=list)

    def but(self, served: Iterable[Node]) -> tuple[Node, ...]:
        """The operands without those that an index serves."""
        gone = set(served)
        return tuple(operand for operand in self.operands if operand not in gone)

    @property
    def times(self) -> tuple[Term, ...]:
        """The bounds that the operands set to the start time."""
        return required_ranges(self.operands, START_TIME)


def count(query: Query, found: Sequence[Access], most: int) -> list[int]:
    """Counts the entries of each access, in one statement, as far as `most` + 1."""
    if not found:
        return []
    statement = Statement(query.connection)
    counts = []
    for access in found:
        entries = " UNION ALL ".join(
            f"SELECT 1 FROM {_entries(statement, query, source.counted)}" for source in access.sources
        )
        counts.append(f"(SELECT count(*) FROM ({entries} LIMIT {most + 1}) AS x)")
    (row,) = statement.fetch("SELECT " + ", ".join(counts))
    return list(row)


def sample(query: Query, walks: Sequence[tuple[Source, tuple[Node, ...]]], size: int) -> tuple[int, int]:
    """Tries the first entries ahead of a walk.

    Args:
        query: The search.
        walks: The walk's sources, each with what is to be checked on its entries.
        size: How many entries to try of all.

    Returns:
        How many there were, and how many of them satisfy the filter.
    """
    tried = matched = 0
    for source, operands in walks:
        statement = Statement(query.connection)
        column, descending = _direction(query, source)
        entries = _entries(statement, query, _ahead(query, source))
        limit = f"LIMIT {size // len(walks)}"
        direction = "DESC" if descending else "ASC"
        some = f"SELECT {source.run} AS run FROM {entries} ORDER BY {column} {direction} {limit}"
        joined, where = _join_runs(statement, query.partition, "c.run")
        where += [condition(statement, operand, "c.run") for operand in operands]
        (row,) = statement.fetch(
            f"WITH c AS MATERIALIZED ({some}) SELECT (SELECT count(*) FROM c),"
            f" (SELECT count(*) FROM c{joined}{_where(where)})"
        )
        tried, matched = tried + row[0], matched + row[1]
    return tried, matched


def reach(query: Query, access: Access, size: int) -> int | None:
    """How far the next entries of an access go back in time: None if it has not so many left."""
    furthest: int | None = None
    for source in access.branches:
        statement = Statement(query.connection)
        rows = statement.fetch(
            f"SELECT {source.time} FROM {_entries(statement, query, _ahead(query, source))}"
            f" ORDER BY {source.time} DESC LIMIT 1 OFFSET {size // len(access.branches)}"
        )
        if rows:
            furthest = max(furthest or 0, rows[0][0])
    return furthest


def walk_time(query: Query, source: Source, operands: Sequence[Node]) -> list[Found]:
    """Follows a source that comes newest first, checking the operands."""
    query.trace.append(f"walk {source} newest first")
    if query.cursor is None:
        return _time_step(query, source, operands, None, query.limit)
    rows = _time_step(query, source, operands, Operator.EQ, query.limit)
    if len(rows) < query.limit:
        rows += _time_step(query, source, operands, Operator.LT, query.limit - len(rows))
    return rows


def walk_value(query: Query, source: Source, operands: Sequence[Node], limit: int) -> list[Found]:
    """Follows a source by its values, from behind the cursor's; rows of equal value come in any order."""
    query.trace.append(f"walk {source} by value")
    key = query.order[0]
    statement = Statement(query.connection)
    tables, where = _joined(statement, query, _ahead(query, source), operands)
    others = [key_sql(statement, other.field, source.run) for other in query.order[1:]]
    columns = ", ".join(["r.id", "r.run_id", "r.start_time", source.column, *others])
    direction = "DESC" if key.descending else "ASC"
    return statement.found(
        f"SELECT {columns} FROM {tables}{_where(where)}"
        f" ORDER BY {source.column} {direction} LIMIT {statement.bind(limit)}"
    )


def drive(query: Query, access: Access) -> list[Found]:
    """Looks at all runs of an access, and sorts those that satisfy the rest."""
    query.trace.append(f"sort all of {' or '.join(map(str, access.sources))}")
    statement = Statement(query.connection)
    candidates = " UNION ".join(
        f"SELECT {'DISTINCT ' if source.table == 'datasets' else ''}{source.run} AS run"
        f" FROM {_entries(statement, query, source)}"
        for source in access.sources
    )
    operands = query.but(access.operands) if access.exact else query.operands
    joined, where = _join_runs(statement, query.partition, "c.run")
    where += [condition(statement, operand, "c.run") for operand in operands]
    inner = f"SELECT {_columns(statement, query, 'c.run')} FROM c{joined}{_where(where)}"
    page = _page(statement, query, inner)
    return statement.found(f"WITH c AS MATERIALIZED ({candidates}) {page}")


def sort_all(query: Query, source: Source) -> list[Found]:
    """Reads a whole source and sorts."""
    query.trace.append(f"sort all of {source}")
    statement = Statement(query.connection)
    tables, where = _joined(statement, query, source, query.operands)
    inner = f"SELECT {_columns(statement, query, source.run)} FROM {tables}{_where(where)}"
    return statement.found(_page(statement, query, inner))


def _direction(query: Query, source: Source) -> tuple[str, bool]:
    """The column that a walk along a source follows, and whether downwards."""
    if query.order:
        return source.column, query.order[0].descending
    return source.time, True


def _ahead(query: Query, source: Source) -> Source:
    """A source from the cursor on; by value, from behind the cursor's."""
    if query.cursor is None:
        return source
    if not query.order:
        return replace(source, times=(*source.times, Term(START_TIME, Operator.LE, query.cursor.time)))
    key = query.order[0]
    beyond = Operator.LT if key.descending else Operator.GT
    behind = Term(key.field, beyond, query.cursor.values[0])
    return replace(source, terms=tighten([*source.terms, behind]))


def _time_step(
    query: Query, source: Source, operands: Sequence[Node], step: Operator | None, limit: int
) -> list[Found]:
    """One seek: among the cursor's equals in time (EQ), behind these (LT), or from the start."""
    statement = Statement(query.connection)
    if step and query.cursor:
        source = replace(source, times=(*source.times, Term(START_TIME, step, query.cursor.time)))
    tables, where = _joined(statement, query, source, operands)
    if step is Operator.EQ and query.cursor:
        where.append(f"r.run_id > {statement.bind(query.cursor.id)}")
    return statement.found(
        f"SELECT r.id, r.run_id, r.start_time FROM {tables}{_where(where)}"
        f" ORDER BY {source.time} DESC, r.run_id LIMIT {statement.bind(limit)}"
    )


def _entries(statement: Statement, query: Query, source: Source) -> str:
    """Writes FROM's list and WHERE for a source's entries, not joined with their runs."""
    where = source.where(statement, query.partition, query.times)
    return f"{source.tables(statement)} WHERE {' AND '.join(where)}"


def _joined(
    statement: Statement, query: Query, source: Source, operands: Sequence[Node]
) -> tuple[str, list[str]]:
    """Writes FROM's list and the conditions for the runs of entries, as far as they satisfy operands."""
    tables = source.tables(statement)
    where = source.where(statement, query.partition, query.times)
    if source.table != "runs":
        joined, more = _join_runs(statement, query.partition, source.run)
        tables += joined
        where += more
    return tables, where + [condition(statement, operand, source.run) for operand in operands]


def _join_runs(statement: Statement, partition: Partition, run: str) -> tuple[str, list[str]]:
    """Joins `r` to each entry in turn, in the order of the entries.

    The run row has the last word on its lifecycle: a purged run's children may still be there.
    """
    experiment, lifecycle = statement.bind(partition.experiment), statement.bind(partition.lifecycle)
    if statement.is_sqlite:
        # CROSS JOIN keeps the order of the tables, the plus the planner from another index.
        where = [f"r.id = {run}", f"+r.experiment = {experiment}", f"+r.lifecycle = {lifecycle}"]
        return " CROSS JOIN runs AS r", where
    # OFFSET keeps PostgreSQL from joining the other way round.
    one = f"SELECT * FROM runs AS s WHERE s.id = {run} AND s.experiment = {experiment}"
    return f" CROSS JOIN LATERAL ({one} AND s.lifecycle = {lifecycle} OFFSET 0) AS r", []


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _columns(statement: Statement, query: Query, run: str) -> str:
    keys = [f"{key_sql(statement, key.field, run)} AS k{i}" for i, key in enumerate(query.order)]
    return ", ".join(["r.id AS id", "r.run_id AS run_id", "r.start_time AS start_time", *keys])


def _page(statement: Statement, query: Query, inner: str) -> str:
    names = ", ".join(["q.id", "q.run_id", "q.start_time", *(f"q.k{i}" for i in range(len(query.order)))])
    after = f" WHERE {after_sql(statement, query.order, query.cursor)}" if query.cursor else ""
    ordered = f" ORDER BY {order_sql(query.order)} LIMIT {statement.bind(query.limit)}"
    return f"SELECT {names} FROM ({inner}) AS q{after}{ordered}"
