"""What users do, over both clients, against the real server: equal results, bit for bit."""

from __future__ import annotations

import dataclasses
import itertools
import math
import struct
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.client.blocking import connect

from runwire import (
    Dataset,
    DatasetInput,
    ExperimentTag,
    Metric,
    MetricBlock,
    MetricHistory,
    Param,
    RunTag,
    ViewType,
    errors,
)

ODD_NAN = struct.unpack("<d", bytes.fromhex("efbeadde0000f87f"))[0]
ODD_VALUES = [0.1, ODD_NAN, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308]


def unique(name: str) -> str:
    """Makes a name that no other test has."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def raised(call: Callable[[], Any]) -> tuple[str, str, list[str], dict[str, str]]:
    """Runs what must fail, and says how it did."""
    with pytest.raises(errors.RunwireError) as caught:
        call()
    error = caught.value
    return type(error).__name__, error.reason, [v.field for v in error.violations], error.metadata


def rejected(client: Any, call: Callable[[], Any]) -> tuple[str, str, list[str], dict[str, str]]:
    """Logs what the server rejects, and says how the delivery failed."""
    call()
    return raised(client.flush)


def experiments(client: Any, name: str) -> list[Any]:
    """What one does with experiments."""
    found: list[Any] = []
    created = client.create_experiment(name, tags={"team": "blue"})
    found += [created, client.get_experiment(created), client.get_experiment_by_name(name)]
    found += [client.get_experiment_by_name(name + " "), raised(lambda: client.create_experiment(name))]
    found.append(client.rename_experiment(created, name + "/new"))
    client.set_experiment_tag(created, "a", 1.5)
    client.set_experiment_tags(created, [ExperimentTag("b", 2.5), ExperimentTag("a", "other")])
    client.delete_experiment_tag(created, "team")
    found.append(raised(lambda: client.delete_experiment_tag(created, "team")))
    client.delete_experiment(created)
    found += [client.get_experiment(created), raised(lambda: client.set_experiment_tag(created, "a", 1.5))]
    match = f"name = '{name}/new'"
    found.append(client.search_experiments(filter_string=match))
    found.append(client.search_experiments(ViewType.DELETED_ONLY, filter_string=match))
    client.restore_experiment(created)
    found.append(client.search_experiments(ViewType.ALL, filter_string=match, order_by=["name DESC"]))
    return [*found, raised(lambda: client.get_experiment("999999"))]


def runs(client: Any, name: str) -> list[Any]:
    """What one does with runs."""
    found: list[Any] = []
    experiment = client.create_experiment(name)
    parent = client.create_run(experiment, 1000, {"t": "one"}, "parent", params={"alpha": 0.1})
    child = client.create_run(experiment, 2000, run_name="child", parent_run_id=parent.info.run_id)
    found += [parent, child, client.get_run(child.info.run_id, fields=["name"])]
    again = {"run_id": child.info.run_id, "run_name": "child", "parent_run_id": parent.info.run_id}
    found.append(client.create_run(experiment, 2000, **again))
    found.append(raised(lambda: client.create_run(experiment, 2001, **again)))
    found.append(client.create_run(experiment, run_id=child.info.run_id, allow_existing=True))
    found += [
        client.update_run(child.info.run_id, name="kid"),
        client.set_terminated(child.info.run_id, "FAILED", 5000),
    ]
    found += [
        client.finish_run(parent.info.run_id, end_time=6000),
        client.update_run(parent.info.run_id, "RUNNING"),
    ]
    dataset = Dataset("d", "abc", "local", "here", "{}", "{}")
    client.log_inputs(child.info.run_id, [DatasetInput(dataset, "training"), dataset])
    client.log_inputs(child.info.run_id, [dataset])
    found.append(client.get_run(child.info.run_id))
    page = client.search_runs([experiment], "", max_results=1, order_by=["start_time ASC"])
    found += [page, page.token is not None]
    last = client.search_runs(
        [experiment], "", max_results=1, order_by=["start_time ASC"], page_token=page.token
    )
    found += [last, last.token]
    found.append(client.search_runs([experiment], "params.alpha = '0.1' AND status = 'RUNNING'"))
    found.append(raised(lambda: client.search_runs([experiment], "params.alpha ==== 1")))
    client.delete_run(child.info.run_id)
    found += [
        client.get_run(child.info.run_id),
        rejected(client, lambda: client.set_tag(child.info.run_id, "a", "b")),
    ]
    client.restore_run(child.info.run_id)
    return [*found, raised(lambda: client.get_run("f" * 32))]


def logging(client: Any, name: str) -> list[Any]:
    """What one logs and reads back."""
    run = client.create_run(client.create_experiment(name)).info.run_id
    client.log_metric(run, "loss", np.float32(0.5), 1000, 1)
    client.log_metrics(run, {"loss": 0.25, "acc": 1}, 2000, 2)
    client.log_batch(
        run,
        [Metric("odd", value, 5000 + i, i) for i, value in enumerate(ODD_VALUES)]
        + [Metric("loss", 2, 4000, -3)],
        # No number that could be an experiment's id.
        [Param("a", 1.5), Param("b", None)],
        [RunTag("t", "x")],
    )
    client.log_batch(run, [MetricBlock(["w0", "w1"], range(0, 50, 5), np.arange(20.0).reshape(10, 2), 9000)])
    found: list[Any] = [client.log_param(run, "c", [1]), client.log_params(run, {"a": 1.5, "d": ""})]
    bad = [Metric("never", 1.0)]
    found.append(rejected(client, lambda: client.log_batch(run, bad, {"a": "other"})))
    client.set_tags(run, {"t": "y", "u": ""})
    client.delete_tag(run, "t")
    client.delete_tag(run, "t")
    found.append(client.get_run(run))
    found += [client.get_metric_history(run, "odd"), client.get_metric_history(run, "none")]
    found.append(client.get_metric_history(run, "w1", min_step=10, max_step=20))
    found.append(client.get_metric_histories([run]))
    return [*found, raised(lambda: client.log_metric(run, "a//b", 1.0))]


def plain(thing: Any, name: str, ids: dict[str, str]) -> Any:
    """Replaces ids and names by their order of appearance, times of the server by nothing, floats by bits."""
    if isinstance(thing, MetricHistory):
        columns = [column.tolist() for column in (thing.steps, thing.timestamps, thing.values)]
        return plain([thing.run_id, thing.key, *columns], name, ids)
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        fields = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
        return type(thing).__name__, plain(fields, name, ids)
    if isinstance(thing, dict):
        server_times = ("creation_time", "last_update_time", "run_name")
        named = {
            key: None if key in server_times and value not in ("kid", "child", "parent") else value
            for key, value in thing.items()
        }
        if thing.get("start_time", 0) not in (None, 0, 1000, 2000):
            named["start_time"] = None
        return {plain(key, name, ids): plain(value, name, ids) for key, value in named.items()}
    if isinstance(thing, (list, tuple)):
        return [plain(one, name, ids) for one in thing]
    if isinstance(thing, float):
        return struct.pack("<d", thing)
    if isinstance(thing, str):
        is_id = len(thing) == 32 or thing.isdecimal()
        return ids.setdefault(thing, f"id {len(ids)}") if is_id else thing.replace(name, "NAME")
    return thing


@pytest.mark.parametrize("flow", [experiments, runs, logging])
def test_both_clients_give_equal_results(flow: Callable[[Any, str], list[Any]], server: Any) -> None:
    results = []
    for kind in ("sync", "async"):
        name = unique(flow.__name__)
        with connect(kind, server.address) as client:
            ids: dict[str, str] = {}
            results.append([plain(one, name, ids) for one in flow(client, name)])
    for ours, theirs in itertools.zip_longest(*results):
        assert ours == theirs


def test_experiments_are_what_they_were_made(client: Any) -> None:
    name = unique("wine")
    created = client.create_experiment(name, tags={"team": "blue"})
    found = client.get_experiment(created)
    assert (found.experiment_id, found.name, found.tags) == (created, name, {"team": "blue"})
    assert found.lifecycle_stage == "active"
    assert found.creation_time > 1_600_000_000_000
    assert client.get_experiment_by_name(name) == found
    assert client.get_experiment_by_name(name.upper()) is None
    client.delete_experiment(created)
    assert client.get_experiment(created).lifecycle_stage == "deleted"
    kind, reason, _, metadata = raised(lambda: client.create_experiment(name))
    assert (kind, reason) == ("AlreadyExists", "EXPERIMENT_EXISTS")
    assert metadata["experiment_id"] == created


def test_a_run_keeps_what_it_was_given(client: Any) -> None:
    run = client.create_run("0", 1500, {"t": "1"}, "mine", params={"alpha": 0.1})
    assert (run.info.run_name, run.info.status, run.info.start_time) == ("mine", "RUNNING", 1500)
    assert (run.info.end_time, run.info.parent_run_id, run.info.lifecycle_stage) == (None, None, "active")
    assert (run.data.params, run.data.tags, run.data.metrics) == ({"alpha": "0.1"}, {"t": "1"}, {})
    ended = client.finish_run(run.info.run_id, "KILLED", 2500)
    assert (ended.info.status, ended.info.end_time) == ("KILLED", 2500)
    resumed = client.update_run(run.info.run_id, "RUNNING")
    assert (resumed.info.status, resumed.info.end_time) == ("RUNNING", None)


def test_every_bit_of_every_value_comes_back(client: Any) -> None:
    run = client.create_run("0").info.run_id
    client.log_batch(run, [Metric("odd", value, 10, step) for step, value in enumerate(ODD_VALUES)])
    history = client.get_metric_history(run, "odd")
    assert history.values.tobytes() == struct.pack(f"<{len(ODD_VALUES)}d", *ODD_VALUES)
    assert history.steps.tolist() == list(range(len(ODD_VALUES)))
    assert len(history) == len(ODD_VALUES)
    assert history[4] == Metric("odd", -0.0, 10, 4)
    assert [point.step for point in history] == history.steps.tolist()


def test_summaries_know_extremes_and_latest(client: Any) -> None:
    run = client.create_run("0").info.run_id
    client.log_batch(
        run, [Metric("m", v, 100 + s, s) for s, v in [(5, 1.0), (1, 9.0), (3, math.nan), (9, 4.0)]]
    )
    data = client.get_run(run).data
    summary = data.metric_summaries["m"]
    assert data.metrics == {"m": 4.0}
    assert (summary.value, summary.step, summary.timestamp) == (4.0, 9, 109)
    assert (summary.count, summary.nan_count, summary.first, summary.first_step) == (4, 1, 9.0, 1)
    assert (summary.min, summary.min_step, summary.max, summary.max_step) == (1.0, 5, 9.0, 1)


def test_a_batch_is_all_or_nothing(client: Any) -> None:
    run = client.create_run("0", params={"a": "1"}).info.run_id
    kind, reason, _, metadata = rejected(
        client, lambda: client.log_batch(run, {"m": 1}, {"b": 1, "a": 2}, {"t": "x"})
    )
    assert (kind, reason) == ("FailedPrecondition", "PARAM_IMMUTABLE")
    assert (metadata["key"], metadata["stored"], metadata["sent"]) == ("a", "1", "2")
    data = client.get_run(run).data
    assert (data.metrics, data.params, data.tags) == ({}, {"a": "1"}, {})


def test_a_batch_that_no_frame_holds_is_not_split(client: Any) -> None:
    run = client.create_run("0").info.run_id
    many = client.server_info().limits["max_frame_bytes"] // 16
    block = MetricBlock(["m"], range(many), [0.0] * many)
    kind, reason, fields, _ = raised(lambda: client.log_batch(run, [block]))
    assert (kind, reason) == ("InvalidArgument", "INVALID_FIELD")
    assert fields
    assert client.get_run(run).data.metrics == {}


def test_wrong_types_are_raised_before_anything_is_sent(client: Any) -> None:
    run = client.create_run("0").info.run_id
    for value in (True, None, "1", 1j):
        with pytest.raises(TypeError, match="'loss'"):
            client.log_metrics(run, {"fine": 1, "loss": value})
    with pytest.raises(TypeError, match="step"):
        client.log_metric(run, "loss", 1, step=1.5)
    with pytest.raises(ValueError, match="64 bits"):
        client.log_metric(run, "loss", 1, step=2**63)
    assert client.get_run(run).data.metrics == {}


def test_masks_leave_out_what_is_not_asked_for(client: Any) -> None:
    run = client.create_run("0", run_name="n", params={"a": 1, "b": 2}, tags={"t": 1}).info.run_id
    client.log_metrics(run, {"x": 1, "y": 2})
    found = client.get_run(run, fields=["params", "metrics"], param_keys=["b"], metric_keys=["x"])
    assert (found.info.run_id, found.info.run_name) == (run, "")
    assert (found.data.params, found.data.metrics, found.data.tags) == ({"b": "2"}, {"x": 1.0}, {})


def test_all_pages_together_are_all_runs(client: Any) -> None:
    experiment = client.create_experiment(unique("pages"))
    made = [client.create_run(experiment, 1000 + i).info.run_id for i in range(7)]
    found, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=3, page_token=token)
        found += [run.info.run_id for run in page]
        token = page.token
        if token is None:
            break
    assert found == made[::-1]


def test_a_bad_filter_points_at_the_place(client: Any) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        client.search_runs(["0"], "metrics.loss <<< 1")
    assert caught.value.reason == "INVALID_FILTER"
    assert "^" in str(caught.value)
    assert int(caught.value.metadata["position"]) > 0


def test_a_purge_is_for_good(client: Any) -> None:
    run = client.create_run("0").info.run_id
    client.delete_run(run)
    assert client.purge(older_than=3600.0).runs == 0
    assert client.purge().runs >= 1
    assert raised(lambda: client.get_run(run))[1] == "RUN_NOT_FOUND"
    assert raised(lambda: client.restore_run(run))[1] == "RUN_PURGED"


def test_the_server_says_what_it_is(client: Any) -> None:
    info = client.server_info()
    assert (info.api_version, info.database) == ("v1", "sqlite")
    assert info.limits["max_batch_points"] == 10_000
