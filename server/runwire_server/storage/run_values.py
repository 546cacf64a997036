"""What a run holds besides points, in SQL: params, tags and input data sets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire.v1 import experiment_pb2, run_pb2
from runwire_server.errors import FailedPrecondition, shorten
from runwire_server.storage.engine import HotStatement, insert, one_of
from runwire_server.storage.schema import datasets, params, run_inputs, tags


class RunRow(NamedTuple):
    """What a write has to know of its run."""

    id: int
    experiment: int
    lifecycle: int
    start_time: int
    next_position: int
    status: int
    experiment_lifecycle: int | None


_VALUE_NAMES = ("run", "key", "value", "experiment", "lifecycle", "start_time")


def _values(table: sa.Table) -> dict[str, Any]:
    return {name: bindparam(name, type_=table.c[name].type) for name in _VALUE_NAMES}


_ADD_PARAM = HotStatement(lambda _: sa.insert(params).values(_values(params)))
_STORED_PARAMS = HotStatement(
    lambda d: sa.select(params.c.key, params.c.value).where(
        params.c.run == bindparam("run"), one_of(d, params.c.key, "keys")
    )
)
_SET_TAG = HotStatement(
    lambda _: (
        insert(tags)
        .values(_values(tags))
        .on_conflict_do_update(index_elements=["run", "key"], set_={"value": insert(tags).excluded.value})
    )
)


def _value(row: RunRow, pair: run_pb2.Param | experiment_pb2.Tag) -> tuple[int, str, str, int, int, int]:
    return (row.id, pair.key, pair.value, row.experiment, row.lifecycle, row.start_time)


def add_params(connection: sa.Connection, run_id: str, row: RunRow, sent: Sequence[run_pb2.Param]) -> None:
    """Adds params to a run; those that it has already, with the same value, are no-ops.

    Raises:
        FailedPrecondition: PARAM_IMMUTABLE.
    """
    if not sent:
        return
    stored = dict(tuple(r) for r in _STORED_PARAMS.rows(connection, run=row.id, keys=[p.key for p in sent]))
    check_params(run_id, stored, sent)
    _ADD_PARAM.many(connection, [_value(row, p) for p in sent if p.key not in stored], _VALUE_NAMES)


def check_params(run_id: str, stored: Mapping[str, str], sent: Sequence[run_pb2.Param]) -> None:
    """Refuses params that would change stored ones.

    Raises:
        FailedPrecondition: PARAM_IMMUTABLE.
    """
    for param in sent:
        if stored.get(param.key, param.value) != param.value:
            raise FailedPrecondition(
                "PARAM_IMMUTABLE",
                f"param {param.key!r} is {shorten(stored[param.key])!r} already; params are write-once",
                {
                    "run_id": run_id,
                    "key": param.key,
                    "stored": shorten(stored[param.key]),
                    "sent": shorten(param.value),
                },
            )


def add_first_params(connection: sa.Connection, row: RunRow, sent: Sequence[run_pb2.Param]) -> None:
    """Adds params that are known to be new, as the run was created in the same transaction."""
    _ADD_PARAM.many(connection, [_value(row, p) for p in sent], _VALUE_NAMES)


def set_tags(connection: sa.Connection, row: RunRow, sent: Sequence[experiment_pb2.Tag]) -> None:
    """Sets tags of a run."""
    _SET_TAG.many(connection, [_value(row, tag) for tag in sent], _VALUE_NAMES)


def add_input(connection: sa.Connection, row: RunRow, entry: run_pb2.DatasetInput) -> None:
    """Adds an input to a run that is locked, unless it has it already."""
    content = hashlib.sha256(entry.dataset.SerializeToString(deterministic=True)).digest()
    fields = {f.name: getattr(entry.dataset, f.name) for f in run_pb2.Dataset.DESCRIPTOR.fields}
    connection.execute(
        insert(datasets)
        .values(experiment=row.experiment, content_hash=content, **fields)
        .on_conflict_do_nothing(index_elements=["experiment", "content_hash"])
    )
    dataset = connection.scalar(
        sa.select(datasets.c.id).where(
            datasets.c.experiment == row.experiment, datasets.c.content_hash == content
        )
    )
    # Safe to count: the run is locked.
    position = sa.select(sa.func.count()).where(run_inputs.c.run == row.id).scalar_subquery()
    connection.execute(
        insert(run_inputs)
        .values(run=row.id, position=position, dataset=dataset, context=entry.context)
        .on_conflict_do_nothing(index_elements=["run", "dataset", "context"])
    )
