"""What deleted and purged runs and experiments refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf.duration_pb2 import Duration
from tests.rpc.asking import METHODS, MUTATIONS, Api, fresh
from tests.rpc.requests import prepared, sound_requests

from runwire.v1 import experiment_pb2 as experiments
from runwire.v1 import run_pb2 as runs
from runwire.v1 import server_pb2 as server

# Those that change a run that there is, but for what deletes and restores it.
WRITES = [n for n in MUTATIONS if "run_id" in METHODS[n].input_type.fields_by_name and n != "CreateRun"]
CHANGES = [n for n in WRITES if n not in {"DeleteRun", "RestoreRun"}]
EXPERIMENT_CHANGES = ["UpdateExperiment", "SetExperimentTags", "DeleteExperimentTag", "CreateRun"]

DELETED = experiments.LIFECYCLE_STAGE_DELETED


def delete_run(api: Api, run: str) -> None:
    api(runs.DeleteRunRequest(run_id=run))


def delete_experiment(api: Api, experiment: str) -> None:
    api(experiments.DeleteExperimentRequest(experiment_id=experiment))


def restore_experiment(api: Api, experiment: str) -> None:
    api(experiments.RestoreExperimentRequest(experiment_id=experiment))


def purge(api: Api) -> server.PurgeResponse:
    answer: server.PurgeResponse = api(server.PurgeRequest())
    return answer


def filled(api: Api) -> tuple[str, str]:
    """Returns the ids of an experiment and a run that has some of everything."""
    experiment, run = prepared(api)
    sound = sound_requests(experiment, run)
    for name in ("SetExperimentTags", "LogBatch", "SetRunTags", "LogInputs"):
        api(sound[name])
    return experiment, run


@pytest.mark.parametrize("name", CHANGES)
def test_a_deleted_run_refuses_changes(api: Api, name: str) -> None:
    experiment, run = filled(api)
    delete_run(api, run)
    before = api.state(run)
    change = sound_requests(experiment, run)[name]
    api.refused(change, "FAILED_PRECONDITION", "RUN_DELETED", run_id=run)
    # Deleting it again changes nothing, not even the time of its deletion.
    delete_run(api, run)
    assert api.state(run) == before
    assert api.run(run).lifecycle_stage == DELETED
    api(runs.RestoreRunRequest(run_id=run))
    api(change)


@pytest.mark.parametrize("name", WRITES)
def test_a_run_of_a_deleted_experiment_refuses_changes(api: Api, name: str) -> None:
    experiment, run = filled(api)
    delete_experiment(api, experiment)
    before = api.state(run)
    change = sound_requests(experiment, run)[name]
    api.refused(change, "FAILED_PRECONDITION", "EXPERIMENT_DELETED", experiment_id=experiment)
    assert api.state(run) == before
    assert api.run(run).lifecycle_stage == DELETED
    restore_experiment(api, experiment)
    assert api.run(run).lifecycle_stage == experiments.LIFECYCLE_STAGE_ACTIVE
    api(change)


@pytest.mark.parametrize("name", EXPERIMENT_CHANGES)
def test_a_deleted_experiment_refuses_changes(api: Api, name: str) -> None:
    experiment, run = filled(api)
    delete_experiment(api, experiment)
    before = api.state(run)
    change = sound_requests(experiment, run)[name]
    api.refused(change, "FAILED_PRECONDITION", "EXPERIMENT_DELETED", experiment_id=experiment)
    delete_experiment(api, experiment)
    assert api.state(run) == before
    restore_experiment(api, experiment)
    api(change)


def test_a_run_deleted_on_its_own_stays_deleted(api: Api) -> None:
    experiment, run = filled(api)
    other = api.new_run(experiment)
    delete_run(api, run)
    delete_experiment(api, experiment)
    restore = runs.RestoreRunRequest(run_id=run)
    api.refused(restore, "FAILED_PRECONDITION", "EXPERIMENT_DELETED", experiment_id=experiment)
    restore_experiment(api, experiment)
    assert api.run(run).lifecycle_stage == DELETED
    assert api.run(other).lifecycle_stage == experiments.LIFECYCLE_STAGE_ACTIVE
    for _ in range(2):
        api(restore)
    assert api.run(run).lifecycle_stage == experiments.LIFECYCLE_STAGE_ACTIVE


def test_default_is_protected(api: Api) -> None:
    by_id = experiments.GetExperimentRequest(experiment_id="0")
    before = api(by_id)
    rename = experiments.UpdateExperimentRequest(
        experiment_id="0", name=fresh("not default"), update_mask={"paths": ["name"]}
    )
    for change in (experiments.DeleteExperimentRequest(experiment_id="0"), rename):
        api.refused(change, "FAILED_PRECONDITION", "EXPERIMENT_PROTECTED", experiment_id="0")
    assert api(by_id) == before
    assert before.experiment.name == "Default"
    assert api(experiments.GetExperimentRequest(name="Default")) == before


@pytest.mark.parametrize("stage", ["active", "deleted"])
def test_a_name_belongs_to_one_experiment(api: Api, stage: str) -> None:
    name = fresh("taken")
    first, second = api.new_experiment(name), api.new_experiment()
    if stage == "deleted":
        delete_experiment(api, first)
    facts = {"name": name, "experiment_id": first, "lifecycle_stage": stage}
    again = experiments.CreateExperimentRequest(name=name, tags=[{"key": "a"}])
    assert stage == "active" or "deleted" in api.fails(again).message
    api.refused(again, "ALREADY_EXISTS", "EXPERIMENT_EXISTS", **facts)
    rename = experiments.UpdateExperimentRequest(
        experiment_id=second, name=name, update_mask={"paths": ["name"]}
    )
    api.refused(rename, "ALREADY_EXISTS", "EXPERIMENT_EXISTS", **facts)
    found = api(experiments.GetExperimentRequest(name=name)).experiment
    assert (found.experiment_id, list(found.tags)) == (first, [])
    # A name that becomes free can be had.
    if stage == "active":
        rename.experiment_id, rename.name = first, fresh("renamed")
        api(rename)
        assert api(again).experiment.name == name


def other_experiment(api: Api, _: str) -> str:
    return api.new_run(api.new_experiment())


def deleted(api: Api, experiment: str) -> str:
    run = api.new_run(experiment)
    delete_run(api, run)
    return run


def purged(api: Api, experiment: str) -> str:
    run = deleted(api, experiment)
    purge(api)
    return run


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (other_experiment, "other_experiment"),
        (deleted, "deleted"),
        (purged, "not_found"),
        (lambda *_: "ab" * 16, "not_found"),
        (lambda *_: "cd" * 16, "itself"),
    ],
    ids=["other", "deleted", "purged", "unknown", "itself"],
)
def test_bad_parents(api: Api, make: Callable[[Api, str], str], why: str) -> None:
    experiment = api.new_experiment()
    parent = make(api, experiment)
    child = runs.CreateRunRequest(experiment_id=experiment, run_id="cd" * 16, parent_run_id=parent)
    facts = {"parent_run_id": parent, "why": why}
    api.refused(child, "FAILED_PRECONDITION", "PARENT_RUN_INVALID", **facts)
    api.refused(runs.GetRunRequest(run_id="cd" * 16), "NOT_FOUND", "RUN_NOT_FOUND")
    child.parent_run_id = api.new_run(experiment)
    child.run_id = ""
    assert api(child).run.parent_run_id == child.parent_run_id


@pytest.mark.parametrize("of", ["run", "experiment"])
def test_purged_runs_are_tombstones(api: Api, of: str) -> None:
    # What other tests have deleted shall not count.
    purge(api)
    experiment, run = filled(api)
    child = api.new_run(api.new_experiment()) if of == "run" else api.new_run(experiment, parent_run_id=run)
    if of == "run":
        delete_run(api, run)
    else:
        delete_experiment(api, experiment)
    expected = (1, 0) if of == "run" else (2, 1)
    answer = purge(api)
    assert (answer.runs, answer.experiments) == expected
    requests = sound_requests(experiment, run)
    for name in ("GetRun", "GetMetricHistory"):
        api.refused(requests[name], "NOT_FOUND", "RUN_NOT_FOUND", run_id=run)
    for name in WRITES:
        api.refused(requests[name], "FAILED_PRECONDITION", "RUN_PURGED", run_id=run)
    for existing in (False, True):
        create = runs.CreateRunRequest(experiment_id="0", run_id=run, allow_existing=existing)
        api.refused(create, "FAILED_PRECONDITION", "RUN_PURGED", run_id=run)
    if of == "run":
        assert api.run(child).run_id == child
    search = runs.SearchRunsRequest(
        experiment_ids=["0"],
        view=experiments.LIFECYCLE_VIEW_ALL,
        page_size=1_000,
        mask={"fields": {"paths": ["run_id"]}},
    )
    assert run not in {found.run_id for found in api(search).runs}


def test_a_purged_experiment_is_gone_and_its_name_free(api: Api) -> None:
    name = fresh("purged")
    first = api.new_experiment(name)
    api.new_run(first)
    delete_experiment(api, first)
    purge(api)
    requests = sound_requests(first, "0" * 32)
    for request in (
        "GetExperiment",
        "UpdateExperiment",
        "DeleteExperiment",
        "RestoreExperiment",
        "CreateRun",
    ):
        api.refused(requests[request], "NOT_FOUND", "EXPERIMENT_NOT_FOUND", experiment_id=first)
    by_name = experiments.GetExperimentRequest(name=name)
    api.refused(by_name, "NOT_FOUND", "EXPERIMENT_NOT_FOUND", name=name)
    second = api.new_experiment(name)
    # Not even when it was the highest.
    assert int(second) > int(first)
    assert api(by_name).experiment.experiment_id == second
    search = runs.SearchRunsRequest(experiment_ids=[second], view=experiments.LIFECYCLE_VIEW_ALL)
    assert not api(search).runs


def test_purge_spares_what_is_younger_or_in_use(api: Api) -> None:
    experiment, run = filled(api)
    active = api.new_run()
    delete_run(api, run)
    before = api.state(run), api.state(active)
    hour = server.PurgeRequest(older_than=Duration(seconds=3_600))
    assert api(hour) == server.PurgeResponse()
    assert (api.state(run), api.state(active)) == before
    delete_experiment(api, experiment)
    api(hour)
    assert (
        api(experiments.GetExperimentRequest(experiment_id=experiment)).experiment.lifecycle_stage == DELETED
    )
    purge(api)
    assert api.state(active) == before[1]
    assert purge(api) == server.PurgeResponse()


@pytest.mark.parametrize(
    "age", [{"seconds": -1}, {"nanos": -1}, {"nanos": 10**9}, {"seconds": 315_576_000_001}], ids=str
)
def test_ages_that_are_none(api: Api, age: dict[str, int]) -> None:
    _, run = filled(api)
    delete_run(api, run)
    api.bad_field(server.PurgeRequest(older_than=Duration(**age)), "older_than")
    assert api.run(run).run_id == run


@pytest.mark.parametrize(
    "make", [lambda e, _: ("experiment", e), lambda _, r: ("run", r)], ids=["experiment", "run"]
)
def test_unknown_tags(api: Api, make: Callable[[str, str], tuple[str, str]]) -> None:
    what, value = make(*filled(api))
    delete = (
        experiments.DeleteExperimentTagRequest(experiment_id=value, key="tag")
        if what == "experiment"
        else runs.DeleteRunTagRequest(run_id=value, key="tag")
    )
    api(delete)
    api.refused(delete, "NOT_FOUND", "TAG_NOT_FOUND", key="tag")
    delete.key = "Tag"
    api.refused(delete, "NOT_FOUND", "TAG_NOT_FOUND", key="Tag")
