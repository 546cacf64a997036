"""Changes of runs as parts of units: what RPCs do to one run, and frames to many, is done here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire.v1 import experiment_pb2, run_pb2
from runwire_server.errors import AlreadyExists, FailedPrecondition, run_not_found
from runwire_server.storage import experiments as experiment_rows
from runwire_server.storage import run_values
from runwire_server.storage.engine import HotStatement, insert
from runwire_server.storage.run_rows import key_of
from runwire_server.storage.run_values import RunRow
from runwire_server.storage.schema import (
    ACTIVE,
    DELETED,
    PURGED,
    experiments,
    metric_series,
    params,
    runs,
    tags,
)

# Everything that copies a run's lifecycle.
COPIES = (params, tags, metric_series)

_EXPERIMENT_LIFECYCLE = (
    sa.select(experiments.c.lifecycle).where(experiments.c.id == runs.c.experiment).scalar_subquery()
)
# Locks the run until commit on PostgreSQL: writers of one run take turns there too.
_LOCKED = HotStatement(
    lambda _: (
        sa.select(
            runs.c.id,
            runs.c.experiment,
            runs.c.lifecycle,
            runs.c.start_time,
            runs.c.next_position,
            runs.c.status,
            experiments.c.lifecycle,
        )
        .select_from(runs.outerjoin(experiments, experiments.c.id == runs.c.experiment))
        .where(runs.c.run_id == bindparam("run_id"))
        .with_for_update(of=runs)
    )
)
# The same, with log positions taken.
_RESERVED = HotStatement(
    lambda _: (
        sa.update(runs)
        .where(runs.c.run_id == bindparam("run"), runs.c.lifecycle == ACTIVE)
        .values(next_position=runs.c.next_position + bindparam("positions"))
        .returning(
            runs.c.id,
            runs.c.experiment,
            runs.c.lifecycle,
            runs.c.start_time,
            runs.c.next_position - bindparam("positions"),
            runs.c.status,
            _EXPERIMENT_LIFECYCLE,
        )
    )
)
# Log positions of a run that the unit has locked; what was the next one before.
_RESERVE = HotStatement(
    lambda _: (
        sa.update(runs)
        .where(runs.c.id == bindparam("run"))
        .values(next_position=runs.c.next_position + bindparam("positions"))
        .returning(runs.c.next_position - bindparam("positions"))
    )
)
_CREATE = HotStatement(
    lambda _: (
        insert(runs)
        .values(
            {
                name: bindparam(name, type_=runs.c[name].type)
                for name in (
                    "run_id experiment name status lifecycle start_time parent_run_id create_hash".split()
                )
            }
        )
        .on_conflict_do_nothing(index_elements=["run_id"])
        .returning(runs.c.id)
    )
)
_FINISH = HotStatement(
    lambda _: (
        sa.update(runs)
        .where(runs.c.id == bindparam("run"))
        .values(status=bindparam("to_status"), end_time=bindparam("to_end_time"), heartbeat_time=sa.null())
    )
)
# A run with a lease that has been silent is heard of again.
_HEAL = HotStatement(
    lambda _: (
        sa.update(runs)
        .where(runs.c.id == bindparam("run"), runs.c.status == run_pb2.RUN_STATUS_LOST)
        .values(status=run_pb2.RUN_STATUS_RUNNING, heartbeat_time=bindparam("now"))
    )
)
_CREATED_AS = HotStatement(
    lambda _: sa.select(runs.c.id, runs.c.create_hash).where(runs.c.run_id == bindparam("run_id"))
)


def locked(connection: sa.Connection, run_id: str, positions: int = 0) -> RunRow:
    """Returns a run, deleted or not, of an active experiment; locks it until commit.

    Args:
        connection: Of the unit.
        run_id: The run.
        positions: How many log positions to take, from the returned `next_position` on; none are taken
            of a run that is deleted on its own.

    Raises:
        NotFound: RUN_NOT_FOUND.
        FailedPrecondition: RUN_PURGED, EXPERIMENT_DELETED.
    """
    reserved: Sequence[Any] = ()
    if positions:
        reserved = _RESERVED.rows(connection, run=run_id, positions=positions)
    found = reserved or _LOCKED.rows(connection, run_id=run_id)
    if not found:
        raise run_not_found(run_id)
    row = RunRow(*found[0])
    if row.lifecycle == PURGED or row.experiment_lifecycle in (PURGED, None):
        raise purged(run_id)
    if row.experiment_lifecycle == DELETED:
        raise experiment_rows.deleted(row.experiment)
    if positions and not reserved and row.lifecycle == ACTIVE:
        # It was restored between the two statements, or while the second waited for its lock.
        return row._replace(next_position=reserve(connection, row.id, positions))
    return row


def reserve(connection: sa.Connection, run: int, positions: int) -> int:
    """Takes log positions of a run that the unit has locked; returns the first."""
    ((first,),) = _RESERVE.rows(connection, run=run, positions=positions)
    return int(first)


def writable(connection: sa.Connection, run_id: str, now: int, positions: int = 0) -> RunRow:
    """Returns a run that can be written, locked until commit; one that was lost is found again.

    Raises:
        NotFound: RUN_NOT_FOUND.
        FailedPrecondition: RUN_DELETED, RUN_PURGED, EXPERIMENT_DELETED.
    """
    row = locked(connection, run_id, positions)
    if row.lifecycle == DELETED:
        raise FailedPrecondition(
            "RUN_DELETED", f"run {run_id} is deleted; restore it first", {"run_id": run_id}
        )
    if row.status == run_pb2.RUN_STATUS_LOST:
        _HEAL.count(connection, run=row.id, now=now)
    return row


def purged(run_id: str) -> FailedPrecondition:
    """Makes RUN_PURGED."""
    return FailedPrecondition("RUN_PURGED", f"run {run_id} was purged", {"run_id": run_id})


class NewRun(NamedTuple):
    """What a run is created with, beyond its request.

    Attributes:
        run_id: Its id, the client's or a new one.
        name: Its name, the client's or a new one.
        start_time: Unix milliseconds.
        create_hash: Of the payload.
    """

    run_id: str
    name: str
    start_time: int
    create_hash: bytes


def payload_hash(request: run_pb2.CreateRunRequest) -> bytes:
    """Returns what tells the payload of one CreateRun from another's."""
    payload = run_pb2.CreateRunRequest()
    payload.CopyFrom(request)
    payload.ClearField("request_id")
    payload.ClearField("allow_existing")
    return hashlib.sha256(payload.SerializeToString(deterministic=True)).digest()


