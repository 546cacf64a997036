"""How one page is found: the choice of an index, and walks along it.

Two ways lead to the first n rows of an order. *Drive*: take all candidates of the most selective index
range, check the rest of the filter on each, sort. Good when they are few. *Walk*: follow an index that
has the order, check the filter on each entry, stop after n. Good when many match. Which is which is
found by counting the ranges, but no further than it takes to know.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from runwire_server.domain.filter_ast import Field, Kind, Node, Not, Operator, OrderKey, Term, Type
from runwire_server.domain.paging import Cursor, Value

from .search_access import RUNS_BY_TIME, Access, Partition, Source, accesses, metric_source, required_ranges
from .search_sql import STATUS_RANKS, Found, Statement, after_sql, condition, key_sql, order_sql, sort

# Up to so many candidates are all looked at and sorted.
MAX_CANDIDATES = 5000

START_TIME = Field(Kind.ATTRIBUTE, "start_time", Type.INTEGER)
_TABLES = {Kind.PARAM: "params", Kind.TAG: "tags"}


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


@dataclass(frozen=True, slots=True)
class _Offer:
    """An access and its number of entries, which is MAX_CANDIDATES + 1 when there are more."""

    access: Access
    count: int


def find(query: Query) -> list[Found]:
    """Finds the first rows behind the cursor, in order."""
    if query.limit <= 0:
        return []
    offers = _count(query)
    if any(offer.count == 0 for offer in offers):
        query.trace.append("nothing: an index range is empty")
        return []
    if not query.order:
        return _by_time(query, offers)
    key = query.order[0].field
    drive = _fewest(offers)
    if not _is_walkable(key):
        return _drive(query, drive.access) if drive else _sorted(query, RUNS_BY_TIME, query.operands)
    own = min((o.count for o in offers if _serves(o.access, key)), default=MAX_CANDIDATES + 1)
    if drive and drive.count < own:
        return _drive(query, drive.access)
    if key.type is Type.STATUS:
        return _by_status(query)
    return _by_column(query)


def _count(query: Query) -> list[_Offer]:
    """Counts the entries of each access, in one statement."""
    found = accesses(query.operands)
    if not found:
        return []
    statement = Statement(query.connection)
    counts = []
    for access in found:
        counted = [
            f"(SELECT count(*) FROM (SELECT 1 FROM {source.tables(statement)} WHERE"
            f" {' AND '.join(source.where(statement, query.partition))} LIMIT {MAX_CANDIDATES + 1}) AS x)"
            for source in access.sources
        ]
        counts.append(" + ".join(counted))
    (row,) = statement.fetch("SELECT " + ", ".join(counts))
    return [_Offer(access, min(n, MAX_CANDIDATES + 1)) for access, n in zip(found, row, strict=True)]


def _fewest(offers: Sequence[_Offer]) -> _Offer | None:
    return min(offers, key=lambda offer: offer.count, default=None)


def _is_walkable(key: Field) -> bool:
    match key.kind:
        case Kind.METRIC:
            return key.part == "latest"
        case Kind.PARAM | Kind.TAG:
            return True
        case _:
            return key.key in ("start_time", "run_name", "status")


def _serves(access: Access, key: Field) -> bool:
    """Whether walking along the key's index passes through this access's entries only."""
    return all(isinstance(o, Term) and o.field == key for o in access.operands) and len(access.sources) == 1


def _by_time(query: Query, offers: Sequence[_Offer]) -> list[Found]:
    """Rows in the default order."""
    drive = _fewest(offers)
    ordered = [offer for offer in offers if offer.access.branches]
    walk = _fewest(ordered)
    if drive and drive.count <= MAX_CANDIDATES and (walk is None or drive.count < walk.count):
        return _drive(query, drive.access)
    if walk is None:
        return _walk_time(query, RUNS_BY_TIME, query.operands)
    if walk.count > MAX_CANDIDATES and len(ordered) > 1:
        walk = max(ordered, key=lambda offer: _reach(query, offer.access))
    rest = query.but(walk.access.operands)
    rows = {
        row.key: row
        for branch in walk.access.branches
        for row in _walk_time(query, branch, rest + branch.rest)
    }
    merged = list(rows.values())
    sort(merged, ())
    return merged[: query.limit]


# How far ahead sparse is told from dense.
_REACH = 500


def _reach(query: Query, access: Access) -> int:
    """How far back in time the next entries of an access lie, as minus unix ms: the sparser, the further."""
    reach = -math.inf
    for branch in access.branches:
        statement = Statement(query.connection)
        where = branch.where(statement, query.partition)
        if query.cursor:
            where.append(f"{branch.time} <= {statement.bind(query.cursor.time)}")
        rows = statement.fetch(
            f"SELECT {branch.time} FROM {branch.tables(statement)} WHERE {' AND '.join(where)}"
            f" ORDER BY {branch.time} DESC LIMIT 1 OFFSET {_REACH // len(access.branches)}"
        )
        if rows:
            reach = max(reach, rows[0][0])
    return -int(reach) if math.isfinite(reach) else 2**63


def _walk_time(query: Query, source: Source, operands: tuple[Node, ...]) -> list[Found]:
    """Follows a source that comes newest first."""
    query.trace.append(f"walk {source} newest first")
    cursor = query.cursor
    if cursor is None:
        return _time_step(query, source, operands, "", query.limit)
    rows = _time_step(query, source, operands, "=", query.limit)
    if len(rows) < query.limit:
        rows += _time_step(query, source, operands, "<", query.limit - len(rows))
    return rows


def _time_step(
    query: Query, source: Source, operands: tuple[Node, ...], step: str, limit: int
) -> list[Found]:
    """One seek: among the cursor's equals in time (`=`), behind these (`<`), or from the start."""
    statement = Statement(query.connection)
    select = _Select(statement, query, source, operands)
    if step:
        assert query.cursor is not None
        select.where.append(f"{source.time} {step} {statement.bind(query.cursor.time)}")
    if step == "=":
        assert query.cursor is not None
        select.where.append(f"r.run_id > {statement.bind(query.cursor.id)}")
    return statement.found(
        f"SELECT r.id, r.run_id, r.start_time {select.tail()}"
        f" ORDER BY {source.time} DESC, r.run_id LIMIT {statement.bind(limit)}"
    )


