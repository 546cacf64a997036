"""The cases and the table are what they should be, whatever the drivers do."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.conformance.cases import load
from tests.conformance.compare import differences, error_differences
from tests.conformance.drivers import languages
from tests.conformance.table import expected_table, known_failures, title, written

from runwire.v1 import error_pb2, experiment_pb2, metric_pb2, run_pb2, server_pb2

CASES = load()
# What a client never hears of.
NOT_MET = {
    # A client that is fenced says hello again; raw streams meet it in tests/rpc.
    "WRITER_FENCED",
    "UNSPECIFIED",
}


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(map(title, CASES)).items() if count > 1] == []


def test_there_are_enough() -> None:
    assert len(CASES) >= 150


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
