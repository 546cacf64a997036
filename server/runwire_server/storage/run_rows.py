"""Runs from rows to messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire.v1 import experiment_pb2, run_pb2
from runwire_server.domain.summaries import Summary, add_to, exact
from runwire_server.storage.engine import HotStatement, one_of
from runwire_server.storage.schema import (
    ACTIVE,
    PURGED,
    datasets,
    experiments,
    metric_series,
    params,
    run_inputs,
    runs,
    tags,
)

# The columns of `metric_series` that make a Summary, in its order, and the bytes that correct it.
SUMMARY_COLUMNS = [metric_series.c[name] for name in Summary._fields]

RUN_COLUMNS = (
    runs.c.id,
    runs.c.run_id,
    runs.c.experiment,
    runs.c.name,
    runs.c.status,
    runs.c.start_time,
    runs.c.end_time,
    runs.c.lifecycle,
    runs.c.parent_run_id,
    experiments.c.lifecycle,
)
_FROM = runs.outerjoin(experiments, experiments.c.id == runs.c.experiment)
_RUNS = HotStatement(lambda d: sa.select(*RUN_COLUMNS).select_from(_FROM).where(one_of(d, runs.c.id, "runs")))
_RUN = HotStatement(
    lambda _: sa.select(*RUN_COLUMNS).select_from(_FROM).where(runs.c.run_id == bindparam("run_id"))
)


def _of_runs(table: sa.Table, *columns: sa.Column[Any]) -> tuple[HotStatement, HotStatement]:
    """Statements for all keys, and for some keys, of some runs; ordered by run and key."""

    def build(dialect: str) -> sa.Select[Any]:
        query = sa.select(table.c.run, table.c.key, *columns).where(one_of(dialect, table.c.run, "runs"))
        return query.order_by(table.c.run, table.c.key)

    return HotStatement(build), HotStatement(lambda d: build(d).where(one_of(d, table.c.key, "keys")))


_PARAMS = _of_runs(params, params.c.value)
_TAGS = _of_runs(tags, tags.c.value)
_SERIES = _of_runs(metric_series, *SUMMARY_COLUMNS, metric_series.c.bits)
_INPUTS = HotStatement(
    lambda d: (
        sa.select(
            run_inputs.c.run,
            run_inputs.c.context,
            datasets.c.name,
            datasets.c.digest,
            datasets.c.source_type,
            datasets.c.source,
            datasets.c.schema,
            datasets.c.profile,
        )
        .join(datasets, datasets.c.id == run_inputs.c.dataset)
        .where(one_of(d, run_inputs.c.run, "runs"))
        .order_by(run_inputs.c.run, run_inputs.c.position)
    )
)


_ALL_FIELDS = set(run_pb2.Run.DESCRIPTOR.fields_by_name)
# What the run's own row has; run_id is returned always.
_OWN_FIELDS = _ALL_FIELDS - {"run_id", "params", "tags", "metrics", "inputs"}


def key_of(connection: sa.Connection, run_id: str) -> int | None:
    """Returns the row key of a run; None if it is unknown or purged."""
    row = _RUN.rows(connection, run_id=run_id)
    if not row or PURGED in (row[0][7], row[0][9]):
        return None
    return int(row[0][0])


def load_run(
    connection: sa.Connection, run_id: str, mask: run_pb2.RunMask | None = None
) -> run_pb2.Run | None:
    """Returns a run by its public id, None if it is unknown or purged; see `load_runs` for the mask."""
    rows = _RUN.rows(connection, run_id=run_id)
    if not rows or PURGED in (rows[0][7], rows[0][9]):
        return None
    return _load(connection, rows, mask)[rows[0][0]]


def load_runs(
    connection: sa.Connection, keys: Sequence[int], mask: run_pb2.RunMask | None = None
) -> list[run_pb2.Run]:
    """Returns runs in the order of their row keys, all of which exist.

    Args:
        connection: Of the unit.
        keys: Row keys.
        mask: Which parts to load; None or an empty one for all.
    """
    if not keys:
        return []
    found = _load(connection, _RUNS.rows(connection, runs=list(keys)), mask)
    return [found[key] for key in keys]


def _load(
    connection: sa.Connection, rows: Sequence[Any], mask: run_pb2.RunMask | None
) -> dict[int, run_pb2.Run]:
    mask = mask or run_pb2.RunMask()
    wanted = set(mask.fields.paths) or _ALL_FIELDS
    found = {row[0]: _message(row) for row in rows}
    keys = list(found)
    for field in _OWN_FIELDS - wanted:
        for run in found.values():
            run.ClearField(field)  # type: ignore[arg-type]
    if "params" in wanted:
        for owner, key, value in _select(connection, _PARAMS, keys, mask.param_keys):
            found[owner].params.add(key=key, value=value)
    if "tags" in wanted:
        for owner, key, value in _select(connection, _TAGS, keys, mask.tag_keys):
            found[owner].tags.add(key=key, value=value)
    if "metrics" in wanted:
        for owner, key, *summary, bits in _select(connection, _SERIES, keys, mask.metric_keys):
            add_to(found[owner], key, exact(Summary(*summary), bits))
    if "inputs" in wanted:
        for owner, context, *dataset in _INPUTS.rows(connection, runs=keys):
            _add_input(found[owner], context, dataset)
    return found


def _select(
    connection: sa.Connection,
    statements: tuple[HotStatement, HotStatement],
    keys: Sequence[int],
    only: Sequence[str],
) -> Sequence[Any]:
    everything, some = statements
    if only:
        return some.rows(connection, runs=list(keys), keys=list(only))
    return everything.rows(connection, runs=list(keys))


def _message(row: Sequence[Any]) -> run_pb2.Run:
    _, run_id, experiment, name, status, start, end, lifecycle, parent, experiment_lifecycle = row
    run = run_pb2.Run(
        run_id=run_id,
        experiment_id=str(experiment),
        name=name,
        status=status,
        lifecycle_stage=experiment_pb2.LIFECYCLE_STAGE_ACTIVE
        if lifecycle == ACTIVE == experiment_lifecycle
        else experiment_pb2.LIFECYCLE_STAGE_DELETED,
        parent_run_id=parent or "",
    )
    run.start_time.FromMilliseconds(start)
    if end is not None:
        run.end_time.FromMilliseconds(end)
    return run


def _add_input(run: run_pb2.Run, context: str, fields: Sequence[str]) -> None:
    name, digest, source_type, source, schema, profile = fields
    run.inputs.add(
        context=context,
        dataset=run_pb2.Dataset(
            name=name, digest=digest, source_type=source_type, source=source, schema=schema, profile=profile
        ),
    )
