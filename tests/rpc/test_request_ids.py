"""A mutation repeated under its request id gets the first answer, and is not done again."""

from __future__ import annotations

import concurrent.futures
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from tests.rpc.asking import METHODS, MUTATIONS, Api, fresh
from tests.rpc.requests import prepared, sound_requests

from runwire.v1 import experiment_pb2 as experiments
from runwire.v1 import run_pb2 as runs
from runwire.v1 import server_pb2 as server

# What has to come before, so that the request can work.
BEFORE = {
    "RestoreExperiment": "DeleteExperiment",
    "DeleteExperimentTag": "SetExperimentTags",
    "RestoreRun": "DeleteRun",
    "DeleteRunTag": "SetRunTags",
}
# What takes the request's effect back, or goes on from it.
AFTER: dict[str, Callable[[str, str], Message]] = {
    "UpdateExperiment": lambda e, _: experiments.UpdateExperimentRequest(
        experiment_id=e, name=fresh("moved on"), update_mask={"paths": ["name"]}
    ),
    "DeleteExperiment": lambda e, _: experiments.RestoreExperimentRequest(experiment_id=e),
    "RestoreExperiment": lambda e, _: experiments.DeleteExperimentRequest(experiment_id=e),
    "SetExperimentTags": lambda e, _: experiments.DeleteExperimentTagRequest(experiment_id=e, key="tag"),
    "DeleteExperimentTag": lambda e, _: experiments.SetExperimentTagsRequest(
        experiment_id=e, tags=[{"key": "tag", "value": "moved on"}]
    ),
    "UpdateRun": lambda _, r: runs.UpdateRunRequest(
        run_id=r, name="moved on", status=runs.RUN_STATUS_RUNNING, update_mask={"paths": ["name", "status"]}
    ),
    "FinishRun": lambda _, r: runs.UpdateRunRequest(
        run_id=r, status=runs.RUN_STATUS_RUNNING, update_mask={"paths": ["status"]}
    ),
    "DeleteRun": lambda _, r: runs.RestoreRunRequest(run_id=r),
    "RestoreRun": lambda _, r: runs.DeleteRunRequest(run_id=r),
    "LogBatch": lambda _, r: runs.SetRunTagsRequest(run_id=r, tags=[{"key": "tag", "value": "moved on"}]),
    "SetRunTags": lambda _, r: runs.DeleteRunTagRequest(run_id=r, key="tag"),
    "DeleteRunTag": lambda _, r: runs.SetRunTagsRequest(run_id=r, tags=[{"key": "tag", "value": "moved on"}]),
    "LogInputs": lambda _, r: runs.DeleteRunRequest(run_id=r),
}


def identified(request: Message, request_id: str) -> Message:
    """Returns a copy with a request id."""
    copy: Any = type(request)()
    copy.CopyFrom(request)
    copy.request_id = request_id
    return copy


def ready(api: Api, name: str) -> tuple[str, str, Message, str]:
    """Returns an experiment, its run, a request of a method that will work on them, and a request id."""
    experiment, run = prepared(api)
    sound = sound_requests(experiment, run)
    if name in BEFORE:
        api(sound[BEFORE[name]])
    request_id = str(uuid.uuid4())
    return experiment, run, identified(sound[name], request_id), request_id


def all_names(api: Api, experiment: str) -> Sequence[bytes]:
    """Returns what creations add to."""
    made = api(experiments.SearchExperimentsRequest(filter="name LIKE 'sound%'", page_size=1_000))
    found = api(
        runs.SearchRunsRequest(
            experiment_ids=[experiment],
            view=experiments.LIFECYCLE_VIEW_ALL,
            mask={"fields": {"paths": ["run_id"]}},
        )
    )
    return [m.SerializeToString(deterministic=True) for m in (made, found)]


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_repeat_gets_the_first_answer(api: Api, name: str) -> None:
    experiment, run, request, _ = ready(api, name)
    first = api(request)
    for _ in range(2):
        assert api(request) == first
    if name in AFTER:
        api(AFTER[name](experiment, run))
    state = api.state(run), all_names(api, experiment)
    assert api(request) == first
    assert (api.state(run), all_names(api, experiment)) == state


