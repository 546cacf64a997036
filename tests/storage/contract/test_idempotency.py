"""A request id makes a repeat harmless: it gets the first answer, for 24 hours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from tests.support.messages import (
    as_dict,
    column,
    delete_run,
    get_experiment,
    get_run,
    history,
    log,
    new_experiment,
    new_run,
    point,
    tags_of,
)

from runwire.v1 import experiment_pb2, run_pb2, server_pb2
from runwire_server.errors import FailedPrecondition, NotFound
from runwire_server.storage.base import Stores
from runwire_server.storage.schema import requests

DAY = 24 * 3600 * 1000
ID = "0198c0ff-ee00-7000-8000-000000000001"

NAME = FieldMask(paths=["name"])


async def test_creating_twice_makes_one(stores: Stores) -> None:
    request = run_pb2.CreateRunRequest(experiment_id="0", request_id=ID)
    first = await stores.runs.create(request)
    # The first answer, not what the run is now.
    await log(stores, first.run.run_id, tags={"t": "1"})
    assert await stores.runs.create(request) == first
    wine = experiment_pb2.CreateExperimentRequest(name="wine", request_id=ID + "-2")
    made = await stores.experiments.create(wine)
    assert await stores.experiments.create(wine) == made


async def test_a_repeated_batch_adds_its_points_once(stores: Stores) -> None:
    run = (await new_run(stores)).run_id
    for _ in range(3):
        await log(stores, run, column("a", (1, 1.0)), params={"p": "1"}, tags={"t": "1"}, request_id=ID)
        await log(stores, run, tags={"t": "2"})
    assert await history(stores, run) == {run: {"a": [point(1, 1.0)]}}
    assert as_dict((await get_run(stores, run)).tags) == {"t": "2"}


def mutations(stores: Stores, run: str, experiment: str) -> dict[str, Callable[[str], Awaitable[Any]]]:
    """Every mutation, by name, as a function of the request id."""
    e, r = experiment_pb2, run_pb2
    tags = tags_of({"t": "1"})
    inputs = [r.DatasetInput(dataset=r.Dataset(name="d", digest="1"))]
    return {
        "CreateExperiment": lambda i: stores.experiments.create(
            e.CreateExperimentRequest(name="new", request_id=i)
        ),
        "UpdateExperiment": lambda i: stores.experiments.update(
            e.UpdateExperimentRequest(experiment_id=experiment, name="b", update_mask=NAME, request_id=i)
        ),
        "SetExperimentTags": lambda i: stores.experiments.set_tags(
            e.SetExperimentTagsRequest(experiment_id=experiment, tags=tags, request_id=i)
        ),
        "DeleteExperimentTag": lambda i: stores.experiments.delete_tag(
            e.DeleteExperimentTagRequest(experiment_id=experiment, key="t", request_id=i)
        ),
        "DeleteExperiment": lambda i: stores.experiments.delete(
            e.DeleteExperimentRequest(experiment_id=experiment, request_id=i)
        ),
        "RestoreExperiment": lambda i: stores.experiments.restore(
            e.RestoreExperimentRequest(experiment_id=experiment, request_id=i)
        ),
        "CreateRun": lambda i: stores.runs.create(r.CreateRunRequest(experiment_id=experiment, request_id=i)),
        "UpdateRun": lambda i: stores.runs.update(
            r.UpdateRunRequest(run_id=run, name="b", update_mask=NAME, request_id=i)
        ),
        "LogBatch": lambda i: log(stores, run, column("a", (1, 1.0)), params={"p": "1"}, request_id=i),
        "LogBatch without points": lambda i: log(stores, run, params={"q": "1"}, request_id=i),
        "SetRunTags": lambda i: stores.runs.set_tags(
            r.SetRunTagsRequest(run_id=run, tags=tags, request_id=i)
        ),
        "DeleteRunTag": lambda i: stores.runs.delete_tag(
            r.DeleteRunTagRequest(run_id=run, key="t", request_id=i)
        ),
        "LogInputs": lambda i: stores.runs.log_inputs(
            r.LogInputsRequest(run_id=run, inputs=inputs, request_id=i)
        ),
        "FinishRun": lambda i: stores.runs.finish(r.FinishRunRequest(run_id=run, request_id=i)),
        "DeleteRun": lambda i: stores.runs.delete(r.DeleteRunRequest(run_id=run, request_id=i)),
        "RestoreRun": lambda i: stores.runs.restore(r.RestoreRunRequest(run_id=run, request_id=i)),
        "Purge": lambda i: stores.maintenance.purge(
            server_pb2.PurgeRequest(older_than=Duration(seconds=1), request_id=i)
        ),
    }


async def test_every_mutation_repeats_its_answer_and_changes_nothing_twice(
    stores: Stores, clock: Any
) -> None:
    experiment = await new_experiment(stores, "wine")
    run = (await new_run(stores, experiment)).run_id
    everything = mutations(stores, run, experiment)
    first: dict[str, Any] = {}
    for name, call in everything.items():
        clock.now += 1
        first[name] = await call(f"id-{name.replace(' ', '-')}")
    now = await get_run(stores, run), await get_experiment(stores, experiment), await history(stores, run)
    clock.now += 1_000
    for name, call in everything.items():
        assert await call(f"id-{name.replace(' ', '-')}") == first[name], name
    assert (
        await get_run(stores, run),
        await get_experiment(stores, experiment),
        await history(stores, run),
    ) == now


async def test_an_id_belongs_to_its_method_and_payload(stores: Stores) -> None:
    experiment = await new_experiment(stores, "wine")
    run = (await new_run(stores, experiment)).run_id
    everything = mutations(stores, run, experiment)
    await log(stores, run, tags={"t": "1"}, request_id=ID)
    before = await get_run(stores, run), await get_experiment(stores, experiment)
    for name, call in everything.items():
        with pytest.raises(FailedPrecondition) as refused:
            await call(ID)
        assert (refused.value.reason, refused.value.metadata) == ("REQUEST_ID_REUSED", {"request_id": ID}), (
            name
        )
    with pytest.raises(FailedPrecondition):
        await log(stores, run, tags={"t": "2"}, request_id=ID)
    assert (await get_run(stores, run), await get_experiment(stores, experiment)) == before


async def test_without_an_id_nothing_is_remembered(stores: Stores) -> None:
    run = (await new_run(stores)).run_id
    for _ in range(2):
        await log(stores, run, column("a", (1, 1.0)))
    assert await history(stores, run) == {run: {"a": [point(1, 1.0)] * 2}}


async def test_a_failure_is_not_remembered(stores: Stores) -> None:
    run = (await new_run(stores)).run_id
    request = run_pb2.DeleteRunTagRequest(run_id=run, key="t", request_id=ID)
    for _ in range(2):
        with pytest.raises(NotFound):
            await stores.runs.delete_tag(request)
    await log(stores, run, tags={"t": "1"})
    await stores.runs.delete_tag(request)
    await stores.runs.delete_tag(request)
    # Nor does it take the id: another payload may have it after a failure.
    with pytest.raises(NotFound):
        await stores.runs.delete_tag(run_pb2.DeleteRunTagRequest(run_id=run, key="t", request_id=ID + "-2"))
    await log(stores, run, tags={"t": "1"}, request_id=ID + "-2")


async def test_an_id_is_forgotten_after_24_hours(stores: Stores, clock: Any) -> None:
    run = (await new_run(stores)).run_id
    await log(stores, run, column("a", (1, 1.0)), request_id=ID)
    clock.now += DAY - 1
    await log(stores, run, column("a", (1, 1.0)), request_id=ID)
    assert await history(stores, run) == {run: {"a": [point(1, 1.0)]}}
    clock.now += 1
    await log(stores, run, column("a", (1, 1.0)), request_id=ID)
    assert await history(stores, run) == {run: {"a": [point(1, 1.0)] * 2}}
    # From here on it protects the second use.
    clock.now += DAY - 1
    await log(stores, run, column("a", (1, 1.0)), request_id=ID)
    assert await history(stores, run) == {run: {"a": [point(1, 1.0)] * 2}}
    # Once it has had its day, any payload may use it, and the answer is that one's.
    clock.now += 1
    created = await stores.runs.create(run_pb2.CreateRunRequest(experiment_id="0", request_id=ID))
    again = await stores.runs.create(run_pb2.CreateRunRequest(experiment_id="0", request_id=ID))
    assert again == created


async def test_the_repeat_of_a_run_since_purged_still_gets_the_first_answer(stores: Stores) -> None:
    request = run_pb2.CreateRunRequest(experiment_id="0", request_id=ID)
    first = await stores.runs.create(request)
    await delete_run(stores, first.run.run_id)
    await stores.maintenance.purge(server_pb2.PurgeRequest())
    assert await stores.runs.create(request) == first


async def test_housekeeping_removes_only_ids_that_had_their_day(world: Any) -> None:
    stores, clock = world.stores, world.clock
    run = (await new_run(stores)).run_id
    await log(stores, run, request_id="old")
    # More than one step takes.
    rows = [
        {"request_id": f"old-{number}", "hash": b"", "response": b"", "create_time": clock.now}
        for number in range(2_500)
    ]
    await world.engine.write(lambda c: c.execute(sa.insert(requests), rows))
    clock.now += 1
    await log(stores, run, request_id="young")
    clock.now += DAY - 1
    await stores.maintenance.forget_requests()
    left = await world.engine.read(lambda c: list(c.scalars(sa.select(requests.c.request_id))))
    assert left == ["young"]