def existing(connection: sa.Connection, request: run_pb2.CreateRunRequest, payload: bytes) -> int | None:
    """Returns the run that has the client-minted id already, if it may be returned; None if none has.

    Raises:
        FailedPrecondition: RUN_PURGED.
        AlreadyExists: RUN_EXISTS.
    """
    found = _CREATED_AS.rows(connection, run_id=request.run_id)
    if not found:
        return None
    key, created_as = found[0]
    if key_of(connection, request.run_id) is None:
        raise purged(request.run_id)
    if not request.allow_existing and bytes(created_as) != payload:
        raise AlreadyExists(
            "RUN_EXISTS", f"run {request.run_id} was created with another payload", {"run_id": request.run_id}
        )
    return int(key)


def create(
    connection: sa.Connection, request: run_pb2.CreateRunRequest, new: NewRun, experiment: int
) -> RunRow | None:
    """Creates a run with its params and tags.

    Args:
        connection: Of the unit.
        request: Names the parent, status, params and tags.
        new: The rest.
        experiment: The experiment's row key; the unit has locked that.

    Returns:
        The run's row; None if another server has created the run since we looked, whose commit was
        waited for.

    Raises:
        FailedPrecondition: PARENT_RUN_INVALID.
    """
    if request.parent_run_id:
        _check_parent(connection, request, experiment)
    status = request.status or run_pb2.RUN_STATUS_RUNNING
    created = _CREATE.rows(
        connection,
        **new._asdict(),
        experiment=experiment,
        status=status,
        lifecycle=ACTIVE,
        parent_run_id=request.parent_run_id or None,
    )
    if not created:
        return None
    row = RunRow(created[0][0], experiment, ACTIVE, new.start_time, 0, status, ACTIVE)
    run_values.add_first_params(connection, row, request.params)
    run_values.set_tags(connection, row, request.tags)
    return row


def _check_parent(connection: sa.Connection, request: run_pb2.CreateRunRequest, experiment: int) -> None:
    parent = connection.execute(sa.select(runs).where(runs.c.run_id == request.parent_run_id)).first()
    why = None
    if request.parent_run_id == request.run_id:
        why = "itself"
    elif parent is None or parent.lifecycle == PURGED:
        why = "not_found"
    elif parent.experiment != experiment:
        why = "other_experiment"
    elif parent.lifecycle == DELETED:
        why = "deleted"
    if why:
        raise FailedPrecondition(
            "PARENT_RUN_INVALID",
            f"run {request.parent_run_id} can not be the parent: {why.replace('_', ' ')}",
            {"parent_run_id": request.parent_run_id, "why": why},
        )


def update(connection: sa.Connection, row: RunRow, request: run_pb2.UpdateRunRequest) -> None:
    """Changes what the request's mask names."""
    changes: dict[str, Any] = {}
    if "name" in request.update_mask.paths:
        changes["name"] = request.name
    if "status" in request.update_mask.paths:
        changes["status"] = request.status
        if request.status in (run_pb2.RUN_STATUS_RUNNING, run_pb2.RUN_STATUS_SCHEDULED):
            changes["end_time"] = None
        else:
            changes["heartbeat_time"] = None
    connection.execute(sa.update(runs).where(runs.c.id == row.id).values(**changes))


def finish(connection: sa.Connection, row: RunRow, request: run_pb2.FinishRunRequest, now: int) -> None:
    """Sets status and end time."""
    _FINISH.count(
        connection,
        run=row.id,
        to_status=request.status or run_pb2.RUN_STATUS_FINISHED,
        to_end_time=request.end_time.ToMilliseconds() if request.HasField("end_time") else now,
    )


def delete_tag(connection: sa.Connection, row: RunRow, key: str) -> bool:
    """Removes a tag; returns whether it was there."""
    matching = (tags.c.run == row.id) & (tags.c.key == key)
    return connection.execute(sa.delete(tags).where(matching)).rowcount > 0


def add_inputs(connection: sa.Connection, row: RunRow, inputs: Sequence[run_pb2.DatasetInput]) -> None:
    """Adds input data sets, those that are new."""
    for entry in inputs:
        run_values.add_input(connection, row, entry)


def set_lifecycle(connection: sa.Connection, run: int, lifecycle: int, delete_time: int | None) -> None:
    """Changes a run's lifecycle, and all copies of it."""
    connection.execute(
        sa.update(runs).where(runs.c.id == run).values(lifecycle=lifecycle, delete_time=delete_time)
    )
    for table in COPIES:
        connection.execute(sa.update(table).where(table.c.run == run).values(lifecycle=lifecycle))


def by_key(pair: run_pb2.Param | experiment_pb2.Tag) -> str:
    """Sorts params and tags."""
    return pair.key