@pytest.mark.parametrize("name", MUTATIONS)
def test_an_id_of_another_payload(api: Api, name: str) -> None:
    *_, request, request_id = ready(api, name)
    api(request)
    experiment, run, other, _ = ready(api, name)
    if name == "Purge":
        other.older_than.CopyFrom(Duration(seconds=86_401))  # type: ignore[attr-defined]
    state = api.state(run), all_names(api, experiment)
    reused = identified(other, request_id)
    api.refused(reused, "FAILED_PRECONDITION", "REQUEST_ID_REUSED", request_id=request_id)
    assert (api.state(run), all_names(api, experiment)) == state
    api(other)


@pytest.mark.parametrize("name", MUTATIONS)
def test_an_id_of_another_method(api: Api, name: str) -> None:
    experiment, run, request, request_id = ready(api, name)
    first = "DeleteRun" if name != "DeleteRun" else "RestoreRun"
    api(identified(sound_requests("0", api.new_run())[first], request_id))
    state = api.state(run), all_names(api, experiment)
    api.refused(request, "FAILED_PRECONDITION", "REQUEST_ID_REUSED", request_id=request_id)
    assert (api.state(run), all_names(api, experiment)) == state


def test_alike_bytes_of_two_methods_are_two_requests(api: Api) -> None:
    _, run = prepared(api)
    request_id = str(uuid.uuid4())
    delete = runs.DeleteRunRequest(run_id=run, request_id=request_id)
    restore = runs.RestoreRunRequest(run_id=run, request_id=request_id)
    assert delete.SerializeToString() == restore.SerializeToString()
    api(delete)
    api.refused(restore, "FAILED_PRECONDITION", "REQUEST_ID_REUSED")


def test_a_failed_call_does_not_use_its_id_up(api: Api) -> None:
    _, run = prepared(api)
    delete = runs.DeleteRunTagRequest(run_id=run, key="tag", request_id=str(uuid.uuid4()))
    for _ in range(2):
        api.refused(delete, "NOT_FOUND", "TAG_NOT_FOUND")
    api.log(run, tags=[{"key": "tag"}])
    for _ in range(2):
        api(delete)
    assert not api.run(run).tags
    # With another id it is another call.
    delete.request_id = str(uuid.uuid4())
    api.refused(delete, "NOT_FOUND", "TAG_NOT_FOUND")


def test_without_an_id_each_call_counts(api: Api) -> None:
    experiment, run = prepared(api)
    request = sound_requests(experiment, run)["LogBatch"]
    api(request)
    api(request)
    assert {m.key: m.count for m in api.run(run).metrics}["metric"] == 4


@pytest.mark.parametrize("name", [n for n in MUTATIONS if n not in {"Purge"}])
def test_repeats_at_once_are_one_call(api: Api, name: str) -> None:
    experiment, run, request, _ = ready(api, name)
    before = len(api.history(run))
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: api(request), range(12)))
    assert all(answer == answers[0] for answer in answers)
    if name == "LogBatch":
        assert before == 0
        assert {m.key: m.count for m in api.run(run).metrics}["metric"] == 2
    if name == "CreateRun":
        assert {r.run_id for r in api(runs.SearchRunsRequest(experiment_ids=[experiment])).runs} == {
            run,
            answers[0].run.run_id,
        }


def test_a_repeated_purge_spares_what_was_deleted_since(api: Api) -> None:
    _, first = prepared(api)
    _, second = prepared(api)
    api(runs.DeleteRunRequest(run_id=first))
    purge = server.PurgeRequest(request_id=str(uuid.uuid4()))
    answer = api(purge)
    assert answer.runs >= 1
    api(runs.DeleteRunRequest(run_id=second))
    assert api(purge) == answer
    assert api.run(second).lifecycle_stage == experiments.LIFECYCLE_STAGE_DELETED


def test_all_mutations_are_tried() -> None:
    assert set(AFTER) | {"CreateExperiment", "CreateRun", "Purge"} == set(MUTATIONS)
    reads = {
        "GetExperiment",
        "SearchExperiments",
        "GetRun",
        "SearchRuns",
        "GetMetricHistory",
        "GetMetricCurve",
        "WatchMetrics",
        "GetServerInfo",
        "GetStorageStats",
    }
    # What a repeat does to these, their sequences tell; and a heart may beat twice.
    others = {"StreamFrames", "AppendFrames", "Heartbeat"}
    assert set(METHODS) - set(MUTATIONS) == reads | others
