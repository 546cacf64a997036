"""Searching experiments. They are thousands at most, so one plain statement does."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from runwire.v1 import experiment_pb2
from runwire_server.domain import filters, paging
from runwire_server.domain.filter_ast import Field, Kind, Operator, OrderKey, Term, Type
from runwire_server.storage.schema import ACTIVE, DELETED
from runwire_server.storage.search_sql import Statement, behind, boolean, column_term, comparison

_NEWEST_FIRST = OrderKey(Field(Kind.ATTRIBUTE, "creation_time", Type.INTEGER), descending=True)
_COLUMNS = {
    "name": "e.name",
    "experiment_id": "e.id",
    "creation_time": "e.create_time",
    "last_update_time": "e.update_time",
}
_LIFECYCLES = {
    experiment_pb2.LIFECYCLE_VIEW_DELETED_ONLY: (DELETED,),
    experiment_pb2.LIFECYCLE_VIEW_ALL: (ACTIVE, DELETED),
}


def search_experiments(
    connection: sa.Connection, request: experiment_pb2.SearchExperimentsRequest
) -> tuple[list[int], str]:
    """Finds a page of experiments. See `search.search_experiments`."""
    node = filters.parse_experiment_filter(request.filter)
    order = filters.parse_experiment_order(request.order_by)
    view = request.view or experiment_pb2.LIFECYCLE_VIEW_ACTIVE_ONLY
    keys = order or (_NEWEST_FIRST,)
    seal = paging.query_hash("experiments", request.filter, request.order_by, str(view))
    cursor = paging.decode(seal, request.page_token, len(keys))
    size = paging.page_size(request.page_size)

    statement = Statement(connection)
    where = [f"e.lifecycle IN ({statement.bind_all(_LIFECYCLES.get(view, (ACTIVE,)))})"]
    if node is not None:
        where.append(boolean(node, lambda term: _term(statement, term)))
    columns = ", ".join(f"{_key_sql(statement, key.field)} AS k{i}" for i, key in enumerate(keys))
    inner = f"SELECT e.id AS id, {columns} FROM experiments AS e WHERE {' AND '.join(where)}"
    after = f" WHERE {_after(statement, keys, cursor)}" if cursor else ""
    by = [f"q.k{i} {'DESC' if key.descending else 'ASC'} NULLS LAST" for i, key in enumerate(keys)]
    rows = statement.fetch(
        f"SELECT q.* FROM ({inner}) AS q{after} ORDER BY {', '.join([*by, 'q.id'])}"
        f" LIMIT {statement.bind(size + 1)}"
    )
    token = ""
    if len(rows) > size:
        key, *values = rows[size - 1]
        token = paging.encode(seal, paging.Cursor(tuple(values), time=key, id=""))
    return [row[0] for row in rows[:size]], token


def _key_sql(statement: Statement, field: Field) -> str:
    if field.kind is Kind.ATTRIBUTE:
        return _COLUMNS[field.key]
    key = statement.bind(field.key)
    return f"(SELECT x.value FROM experiment_tags AS x WHERE x.experiment = e.id AND x.key = {key})"


def _term(statement: Statement, term: Term) -> str:
    if term.field.kind is Kind.ATTRIBUTE:
        return column_term(statement, _COLUMNS[term.field.key], term, nullable=False)
    key = statement.bind(term.field.key)
    probe = f"SELECT 1 FROM experiment_tags AS x WHERE x.experiment = e.id AND x.key = {key}"
    match term.operator:
        case Operator.IS_NULL:
            return f"NOT EXISTS ({probe})"
        case Operator.IS_NOT_NULL:
            return f"EXISTS ({probe})"
        case _:
            return f"EXISTS ({probe} AND {comparison(statement, 'x.value', term)})"


def _after(statement: Statement, keys: Sequence[OrderKey], cursor: paging.Cursor) -> str:
    """Writes the condition for the rows behind a cursor, whose `time` holds the experiment's id."""
    return behind(statement, keys, cursor.values, f"q.id > {statement.bind(cursor.time)}")
