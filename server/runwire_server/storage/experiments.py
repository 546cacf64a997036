"""Experiments and their tags in SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from runwire.v1 import experiment_pb2
from runwire_server.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    experiment_not_found,
    shorten,
)
from runwire_server.storage import search
from runwire_server.storage.engine import Engine, HotStatement, insert
from runwire_server.storage.requests import once
from runwire_server.storage.schema import ACTIVE, DELETED, PURGED, experiment_tags, experiments

DEFAULT_EXPERIMENT = 0

# Row locks, which only PostgreSQL has; a snapshot that is only read takes none.
Lock = Literal["share", "update"] | None


class ExperimentRow(NamedTuple):
    """What a call has to know of its experiment."""

    id: int
    lifecycle: int


_BY_ID = sa.select(experiments.c.id, experiments.c.lifecycle).where(
    experiments.c.id == sa.bindparam("experiment")
)
_LOCKED: dict[Lock, HotStatement] = {
    None: HotStatement(lambda _: _BY_ID),
    "share": HotStatement(lambda _: _BY_ID.with_for_update(read=True, key_share=True)),
    "update": HotStatement(lambda _: _BY_ID.with_for_update()),
}
_BY_NAME = HotStatement(
    lambda _: (
        sa.select(experiments.c.id, experiments.c.lifecycle)
        .where(experiments.c.name == sa.bindparam("name"))
        .with_for_update(read=True, key_share=True)
    )
)


class SqlExperiments:
    """See `base.ExperimentStore`."""

    def __init__(self, engine: Engine, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._clock = clock

    async def create(
        self, request: experiment_pb2.CreateExperimentRequest
    ) -> experiment_pb2.CreateExperimentResponse:
        """See `base.ExperimentStore.create`."""
        now = self._clock()

        def unit(connection: sa.Connection) -> experiment_pb2.CreateExperimentResponse:
            row = connection.execute(_created(request.name, now)).first()
            if row is None:
                raise _taken(connection, request.name)
            _set_tags(connection, row.id, request.tags)
            return experiment_pb2.CreateExperimentResponse(experiment=load(connection, [row.id])[0])

        return await self._engine.write(once(request, experiment_pb2.CreateExperimentResponse, unit, now))

    async def get(self, request: experiment_pb2.GetExperimentRequest) -> experiment_pb2.GetExperimentResponse:
        """See `base.ExperimentStore.get`."""

        def unit(connection: sa.Connection) -> experiment_pb2.GetExperimentResponse:
            if request.WhichOneof("by") == "name":
                query = sa.select(experiments.c.id).where(
                    experiments.c.name == request.name, experiments.c.lifecycle != PURGED
                )
                key = connection.scalar(query)
                if key is None:
                    raise experiment_not_found(name=request.name)
            else:
                key = _existing(connection, request.experiment_id, None).id
            return experiment_pb2.GetExperimentResponse(experiment=load(connection, [key])[0])

        return await self._engine.read(unit)

    async def search(
        self, request: experiment_pb2.SearchExperimentsRequest
    ) -> experiment_pb2.SearchExperimentsResponse:
        """See `base.ExperimentStore.search`."""

        def unit(connection: sa.Connection) -> experiment_pb2.SearchExperimentsResponse:
            keys, token = search.search_experiments(connection, request)
            return experiment_pb2.SearchExperimentsResponse(
                experiments=load(connection, keys), next_page_token=token
            )

        return await self._engine.read(unit)

    async def update(
        self, request: experiment_pb2.UpdateExperimentRequest
    ) -> experiment_pb2.UpdateExperimentResponse:
        """See `base.ExperimentStore.update`."""
        now = self._clock()

        def unit(connection: sa.Connection) -> experiment_pb2.UpdateExperimentResponse:
            key = writable(connection, request.experiment_id).id
            _refuse_default(key)
            others = sa.select(experiments.c.id).where(
                experiments.c.name == request.name, experiments.c.id != key
            )
            if connection.scalar(others) is not None:
                raise _taken(connection, request.name)
            connection.exec_driver_sql("SAVEPOINT rename")
            try:
                _change(connection, key, name=request.name, update_time=now)
            except sa.exc.IntegrityError:
                # Taken since. On PostgreSQL nothing more could be asked without going back.
                connection.exec_driver_sql("ROLLBACK TO SAVEPOINT rename")
                raise _taken(connection, request.name) from None
            connection.exec_driver_sql("RELEASE SAVEPOINT rename")
            return experiment_pb2.UpdateExperimentResponse(experiment=load(connection, [key])[0])

        return await self._engine.write(once(request, experiment_pb2.UpdateExperimentResponse, unit, now))

    async def delete(
        self, request: experiment_pb2.DeleteExperimentRequest
    ) -> experiment_pb2.DeleteExperimentResponse:
        """See `base.ExperimentStore.delete`."""
        now = self._clock()

        def unit(connection: sa.Connection) -> experiment_pb2.DeleteExperimentResponse:
            row = _existing(connection, request.experiment_id, "update")
            _refuse_default(row.id)
            if row.lifecycle == ACTIVE:
                _change(connection, row.id, lifecycle=DELETED, update_time=now, delete_time=now)
            return experiment_pb2.DeleteExperimentResponse(experiment=load(connection, [row.id])[0])

        return await self._engine.write(once(request, experiment_pb2.DeleteExperimentResponse, unit, now))

    async def restore(
        self, request: experiment_pb2.RestoreExperimentRequest
    ) -> experiment_pb2.RestoreExperimentResponse:
        """See `base.ExperimentStore.restore`."""
        now = self._clock()

        def unit(connection: sa.Connection) -> experiment_pb2.RestoreExperimentResponse:
            row = _existing(connection, request.experiment_id, "update")
            if row.lifecycle == DELETED:
                _change(connection, row.id, lifecycle=ACTIVE, update_time=now, delete_time=None)
            return experiment_pb2.RestoreExperimentResponse(experiment=load(connection, [row.id])[0])

        return await self._engine.write(once(request, experiment_pb2.RestoreExperimentResponse, unit, now))

    async def set_tags(
        self, request: experiment_pb2.SetExperimentTagsRequest
    ) -> experiment_pb2.SetExperimentTagsResponse:
        """See `base.ExperimentStore.set_tags`."""
        now = self._clock()

        def unit(connection: sa.Connection) -> experiment_pb2.SetExperimentTagsResponse:
            key = writable(connection, request.experiment_id).id
            _set_tags(connection, key, request.tags)
            _change(connection, key, update_time=now)
            return experiment_pb2.SetExperimentTagsResponse()

        return await self._engine.write(once(request, experiment_pb2.SetExperimentTagsResponse, unit, now))

    async def delete_tag(
        self, request: experiment_pb2.DeleteExperimentTagRequest
    ) -> experiment_pb2.DeleteExperimentTagResponse:
        """See `base.ExperimentStore.delete_tag`."""
        now = self._clock()

        def unit(connection: sa.Connection) -> experiment_pb2.DeleteExperimentTagResponse:
            key = writable(connection, request.experiment_id).id
            matching = (experiment_tags.c.experiment == key) & (experiment_tags.c.key == request.key)
            if not connection.execute(sa.delete(experiment_tags).where(matching)).rowcount:
                raise NotFound(
                    "TAG_NOT_FOUND", f"the experiment has no tag {request.key!r}", {"key": request.key}
                )
            _change(connection, key, update_time=now)
            return experiment_pb2.DeleteExperimentTagResponse()

        return await self._engine.write(once(request, experiment_pb2.DeleteExperimentTagResponse, unit, now))


def load(connection: sa.Connection, keys: Sequence[int]) -> list[experiment_pb2.Experiment]:
    """Returns experiments in the order of their ids, all of which exist."""
    rows = connection.execute(sa.select(experiments).where(experiments.c.id.in_(keys)))
    found = {row.id: _message(row) for row in rows}
    tag_query = sa.select(experiment_tags).where(experiment_tags.c.experiment.in_(keys))
    for tag in connection.execute(tag_query.order_by(experiment_tags.c.experiment, experiment_tags.c.key)):
        found[tag.experiment].tags.add(key=tag.key, value=tag.value)
    return [found[key] for key in keys]


def writable(connection: sa.Connection, experiment_id: str, *, share: bool = False) -> ExperimentRow:
    """Returns the row of an active experiment, locked against change by others until commit.

    Args:
        connection: Of the unit.
        experiment_id: Decimal.
        share: Whether others may hold such a lock too: enough for adding runs.

    Raises:
        NotFound: EXPERIMENT_NOT_FOUND.
        FailedPrecondition: EXPERIMENT_DELETED.
    """
    row = _existing(connection, experiment_id, "share" if share else "update")
    if row.lifecycle == DELETED:
        raise deleted(experiment_id)
    return row


def found_or_created(connection: sa.Connection, name: str, now: int) -> ExperimentRow:
    """Returns the row of the active experiment of a name, which is created if there is none; shared lock.

    Raises:
        FailedPrecondition: EXPERIMENT_DELETED.
        Aborted: STORAGE_CONFLICT, while one of that name is being purged.
    """
    found = _BY_NAME.rows(connection, name=name)
    if not found:
        created = connection.execute(_created(name, now)).first()
        if created is not None:
            return ExperimentRow(created.id, ACTIVE)
        # On PostgreSQL, another server created it since we looked; its commit was waited for.
        found = _BY_NAME.rows(connection, name=name)
    row = ExperimentRow(*found[0])
    if row.lifecycle == DELETED:
        raise deleted(row.id)
    if row.lifecycle == PURGED:
        raise Aborted("STORAGE_CONFLICT", "an experiment of that name is being purged", retry_after=1.0)
    return row


def _created(name: str, now: int) -> Any:
    """Makes the statement that creates an experiment and returns its id, or nothing if the name is taken."""
    return (
        insert(experiments)
        .values(name=name, lifecycle=ACTIVE, create_time=now, update_time=now)
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(experiments.c.id)
    )


def deleted(experiment_id: str | int) -> FailedPrecondition:
    """Makes EXPERIMENT_DELETED."""
    return FailedPrecondition(
        "EXPERIMENT_DELETED",
        f"experiment {experiment_id} is deleted; restore it first",
        {"experiment_id": str(experiment_id)},
    )


def _existing(connection: sa.Connection, experiment_id: str, lock: Lock) -> ExperimentRow:
    found = _LOCKED[lock].rows(connection, experiment=int(experiment_id))
    if not found or found[0][1] == PURGED:
        raise experiment_not_found(experiment_id=experiment_id)
    return ExperimentRow(*found[0])


def _refuse_default(key: int) -> None:
    if key == DEFAULT_EXPERIMENT:
        raise FailedPrecondition(
            "EXPERIMENT_PROTECTED",
            "the Default experiment can not be deleted or renamed",
            {"experiment_id": "0"},
        )


def _taken(connection: sa.Connection, name: str) -> AlreadyExists:
    query = sa.select(experiments.c.id, experiments.c.lifecycle).where(experiments.c.name == name)
    row = connection.execute(query).first()
    facts = {"name": shorten(name)}
    what = "an experiment"
    if row is not None:
        # One that is being purged holds its name until it is gone.
        what = "an experiment" if row.lifecycle == ACTIVE else "a deleted experiment"
        facts |= {
            "experiment_id": str(row.id),
            "lifecycle_stage": "active" if row.lifecycle == ACTIVE else "deleted",
        }
    return AlreadyExists("EXPERIMENT_EXISTS", f"{what} has the name {shorten(name)!r} already", facts)


def _change(connection: sa.Connection, key: int, **values: Any) -> None:
    connection.execute(sa.update(experiments).where(experiments.c.id == key).values(**values))


def _set_tags(connection: sa.Connection, key: int, tags: Sequence[experiment_pb2.Tag]) -> None:
    if tags:
        statement = insert(experiment_tags)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["experiment", "key"], set_={"value": statement.excluded.value}
            ),
            [{"experiment": key, "key": tag.key, "value": tag.value} for tag in tags],
        )


def _message(row: sa.Row[Any]) -> experiment_pb2.Experiment:
    message = experiment_pb2.Experiment(
        experiment_id=str(row.id),
        name=row.name,
        lifecycle_stage=experiment_pb2.LIFECYCLE_STAGE_DELETED
        if row.lifecycle == DELETED
        else experiment_pb2.LIFECYCLE_STAGE_ACTIVE,
    )
    message.create_time.FromMilliseconds(row.create_time)
    message.update_time.FromMilliseconds(row.update_time)
    return message