class _Select:
    """FROM and WHERE of the runs behind a source's entries, as far as they satisfy operands."""

    def __init__(
        self, statement: Statement, query: Query, source: Source, operands: tuple[Node, ...]
    ) -> None:
        partition = query.partition
        self.tables = source.tables(statement)
        self.where = source.where(statement, partition)
        if source.table != "runs":
            self.tables += " CROSS JOIN runs AS r"
            self.where += [f"r.id = {source.run}", *_in_partition(statement, partition)]
            # Written for the entries too, so that a walk ends where the time does.
            times = required_ranges(query.operands, START_TIME) if source.table != "datasets" else ()
            self.where += [f"{source.time} {t.operator.value} {statement.bind(t.value)}" for t in times]
        self.where += [condition(statement, operand, source.run) for operand in operands]

    def tail(self) -> str:
        return f"FROM {self.tables} WHERE {' AND '.join(self.where)}"


def _in_partition(statement: Statement, partition: Partition) -> list[str]:
    """The run row has the last word: a purged run's children may still be there."""
    return [
        f"+r.experiment = {statement.bind(partition.experiment)}",
        f"+r.lifecycle = {statement.bind(partition.lifecycle)}",
    ]


def _drive(query: Query, access: Access) -> list[Found]:
    """Looks at all runs of an access, and sorts those that satisfy the rest."""
    query.trace.append(f"sort all of {' or '.join(map(str, access.sources))}")
    statement = Statement(query.connection)
    candidates = [
        f"SELECT {'DISTINCT ' if source.table == 'datasets' else ''}{source.run} AS run"
        f" FROM {source.tables(statement)} WHERE {' AND '.join(source.where(statement, query.partition))}"
        for source in access.sources
    ]
    operands = query.but(access.operands) if access.exact else query.operands
    where = ["r.id = c.run", *_in_partition(statement, query.partition)]
    where += [condition(statement, operand, "c.run") for operand in operands]
    columns = _columns(statement, query, "c.run")
    inner = f"SELECT {columns} FROM c CROSS JOIN runs AS r WHERE {' AND '.join(where)}"
    prefix = f"WITH c AS MATERIALIZED ({' UNION '.join(candidates)}) "
    return statement.found(prefix + _page(statement, query, inner))


def _sorted(query: Query, source: Source, operands: tuple[Node, ...]) -> list[Found]:
    """Reads a whole source and sorts."""
    query.trace.append(f"sort all of {source}")
    statement = Statement(query.connection)
    select = _Select(statement, query, source, operands)
    inner = f"SELECT {_columns(statement, query, source.run)} {select.tail()}"
    return statement.found(_page(statement, query, inner))


def _columns(statement: Statement, query: Query, run: str) -> str:
    keys = [f"{key_sql(statement, key.field, run)} AS k{i}" for i, key in enumerate(query.order)]
    return ", ".join(["r.id AS id", "r.run_id AS run_id", "r.start_time AS start_time", *keys])


def _page(statement: Statement, query: Query, inner: str) -> str:
    names = ", ".join(["q.id", "q.run_id", "q.start_time", *(f"q.k{i}" for i in range(len(query.order)))])
    after = f" WHERE {after_sql(statement, query.order, query.cursor)}" if query.cursor else ""
    ordered = f" ORDER BY {order_sql(query.order)} LIMIT {statement.bind(query.limit)}"
    return f"SELECT {names} FROM ({inner}) AS q{after}{ordered}"


