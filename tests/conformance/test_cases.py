"""The cases and the table are what they should be, whatever the drivers do."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.conformance.cases import load
from tests.conformance.compare import differences, error_differences
from tests.conformance.conftest import Outcomes
from tests.conformance.drivers import languages
from tests.conformance.stillness import Stillness
from tests.conformance.table import expected_table, known_failures, title, written

from runwire.v1 import error_pb2, experiment_pb2, metric_pb2, run_pb2, server_pb2

CASES = load()
# What a client never hears of.
NOT_MET = {
    # A client that is fenced says hello again; raw streams meet it in tests/rpc.
    "WRITER_FENCED",
    "UNSPECIFIED",
}
# All that is looked at in a step, by what it is known by.
SAID = {
    "op": "op args on expect error save timeout within about",
    "receive": "receive on expect error save timeout",
    "waits": "waits on",
    "server": "server",
    "proxy": "proxy count",
    "driver": "driver name code stderr timeout seconds thaw",
    "sync": "sync address as_new_writer code expect save",
    "spool": "spool expect save",
    "threads": "threads on",
    "fence": "fence frames",
    "copy": "copy to",
    "tear": "tear bytes",
    "refuse": "refuse method message metadata retry_delay count",
    "calls": "calls within expect save",
}
# Ops whose answer is not waited for, a driver that starts, and the sync of a driver.
SENT, STARTED, SYNCED = (
    "op args on send",
    "driver name language env",
    "sync by address as_new_writer expect error",
)
ERROR = {"kind", "code", "reason", "fields", "metadata", "message"}


def looked_at(step: dict[str, Any]) -> set[str]:
    """Returns what a step may say: whatever else it said would be passed over."""
    if step.get("send") or step.get("op") == "exit":
        return set(SENT.split())
    if step.get("driver") == "start":
        return set(STARTED.split())
    if "by" in step:
        return set(SYNCED.split())
    return set(next(said for kind, said in SAID.items() if kind in step).split())


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(map(title, CASES)).items() if count > 1] == []


def test_there_are_enough() -> None:
    assert len(CASES) >= 150


def test_all_that_a_step_says_is_looked_at() -> None:
    steps = [(title(case), step) for case in CASES for step in case.steps]
    assert [(name, step) for name, step in steps if step.keys() - looked_at(step)] == []
    assert [(name, step) for name, step in steps if step.keys() >= {"expect", "error"}] == []
    assert [(name, step) for name, step in steps if step.get("error", {}).keys() - ERROR] == []


def test_an_error_is_named_by_code_and_reason_and_a_broken_field_by_its_path() -> None:
    errors = [(title(case), step["error"]) for case in CASES for step in case.steps if "error" in step]
    own = [(name, error) for name, error in errors if error.get("kind") != "argument"]
    assert [(name, error) for name, error in own if not error.keys() >= {"code", "reason"}] == []
    broken = [(name, error) for name, error in own if error["reason"] == "INVALID_FIELD"]
    assert [(name, error) for name, error in broken if "fields" not in error] == []


def test_the_table_in_the_readme_is_current(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--write-table"):
        return  # This run's outcomes become the table at its end.
    assert written() == expected_table(), "make conformance writes it"


def test_known_failures_name_cases() -> None:
    titles = {title(case) for case in CASES}
    for language, failures in known_failures().items():
        assert language in languages()
        assert failures.keys() <= titles


def test_every_reason_is_met() -> None:
    met = {step["error"].get("reason") for case in CASES for step in case.steps if "error" in step}
    reasons = {name.removeprefix("ERROR_REASON_") for name in error_pb2.ErrorReason.keys()}  # noqa: SIM118
    assert reasons - met == NOT_MET


def test_every_method_is_called() -> None:
    ops = {step["op"] for case in CASES for step in case.steps if "op" in step}
    raw = {
        step["args"]["method"].rpartition("/")[2]
        for case in CASES
        for step in case.steps
        if step.get("op") == "raw"
    }
    # What the clients' verbs send, besides the streams that carry all that is logged.
    sent = {
        "create_experiment": "CreateExperiment",
        "get_experiment": "GetExperiment",
        "search_experiments": "SearchExperiments",
        "rename_experiment": "UpdateExperiment",
        "delete_experiment": "DeleteExperiment",
        "restore_experiment": "RestoreExperiment",
        "set_experiment_tags": "SetExperimentTags",
        "delete_experiment_tag": "DeleteExperimentTag",
        "create_run": "CreateRun",
        "get_run": "GetRun",
        "search_runs": "SearchRuns",
        "update_run": "UpdateRun",
        "delete_run": "DeleteRun",
        "restore_run": "RestoreRun",
        "flush": "StreamFrames",
        "get_metric_history": "GetMetricHistory",
        "get_metric_curve": "GetMetricCurve",
        "watch_open": "WatchMetrics",
        "heartbeat": "Heartbeat",
        "server_info": "GetServerInfo",
        "storage_stats": "GetStorageStats",
        "purge": "Purge",
    }
    called = {sent[op] for op in ops if op in sent} | raw
    files = (experiment_pb2, metric_pb2, run_pb2, server_pb2)
    services = [one for file in files for one in file.DESCRIPTOR.services_by_name.values()]
    assert {method.name for service in services for method in service.methods} - called == set()


def test_a_known_failure_is_no_pass_in_the_table(pytestconfig: pytest.Config) -> None:
    gathered = Outcomes(pytestconfig)
    for outcome in ("passed", "skipped", "failed"):
        name = f"tests/conformance/test_conformance.py::test_case[python-logging-{outcome}]"
        gathered.pytest_runtest_logreport(pytest.TestReport(name, ("", None, ""), {}, outcome, None, "call"))
    assert gathered.found == {("python", "logging"): [True, False, False]}


def test_the_comparer_tells_differences() -> None:
    assert list(differences({"a": "1", "params": {"k": "v"}}, {"a": "1", "b": 2, "params": {"k": "v"}})) == []
    assert list(differences({"params": {}}, {"params": {"k": "v"}})) == ["params has k too: 'v'"]
    assert list(differences({"a": None}, {})) == []
    assert list(differences(["1"], ["1", "2"])) == ["it has 2 elements instead of 1: ['1', '2']"]
    assert list(differences({"v": {"$nan": True}}, {"v": "7ff8000000000123"})) == []
    assert list(differences({"v": {"$nan": True}}, {"v": "7ff0000000000000"})) != []
    assert list(differences({"v": "0000000000000000"}, {"v": "8000000000000000"})) != []
    assert list(differences({"v": True}, {"v": 1})) != []
    found = {"kind": "runwire", "code": "NOT_FOUND", "reason": "RUN_NOT_FOUND", "metadata": {"run_id": "1"}}
    assert list(error_differences({"code": "NOT_FOUND", "metadata": {"run_id": "1"}}, found)) == []
    assert list(error_differences({"code": "ABORTED"}, found)) != []
    assert list(error_differences({"kind": "argument"}, found)) != []


def test_a_case_is_played_again_only_where_all_stood_still() -> None:
    now = [0.0]
    stillness = Stillness(lambda: now[0])
    for seconds, times in ((0.1, 0), (0.4, 0), (2, 1), (0.1, 1), (20, 2), (0, 2)):
        now[0] += seconds
        assert stillness.times() == times
