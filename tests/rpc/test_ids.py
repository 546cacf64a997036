"""Ids that nothing has, or that are none, for every method that takes one; and ids minted by clients."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message
from tests.rpc.asking import METHODS, MUTATIONS, Api
from tests.rpc.requests import prepared, sound_requests

from runwire.v1 import run_pb2 as runs

UNKNOWN_RUN = "0123456789abcdef" * 2
UNKNOWN_EXPERIMENT = "9223372036854775807"
SQL = "0' OR '1'='1'; DROP TABLE runs; --"
ANYWHERE = [" ", "\0", SQL, "x" * 10_000, "0\n", "0" * 32 + "\n", "../../etc/passwd", "😀", "None"]
NO_RUN = [
    *ANYWHERE,
    "0",
    "a" * 31,
    "a" * 33,
    "A" * 32,
    "g" * 32,
    "０" * 32,
    "01234567-89ab-cdef-0123-456789abcdef",
]
NO_EXPERIMENT = [
    *ANYWHERE,
    "-1",
    "+1",
    "01",
    "00",
    "1.0",
    "1e3",
    "0x1",
    " 1",
    "1 ",
    "１",
    "٣",
    "9223372036854775808",
]

# Every field of every request that is an id.
RUN_FIELDS = {"run_id", "parent_run_id", "run_ids"}
EXPERIMENT_FIELDS = {"experiment_id", "experiment_ids"}
PLACES = [
    (name, field.name)
    for name, method in METHODS.items()
    for field in method.input_type.fields
    if field.name in RUN_FIELDS | EXPERIMENT_FIELDS
]
# Fields that may be left out.
OPTIONAL = {("CreateRun", "run_id"), ("CreateRun", "parent_run_id")}

# The id of a new run is one that nothing has.
NEW = ("CreateRun", "run_id")
# A run that is not there does not live.
PASSED_OVER = {NEW, ("Heartbeat", "run_ids")}


def with_id(request: Message, field: str, value: str) -> Message:
    """Returns a copy with another id."""
    copy = type(request)()
    copy.CopyFrom(request)
    if field.endswith("_ids"):
        getattr(copy, field)[:] = [value]
    else:
        setattr(copy, field, value)
    return copy


def test_all_methods_with_ids_are_there() -> None:
    assert {name for name, _ in PLACES} == set(METHODS) - {
        "CreateExperiment",
        "SearchExperiments",
        "GetServerInfo",
        "GetStorageStats",
        "Purge",
        # These have theirs further inside.
        "StreamFrames",
        "AppendFrames",
        "GetMetricCurve",
    }


@pytest.mark.parametrize(("name", "field"), PLACES)
def test_malformed_ids(api: Api, name: str, field: str) -> None:
    experiment, run = prepared(api)
    sound = sound_requests(experiment, run)[name]
    path = f"{field}[0]" if field.endswith("_ids") else field
    values = NO_RUN if field in RUN_FIELDS else NO_EXPERIMENT
    with api.unchanged(run):
        for value in [*values, *([""] if (name, field) not in OPTIONAL else [])]:
            api.bad_field(with_id(sound, field, value), path)


@pytest.mark.parametrize(("name", "field"), [place for place in PLACES if place not in PASSED_OVER])
def test_unknown_ids(api: Api, name: str, field: str) -> None:
    experiment, run = prepared(api)
    sound = sound_requests(experiment, run)[name]
    with api.unchanged(run):
        if field == "parent_run_id":
            facts = {"parent_run_id": UNKNOWN_RUN, "why": "not_found"}
            missing = with_id(sound, field, UNKNOWN_RUN)
            api.refused(missing, "FAILED_PRECONDITION", "PARENT_RUN_INVALID", **facts)
        elif field in RUN_FIELDS:
            missing = with_id(sound, field, UNKNOWN_RUN)
            api.refused(missing, "NOT_FOUND", "RUN_NOT_FOUND", run_id=UNKNOWN_RUN)
        else:
            missing = with_id(sound, field, UNKNOWN_EXPERIMENT)
            api.refused(missing, "NOT_FOUND", "EXPERIMENT_NOT_FOUND", experiment_id=UNKNOWN_EXPERIMENT)


def test_one_unknown_id_among_known_ones(api: Api) -> None:
    experiment, run = prepared(api)
    sound: Any = sound_requests(experiment, run)
    history, search = sound["GetMetricHistory"], sound["SearchRuns"]
    api.log(run, *sound["LogBatch"].blocks)
    history.run_ids.append(UNKNOWN_RUN)
    # Before the first block.
    api.refused(history, "NOT_FOUND", "RUN_NOT_FOUND", run_id=UNKNOWN_RUN)
    search.experiment_ids.append(UNKNOWN_EXPERIMENT)
    api.refused(search, "NOT_FOUND", "EXPERIMENT_NOT_FOUND", experiment_id=UNKNOWN_EXPERIMENT)


@pytest.mark.parametrize("name", MUTATIONS)
def test_malformed_request_ids(api: Api, name: str) -> None:
    experiment, run = prepared(api)
    sound = sound_requests(experiment, run)[name]
    with api.unchanged(run):
        for value in ("a" * 65, "a b", "a\n", "\0", "ä", "a.b", SQL):
            api.bad_field(with_id(sound, "request_id", value), "request_id")


def create(run_id: str, **fields: Any) -> runs.CreateRunRequest:
    return runs.CreateRunRequest(**{"experiment_id": "0", "run_id": run_id, "name": "first", **fields})


@pytest.fixture
def minted(api: Api, request: pytest.FixtureRequest) -> str:
    """A run id that a client made up, and a run that has it."""
    run_id = f"{abs(hash((request.node.nodeid, id(api)))):032x}"
    api(create(run_id, params=[{"key": "p", "value": "1"}]))
    return run_id


OTHERS: list[dict[str, Any]] = [
    {"name": "second"},
    {"name": ""},
    {"params": []},
    {"params": [{"key": "p", "value": "2"}]},
    {"tags": [{"key": "t"}]},
    {"status": runs.RUN_STATUS_SCHEDULED},
    {"start_time": {"seconds": 1}},
    {"experiment_id": UNKNOWN_EXPERIMENT},
    {"parent_run_id": UNKNOWN_RUN},
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_an_id_that_another_payload_took(api: Api, minted: str, other: dict[str, Any]) -> None:
    changed = {"params": [{"key": "p", "value": "1"}], **other}
    with api.unchanged(minted):
        api.refused(create(minted, **changed), "ALREADY_EXISTS", "RUN_EXISTS", run_id=minted)
        answer = api(create(minted, **changed, allow_existing=True))
        assert answer.run == api.run(minted)


def test_the_same_payload_returns_the_run_as_it_is_now(api: Api, minted: str) -> None:
    sound = create(minted, params=[{"key": "p", "value": "1"}])
    api.log(minted, params=[{"key": "q"}])
    api(runs.FinishRunRequest(run_id=minted))
    for _ in range(2):
        assert api(sound).run == api.run(minted)
    sound.request_id = f"request-{minted}"
    assert api(sound).run == api.run(minted)
    api(runs.DeleteRunRequest(run_id=minted))
    sound.ClearField("request_id")
    assert api(sound).run == api.run(minted)


def test_a_refused_creation_leaves_its_id_free(api: Api) -> None:
    run_id = f"{id(api):032x}"
    refused = create(run_id, experiment_id=UNKNOWN_EXPERIMENT)
    api.refused(refused, "NOT_FOUND", "EXPERIMENT_NOT_FOUND")
    api.refused(runs.GetRunRequest(run_id=run_id), "NOT_FOUND", "RUN_NOT_FOUND")
    assert api(create(run_id)).run.name == "first"