def _by_status(query: Query) -> list[Found]:
    """Rows by status first: one group after the other."""
    key = query.order[0]
    ranks = sorted(STATUS_RANKS.values(), reverse=key.descending)
    begin = ranks.index(query.cursor.values[0]) if query.cursor else 0  # type: ignore[arg-type]
    rows: list[Found] = []
    for rank in ranks[begin:]:
        status = next(number for number, r in STATUS_RANKS.items() if r == rank)
        term = Term(key.field, Operator.IN, (status,))
        rows += _group(query, rank, term, query.limit - len(rows))
    return rows


def _by_column(query: Query) -> list[Found]:
    """Rows by a column that an index has in order: its values, then the runs that lack it."""
    key = query.order[0]
    cursor = query.cursor
    rows: list[Found] = []
    if cursor is None or cursor.values[0] is not None:
        if cursor is not None:
            value = cursor.values[0]
            rows = _group(query, value, Term(key.field, Operator.EQ, value), query.limit)
        rows += _beyond(query, query.limit - len(rows))
    if len(rows) < query.limit and (lacking := _lacking(query)):
        rows += _group(query, None, lacking, query.limit - len(rows))
    return rows


def _lacking(query: Query) -> Node | None:
    """The condition of the runs that come last, or None if the filter lets none of them through."""
    field = query.order[0].field
    if field.kind is Kind.ATTRIBUTE:
        return None
    if field.kind is Kind.METRIC:
        # Neither missing nor NaN is at most infinite.
        return None if required_ranges(query.operands, field) else Not(Term(field, Operator.LE, math.inf))
    has = (o for o in query.operands if isinstance(o, Term) and o.field == field)
    return None if any(o.operator is not Operator.IS_NULL for o in has) else Term(field, Operator.IS_NULL)


def _group(query: Query, value: Value, member: Node, limit: int) -> list[Found]:
    """The rows of equal value under the first key: a search of its own, by the other keys.

    Args:
        query: The search.
        value: The value that they share.
        member: The condition that says so.
        limit: Most rows.
    """
    cursor = query.cursor
    if cursor is not None:
        cursor = replace(cursor, values=cursor.values[1:]) if cursor.values[0] == value else None
    operands = (*query.operands, member)
    found = find(replace(query, operands=operands, order=query.order[1:], cursor=cursor, limit=limit))
    return [row._replace(values=(value, *row.values)) for row in found]


def _beyond(query: Query, limit: int) -> list[Found]:
    """The rows whose first value lies behind the cursor's.

    The index has them by this value alone, or with ties the wrong way round. So one row more than
    needed is read; when the last two are equal, that value's group may go on, and is searched apart.
    """
    if limit <= 0:
        return []
    rows = sorted(
        (row for source in _column_sources(query) for row in _read_beyond(query, source, limit + 1)),
        key=lambda row: row.values[0],  # type: ignore[arg-type, return-value]
        reverse=query.order[0].descending,
    )
    cut: list[Found] = []
    if len(rows) > limit:
        value = rows[limit - 1].values[0]
        if value == rows[limit].values[0]:
            rows = [row for row in rows[:limit] if row.values[0] != value]
            term = Term(query.order[0].field, Operator.EQ, value)
            cut = _group(replace(query, cursor=None), value, term, limit - len(rows))
        else:
            rows = rows[:limit]
    sort(rows, query.order)
    return rows + cut


def _column_sources(query: Query) -> Iterator[Source]:
    """The sources that hold the order's first key, each by its value."""
    field = query.order[0].field
    if field.kind is Kind.METRIC:
        yield metric_source(field.key, required_ranges(query.operands, field))
    elif field.kind is Kind.ATTRIBUTE:
        if field.key == "start_time":
            yield RUNS_BY_TIME
        else:
            yield Source("runs", "runs_by_name", "r.name")
    else:
        table = _TABLES[field.kind]
        yield Source(table, f"{table}_by_value", "d.value", field.key)
        yield Source(table, f"{table}_long", "d.value", field.key)


def _read_beyond(query: Query, source: Source, limit: int) -> list[Found]:
    """Reads the entries behind the cursor's value, by value alone."""
    key = query.order[0]
    query.trace.append(f"walk {source} by value")
    statement = Statement(query.connection)
    select = _Select(statement, query, source, query.but(source.terms))
    if query.cursor is not None:
        beyond = "<" if key.descending else ">"
        select.where.append(f"{source.column} {beyond} {statement.bind(query.cursor.values[0])}")
    elif not source.terms and key.field.kind is Kind.METRIC:
        select.where.append(f"{source.column} IS NOT NULL")
    others = [key_sql(statement, other.field, source.run) for other in query.order[1:]]
    columns = ", ".join(["r.id", "r.run_id", "r.start_time", source.column, *others])
    direction = "DESC" if key.descending else "ASC"
    return statement.found(
        f"SELECT {columns} {select.tail()} ORDER BY {source.column} {direction} LIMIT {statement.bind(limit)}"
    )
