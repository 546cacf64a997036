"""Searching runs and experiments: pages of row keys.

A search over several experiments, or both lifecycles, is one search in each, merged: every index is
in order within one experiment and lifecycle only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from runwire.v1 import experiment_pb2, run_pb2
from runwire_server.domain import filters, paging
from runwire_server.domain.filter_ast import Field, Kind, OrderKey, Type
from runwire_server.domain.paging import Cursor
from runwire_server.errors import experiment_not_found
from runwire_server.storage import search_experiments as _experiments
from runwire_server.storage.schema import ACTIVE, DELETED
from runwire_server.storage.search_access import Partition, normalise
from runwire_server.storage.search_plan import find
from runwire_server.storage.search_sql import Statement, prefer_indexes, sort
from runwire_server.storage.search_walk import Query

_NEWEST_FIRST = OrderKey(Field(Kind.ATTRIBUTE, "start_time", Type.INTEGER), descending=True)
_BY_RUN_ID = OrderKey(Field(Kind.ATTRIBUTE, "run_id", Type.TEXT))


@dataclass(frozen=True, slots=True)
class Page:
    """A page of runs, which may have to end earlier.

    Attributes:
        keys: The row keys of its runs in order.
        cursors: Where each of them stands.
        seal: What the query's tokens begin with.
        more: Whether runs follow the last.
    """

    keys: list[int]
    cursors: list[Cursor]
    seal: bytes
    more: bool

    def token(self, count: int) -> str:
        """Returns the token of the page behind the first so many runs, "" if there are no others."""
        if count == len(self.keys) and not self.more:
            return ""
        return paging.encode(self.seal, self.cursors[count - 1])


def search_runs(connection: sa.Connection, request: run_pb2.SearchRunsRequest) -> Page:
    """Finds a page of runs.

    Args:
        connection: Within one snapshot.
        request: The search, with its experiment ids and page size validated.

    Returns:
        The page.

    Raises:
        InvalidArgument: INVALID_FILTER, INVALID_PAGE_TOKEN.
        NotFound: EXPERIMENT_NOT_FOUND.
    """
    return _search_runs(connection, request, [])


def explain(connection: sa.Connection, request: run_pb2.SearchRunsRequest) -> list[str]:
    """Finds a page of runs, and tells how: a line for each index used."""
    trace: list[str] = []
    _search_runs(connection, request, trace)
    return trace


def search_experiments(
    connection: sa.Connection, request: experiment_pb2.SearchExperimentsRequest
) -> tuple[list[int], str]:
    """Finds a page of experiments.

    Args:
        connection: Within one snapshot.
        request: The search, with its page size validated.

    Returns:
        The row keys of the page's experiments in order, and the next page's token.

    Raises:
        InvalidArgument: INVALID_FILTER, INVALID_PAGE_TOKEN.
    """
    return _experiments.search_experiments(connection, request)


def _search_runs(connection: sa.Connection, request: run_pb2.SearchRunsRequest, trace: list[str]) -> Page:
    operands = normalise(filters.parse_run_filter(request.filter))
    order = _effective(filters.parse_run_order(request.order_by))
    view = request.view or experiment_pb2.LIFECYCLE_VIEW_ACTIVE_ONLY
    seal = paging.query_hash(
        "runs", sorted(request.experiment_ids), request.filter, request.order_by, str(view)
    )
    cursor = paging.decode(seal, request.page_token, len(order))
    size = paging.page_size(request.page_size)
    prefer_indexes(connection)
    partitions = _partitions(connection, request.experiment_ids, view)
    rows = [
        row
        for partition in partitions
        for row in find(Query(connection, partition, operands, order, cursor, size + 1, trace))
    ]
    if len(partitions) > 1:
        sort(rows, order)
    page = rows[:size]
    return Page([row.key for row in page], [row.cursor for row in page], seal, len(rows) > size)


def _effective(order: tuple[OrderKey, ...]) -> tuple[OrderKey, ...]:
    """Leaves out the keys that the tie-breakers repeat, so that the default order is known as such."""
    for i, key in enumerate(order):
        # Run ids are unique: nothing behind them decides anything.
        if key.field == _BY_RUN_ID.field:
            order = order[: i + 1]
            break
    if order[-2:] == (_NEWEST_FIRST, _BY_RUN_ID):
        return order[:-2]
    return order[:-1] if order[-1:] == (_NEWEST_FIRST,) else order


def _partitions(connection: sa.Connection, experiment_ids: Sequence[str], view: int) -> list[Partition]:
    """The experiments and lifecycles to look at."""
    keys = {text: key for text in experiment_ids if (key := _experiment_key(text)) is not None}
    lifecycles: dict[int, int] = {}
    if keys:
        statement = Statement(connection)
        bound = statement.bind_all(list(keys.values()))
        rows = statement.fetch(f"SELECT id, lifecycle FROM experiments WHERE id IN ({bound})")
        lifecycles = {row[0]: row[1] for row in rows}
    partitions = []
    for text in experiment_ids:
        lifecycle = lifecycles.get(keys.get(text, -1))
        if lifecycle not in (ACTIVE, DELETED):
            raise experiment_not_found(experiment_id=text)
        partitions += [Partition(keys[text], own) for own in _run_lifecycles(lifecycle, view)]
    return partitions


def _run_lifecycles(experiment: int, view: int) -> tuple[int, ...]:
    """The runs' own lifecycles that a view shows: all runs of a deleted experiment are deleted."""
    if view == experiment_pb2.LIFECYCLE_VIEW_ALL:
        return (ACTIVE, DELETED)
    if view == experiment_pb2.LIFECYCLE_VIEW_DELETED_ONLY:
        return (DELETED,) if experiment == ACTIVE else (ACTIVE, DELETED)
    return (ACTIVE,) if experiment == ACTIVE else ()


def _experiment_key(text: str) -> int | None:
    """The row key behind an id, or None for what can not be one: `007` and `7` are not the same."""
    if not text.isascii() or not text.isdecimal() or len(text) > 19 or str(int(text)) != text:
        return None
    return int(text) if int(text) < 2**63 else None
