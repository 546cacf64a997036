"""The life of runs, on every storage."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from tests.support.messages import (
    as_dict,
    column,
    delete_experiment,
    delete_run,
    get_run,
    log,
    new_experiment,
    new_run,
    params_of,
    tags_of,
    timestamp,
)

from runwire.v1 import experiment_pb2
from runwire.v1 import run_pb2 as pb
from runwire_server.errors import AlreadyExists, FailedPrecondition, NotFound
from runwire_server.storage.base import Stores

ACTIVE, DELETED = experiment_pb2.LIFECYCLE_STAGE_ACTIVE, experiment_pb2.LIFECYCLE_STAGE_DELETED
RUN_ID = "0198c0ffee00700080000000000000ff"
UNKNOWN = "0198c0ffee007000800000000000dead"

Change = Callable[[Stores, str], Awaitable[Any]]

# Every mutation of a run, and what it needs of the run.
CHANGES: dict[str, Change] = {
    "update": lambda s, run: s.runs.update(
        pb.UpdateRunRequest(run_id=run, name="other", update_mask=FieldMask(paths=["name"]))
    ),
    "finish": lambda s, run: s.runs.finish(pb.FinishRunRequest(run_id=run)),
    "points": lambda s, run: log(s, run, column("a", (1, 1.0))),
    "params": lambda s, run: log(s, run, params={"new": "1"}),
    "nothing": lambda s, run: log(s, run),
    "set_tags": lambda s, run: s.runs.set_tags(pb.SetRunTagsRequest(run_id=run, tags=tags_of({"a": "9"}))),
    "delete_tag": lambda s, run: s.runs.delete_tag(pb.DeleteRunTagRequest(run_id=run, key="a")),
    "log_inputs": lambda s, run: s.runs.log_inputs(
        pb.LogInputsRequest(run_id=run, inputs=[pb.DatasetInput(dataset=pb.Dataset(name="set", digest="d"))])
    ),
}
LIFE: dict[str, Change] = {
    "delete": lambda s, run: s.runs.delete(pb.DeleteRunRequest(run_id=run)),
    "restore": lambda s, run: s.runs.restore(pb.RestoreRunRequest(run_id=run)),
}


async def create(stores: Stores, **fields: Any) -> pb.Run:
    return await new_run(stores, **{"experiment_id": "0", "run_id": RUN_ID, **fields})


async def test_a_run_of_which_little_is_said(stores: Stores, clock: Any) -> None:
    run = await new_run(stores)
    assert re.fullmatch("[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", run.run_id)
    assert int(run.run_id[:12], 16) == clock.now
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d{1,3}", run.name)
    assert run.start_time.ToMilliseconds() == clock.now
    assert (run.status, run.lifecycle_stage) == (pb.RUN_STATUS_RUNNING, ACTIVE)
    assert not run.HasField("end_time")
    assert run.parent_run_id == ""
    assert await get_run(stores, run.run_id) == run


async def test_a_run_of_which_all_is_said(stores: Stores) -> None:
    experiment = await new_experiment(stores, "wine")
    parent = await new_run(stores, experiment)
    run = await create(
        stores,
        experiment_id=experiment,
        name="Zürich 🏔",
        start_time=timestamp(1_234_567),
        parent_run_id=parent.run_id,
        status=pb.RUN_STATUS_SCHEDULED,
        params=params_of({"b": "", "a": "x" * 6_000}),
        tags=tags_of({"d": "line\nbreak", "c": "ü"}),
    )
    assert (run.run_id, run.experiment_id, run.name) == (RUN_ID, experiment, "Zürich 🏔")
    assert run.start_time.ToMilliseconds() == 1_234_567
    assert (run.parent_run_id, run.status) == (parent.run_id, pb.RUN_STATUS_SCHEDULED)
    assert list(as_dict(run.params).items()) == [("a", "x" * 6_000), ("b", "")]
    assert list(as_dict(run.tags).items()) == [("c", "ü"), ("d", "line\nbreak")]
    assert await get_run(stores, RUN_ID) == run


async def test_the_same_id_and_payload_again_is_the_same_run(stores: Stores) -> None:
    payload: dict[str, Any] = {"name": "a", "params": params_of({"p": "1"})}
    first = await create(stores, request_id="first", **payload)
    assert await create(stores, request_id="second", **payload) == first
    assert await create(stores, allow_existing=True, **payload) == first
    # It comes back as it is now.
    await log(stores, RUN_ID, tags={"t": "1"})
    assert as_dict((await create(stores, **payload)).tags) == {"t": "1"}
    await delete_run(stores, RUN_ID)
    assert (await create(stores, **payload)).lifecycle_stage == DELETED


async def test_the_same_id_with_another_payload(stores: Stores) -> None:
    first = await create(stores, name="a")
    for other in ({"name": "b"}, {"name": "a", "params": params_of({"p": "1"})}):
        with pytest.raises(AlreadyExists) as taken:
            await create(stores, **other)
        assert (taken.value.reason, taken.value.metadata) == ("RUN_EXISTS", {"run_id": RUN_ID})
        assert await create(stores, allow_existing=True, **other) == first
    assert await get_run(stores, RUN_ID) == first


@pytest.mark.parametrize("why", ["not_found", "itself", "other_experiment", "deleted"])
async def test_a_parent_that_can_not_be(stores: Stores, why: str) -> None:
    parent = (await new_run(stores, await new_experiment(stores, "wine"))).run_id
    if why == "not_found":
        parent = UNKNOWN
    elif why == "itself":
        parent = RUN_ID
    elif why == "deleted":
        parent = (await new_run(stores)).run_id
        await delete_run(stores, parent)
    with pytest.raises(FailedPrecondition) as refused:
        await create(stores, parent_run_id=parent)
    assert refused.value.reason == "PARENT_RUN_INVALID"
    assert refused.value.metadata == {"parent_run_id": parent, "why": why}
    with pytest.raises(NotFound):
        await get_run(stores, RUN_ID)


async def test_no_run_without_an_active_experiment(stores: Stores) -> None:
    with pytest.raises(NotFound) as unknown:
        await create(stores, experiment_id="77")
    assert (unknown.value.reason, unknown.value.metadata) == ("EXPERIMENT_NOT_FOUND", {"experiment_id": "77"})
    experiment = await new_experiment(stores, "wine")
    await delete_experiment(stores, experiment)
    with pytest.raises(FailedPrecondition) as deleted:
        await create(stores, experiment_id=experiment)
    assert deleted.value.reason == "EXPERIMENT_DELETED"


async def test_update_and_finish(stores: Stores, clock: Any) -> None:
    run = await create(stores, name="a", params=params_of({"p": "1"}), tags=tags_of({"t": "1"}))
    request = pb.UpdateRunRequest(run_id=RUN_ID, name="b", status=pb.RUN_STATUS_FAILED)
    request.update_mask.paths.append("name")
    answer = (await stores.runs.update(request)).run
    assert (answer.name, answer.status) == ("b", pb.RUN_STATUS_RUNNING)
    assert (list(answer.params), list(answer.tags)) == ([], [])
    clock.now += 7
    answer = (await stores.runs.finish(pb.FinishRunRequest(run_id=RUN_ID))).run
    assert (answer.status, answer.end_time.ToMilliseconds()) == (pb.RUN_STATUS_FINISHED, clock.now)
    killed = pb.FinishRunRequest(run_id=RUN_ID, status=pb.RUN_STATUS_KILLED, end_time=timestamp(99))
    answer = (await stores.runs.finish(killed)).run
    assert (answer.status, answer.end_time.ToMilliseconds()) == (pb.RUN_STATUS_KILLED, 99)
    # Back to work: the end time goes.
    request = pb.UpdateRunRequest(run_id=RUN_ID, status=pb.RUN_STATUS_RUNNING)
    request.update_mask.paths.append("status")
    answer = (await stores.runs.update(request)).run
    assert answer.status == pb.RUN_STATUS_RUNNING
    assert not answer.HasField("end_time")
    run.name = "b"
    assert await get_run(stores, RUN_ID) == run


async def test_status_can_change_without_the_end_time(stores: Stores) -> None:
    await create(stores)
    await stores.runs.finish(pb.FinishRunRequest(run_id=RUN_ID, end_time=timestamp(99)))
    request = pb.UpdateRunRequest(run_id=RUN_ID, status=pb.RUN_STATUS_FAILED)
    request.update_mask.paths.append("status")
    answer = (await stores.runs.update(request)).run
    assert (answer.status, answer.end_time.ToMilliseconds()) == (pb.RUN_STATUS_FAILED, 99)


async def test_a_deleted_run_can_not_change(stores: Stores) -> None:
    await create(stores, tags=tags_of({"a": "1"}))
    await delete_run(stores, RUN_ID)
    before = await get_run(stores, RUN_ID)
    assert before.lifecycle_stage == DELETED
    assert as_dict(before.tags) == {"a": "1"}
    for name, change in CHANGES.items():
        with pytest.raises(FailedPrecondition) as refused:
            await change(stores, RUN_ID)
        assert (refused.value.reason, refused.value.metadata) == ("RUN_DELETED", {"run_id": RUN_ID}), name
    assert await get_run(stores, RUN_ID) == before
    await stores.runs.restore(pb.RestoreRunRequest(run_id=RUN_ID))
    for change in CHANGES.values():
        await change(stores, RUN_ID)


async def test_a_run_of_a_deleted_experiment_can_not_change(stores: Stores) -> None:
    experiment = await new_experiment(stores, "wine")
    await create(stores, experiment_id=experiment, tags=tags_of({"a": "1"}))
    await delete_experiment(stores, experiment)
    before = await get_run(stores, RUN_ID)
    assert before.lifecycle_stage == DELETED
    for name, change in {**CHANGES, **LIFE}.items():
        with pytest.raises(FailedPrecondition) as refused:
            await change(stores, RUN_ID)
        assert refused.value.reason == "EXPERIMENT_DELETED", name
        assert refused.value.metadata == {"experiment_id": experiment}
    assert await get_run(stores, RUN_ID) == before
    await stores.experiments.restore(experiment_pb2.RestoreExperimentRequest(experiment_id=experiment))
    assert (await get_run(stores, RUN_ID)).lifecycle_stage == ACTIVE
    for change in (*CHANGES.values(), *LIFE.values()):
        await change(stores, RUN_ID)


async def test_a_run_deleted_on_its_own_stays_so_when_its_experiment_returns(stores: Stores) -> None:
    experiment = await new_experiment(stores, "wine")
    alone = (await new_run(stores, experiment)).run_id
    other = (await new_run(stores, experiment)).run_id
    await delete_run(stores, alone)
    await delete_experiment(stores, experiment)
    await stores.experiments.restore(experiment_pb2.RestoreExperimentRequest(experiment_id=experiment))
    assert (await get_run(stores, alone)).lifecycle_stage == DELETED
    assert (await get_run(stores, other)).lifecycle_stage == ACTIVE


async def test_delete_and_restore_twice(stores: Stores) -> None:
    before = await create(stores, tags=tags_of({"a": "1"}))
    for _ in range(2):
        await delete_run(stores, RUN_ID)
    for _ in range(2):
        await stores.runs.restore(pb.RestoreRunRequest(run_id=RUN_ID))
    assert await get_run(stores, RUN_ID) == before


async def test_an_unknown_run(stores: Stores) -> None:
    for name, call in {**CHANGES, **LIFE, "get": get_run}.items():
        with pytest.raises(NotFound) as unknown:
            await call(stores, UNKNOWN)
        assert (unknown.value.reason, unknown.value.metadata) == ("RUN_NOT_FOUND", {"run_id": UNKNOWN}), name


async def test_a_mask_chooses_the_parts(stores: Stores) -> None:
    await create(stores, params=params_of({"p": "1"}), tags=tags_of({"t": "1"}))
    await log(stores, RUN_ID, column("m", (1, 1.0)))
    await CHANGES["log_inputs"](stores, RUN_ID)
    await stores.runs.finish(pb.FinishRunRequest(run_id=RUN_ID))
    whole = await get_run(stores, RUN_ID)
    fields = {field.name for field, _ in whole.ListFields()}
    assert fields == set(pb.Run.DESCRIPTOR.fields_by_name) - {"parent_run_id"}
    for kept in (set(), {"params", "metrics"}, {"tags", "inputs", "status"}, *({field} for field in fields)):
        mask = pb.RunMask(fields=FieldMask(paths=sorted(kept) or ["run_id"]))
        masked = await get_run(stores, RUN_ID, mask=mask)
        assert {field.name for field, _ in masked.ListFields()} == kept | {"run_id"}
        assert all(getattr(masked, field) == getattr(whole, field) for field in kept)


async def test_a_mask_chooses_keys(stores: Stores) -> None:
    await create(stores, params=params_of({"p": "1", "q": "2"}), tags=tags_of({"t": "1", "u": "2"}))
    await log(stores, RUN_ID, column("m", (1, 1.0)), column("n", (1, 1.0)))
    mask = pb.RunMask(metric_keys=["n", "none"], param_keys=["q"], tag_keys=["t"])
    found = await get_run(stores, RUN_ID, mask=mask)
    assert [m.key for m in found.metrics] == ["n"]
    assert (as_dict(found.params), as_dict(found.tags)) == ({"q": "2"}, {"t": "1"})
