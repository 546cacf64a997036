"""How one page is found: the choice between the ways of `search_walk`.

Two ways lead to the first n rows of an order. *Drive*: take all candidates of the most selective index
range, check the rest of the filter on each, sort. Good when they are few. *Walk*: follow an index that
has the order, check the filter on each entry, stop after n. Good when many match. Which is which is
found by counting the ranges, but no further than it takes to know; when all are long, by trying the
walk's first entries, and if hardly any matches, by counting further.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from runwire_server.domain.filter_ast import Field, Kind, Node, Not, Operator, Term, Type
from runwire_server.domain.paging import Value
from runwire_server.storage.search_access import (
    RUNS_BY_TIME,
    Access,
    Source,
    accesses,
    metric_source,
    required_ranges,
)
from runwire_server.storage.search_sql import STATUS_RANKS, Found, sort
from runwire_server.storage.search_walk import (
    Query,
    count,
    drive,
    reach,
    sample,
    sort_all,
    walk_time,
    walk_value,
)

# Up to so many candidates are all looked at and sorted.
MAX_CANDIDATES = 5000
# So many entries of a walk are tried, and so many matches among them mean that it will end soon.
SAMPLES = (300, 3000)
ENOUGH = 3
# Longer walks are not told apart, and are as slow as reading all texts of a key.
LONG_WALK = 100_000
# How far ahead sparse is told from dense.
REACH = 500

_TABLES = {Kind.PARAM: "params", Kind.TAG: "tags"}
_Walks = Sequence[tuple[Source, tuple[Node, ...]]]


@dataclass(frozen=True, slots=True)
class _Offer:
    """An access and its number of entries, which is MAX_CANDIDATES + 1 when there are more."""

    access: Access
    count: int


def find(query: Query) -> list[Found]:
    """Finds the first rows behind the cursor, in order."""
    if query.limit <= 0:
        return []
    found = accesses(query.operands)
    counted = [access for access in found if not access.is_scan]
    counts = count(query, counted, MAX_CANDIDATES)
    if 0 in counts:
        query.trace.append("nothing: an index range is empty")
        return []
    offers = [_Offer(access, number) for access, number in zip(counted, counts, strict=True)]
    scans = [access for access in found if access.is_scan]
    if not query.order:
        return _by_time(query, offers, scans)
    key = query.order[0].field
    fewest = _fewest(offers)
    if not _is_walkable(key):
        best = fewest.access if fewest else scans[0] if scans else None
        return drive(query, best) if best else sort_all(query, RUNS_BY_TIME)
    own = _fewest([offer for offer in offers if _serves(offer.access, key)])
    if fewest and fewest.count <= MAX_CANDIDATES and (own is None or fewest.count < own.count):
        return drive(query, fewest.access)
    if key.type is Type.STATUS:
        return _by_status(query)
    if query.cursor is None or query.cursor.values[0] is not None:
        walks = [(source, query.but(source.terms)) for source in _column_sources(query)]
        if better := _better(query, walks, own, offers, scans):
            return drive(query, better)
    return _by_column(query)


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


def _by_time(query: Query, offers: Sequence[_Offer], scans: Sequence[Access]) -> list[Found]:
    """Rows in the default order."""
    fewest = _fewest(offers)
    ordered = [offer for offer in offers if offer.access.branches]
    own = _fewest(ordered)
    if fewest and fewest.count <= MAX_CANDIDATES and (own is None or fewest.count < own.count):
        return drive(query, fewest.access)
    if own and own.count > MAX_CANDIDATES and len(ordered) > 1:
        # The one whose next entries go back furthest has the fewest; none left is best.
        own = min(ordered, key=lambda offer: reach(query, offer.access, REACH) or 0)
    walks: _Walks = [(RUNS_BY_TIME, query.operands)]
    if own:
        rest = query.but(own.access.operands)
        walks = [(branch, rest + branch.rest) for branch in own.access.branches]
    if better := _better(query, walks, own, offers, scans):
        return drive(query, better)
    rows = {row.key: row for source, operands in walks for row in walk_time(query, source, operands)}
    merged = list(rows.values())
    if len(walks) > 1:
        sort(merged, ())
    return merged[: query.limit]


def _better(
    query: Query, walks: _Walks, own: _Offer | None, offers: Sequence[_Offer], scans: Sequence[Access]
) -> Access | None:
    """What to drive from instead of walking, if the walk looks long and something is shorter.

    Args:
        query: The search.
        walks: The sources of the walk.
        own: The access that the walk goes along, if any.
        offers: The accesses with counts, `own` among them.
        scans: The accesses that have to read all entries of a key.
    """
    others = [offer.access for offer in offers if offer is not own]
    if not others and not scans:
        return None
    if own and own.count <= MAX_CANDIDATES:
        return None
    length = _length(query, walks)
    if own and length:
        length = min(length, *count(query, [own.access], length))
    if not length:
        return None
    shortest = min(zip(count(query, others, length), range(len(others)), strict=True), default=None)
    if shortest and shortest[0] < length:
        return others[shortest[1]]
    return scans[0] if scans and length >= LONG_WALK else None


def _length(query: Query, walks: _Walks) -> int:
    """How many entries a walk will pass, as far as its first ones tell; 0 if not worth a thought."""
    for size in SAMPLES:
        tried, matched = sample(query, walks, size)
        if matched >= ENOUGH or tried < size // len(walks):
            return 0
    return min(tried * query.limit // max(matched, 1), LONG_WALK)


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
    rows = [
        row
        for source in _column_sources(query)
        for row in walk_value(query, source, query.but(source.terms), limit + 1)
    ]
    sort(rows, query.order)
    if len(rows) <= limit:
        return rows
    value = rows[limit - 1].values[0]
    rows, next_value = rows[:limit], rows[limit].values[0]
    if value != next_value:
        return rows
    rows = [row for row in rows if row.values[0] != value]
    term = Term(query.order[0].field, Operator.EQ, value)
    return rows + _group(replace(query, cursor=None), value, term, limit - len(rows))


def _column_sources(query: Query) -> Iterator[Source]:
    """The sources that hold the order's first key, each by its value."""
    field = query.order[0].field
    if field.kind is Kind.METRIC:
        # Least infinite is whatever is not NaN.
        least = (Term(field, Operator.GE, -math.inf),)
        yield metric_source(field.key, required_ranges(query.operands, field) or least)
    elif field.kind is Kind.ATTRIBUTE:
        yield RUNS_BY_TIME if field.key == "start_time" else Source("runs", "runs_by_name", "r.name")
    else:
        table = _TABLES[field.kind]
        yield Source(table, f"{table}_by_value", "d.value", field.key)
        yield Source(table, f"{table}_long", "d.value", field.key)
