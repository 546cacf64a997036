"""Each mutation is applied once when its answer is lost on the way and the client repeats it."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.client.blocking import KINDS, connect
from tests.client.lossy_proxy import LossyProxy

from runwire import Client, Dataset


@dataclass
class Stage:
    """What a mutation works on.

    Attributes:
        direct: A client that loses nothing.
        experiment: An experiment with the tag `tag`.
        run: A run in it with the tag `tag`.
        name: A name that nothing has yet.
    """

    direct: Client
    experiment: str
    run: str
    name: str


@dataclass(frozen=True)
class Mutation:
    """A call that changes something, and what is true once it was applied exactly once."""

    method: str
    prepare: Callable[[Stage], Any]
    call: Callable[[Any, Stage], Any]
    holds: Callable[[Stage, Any], bool]


def _nothing(stage: Stage) -> None:
    pass


def _run(stage: Stage) -> Any:
    return stage.direct.get_run(stage.run)


def _experiment(stage: Stage) -> Any:
    return stage.direct.get_experiment(stage.experiment)


def _points(stage: Stage) -> list[tuple[int, float]]:
    history = stage.direct.get_metric_history(stage.run, "m")
    return [(point.step, point.value) for point in history]


def _runs(stage: Stage) -> list[str]:
    return [run.info.run_id for run in stage.direct.search_runs([stage.experiment])]


MUTATIONS = [
    Mutation(
        "create_experiment",
        _nothing,
        lambda c, s: c.create_experiment(s.name),
        # Applied twice it would raise ALREADY_EXISTS.
        lambda s, got: s.direct.get_experiment_by_name(s.name).experiment_id == got,
    ),
    Mutation(
        "rename_experiment",
        _nothing,
        lambda c, s: c.rename_experiment(s.experiment, s.name),
        lambda s, got: _experiment(s).name == s.name,
    ),
    Mutation(
        "delete_experiment",
        _nothing,
        lambda c, s: c.delete_experiment(s.experiment),
        lambda s, got: _experiment(s).lifecycle_stage == "deleted",
    ),
    Mutation(
        "restore_experiment",
        lambda s: s.direct.delete_experiment(s.experiment),
        lambda c, s: c.restore_experiment(s.experiment),
        lambda s, got: _experiment(s).lifecycle_stage == "active",
    ),
    Mutation(
        "set_experiment_tag",
        _nothing,
        lambda c, s: c.set_experiment_tag(s.experiment, "a", 1),
        lambda s, got: _experiment(s).tags == {"tag": "1", "a": "1"},
    ),
    Mutation(
        "set_experiment_tags",
        _nothing,
        lambda c, s: c.set_experiment_tags(s.experiment, {"a": 1}),
        lambda s, got: _experiment(s).tags == {"tag": "1", "a": "1"},
    ),
    Mutation(
        "delete_experiment_tag",
        _nothing,
        # Applied twice it would raise TAG_NOT_FOUND.
        lambda c, s: c.delete_experiment_tag(s.experiment, "tag"),
        lambda s, got: _experiment(s).tags == {},
    ),
    Mutation(
        "create_run",
        _nothing,
        lambda c, s: c.create_run(s.experiment, run_name="new", params={"p": 1}),
        lambda s, got: sorted(_runs(s)) == sorted([s.run, got.info.run_id]),
    ),
    Mutation(
        "update_run",
        _nothing,
        lambda c, s: c.update_run(s.run, "SCHEDULED", "other"),
        lambda s, got: got.info.run_name == _run(s).info.run_name == "other",
    ),
    Mutation(
        "finish_run",
        _nothing,
        lambda c, s: c.finish_run(s.run),
        lambda s, got: got.info == _run(s).info and got.info.status == "FINISHED",
    ),
    Mutation(
        "set_terminated",
        _nothing,
        lambda c, s: c.set_terminated(s.run, "FAILED", 9000),
        lambda s, got: (_run(s).info.status, _run(s).info.end_time) == ("FAILED", 9000),
    ),
    Mutation(
        "delete_run",
        _nothing,
        lambda c, s: c.delete_run(s.run),
        lambda s, got: _run(s).info.lifecycle_stage == "deleted",
    ),
    Mutation(
        "restore_run",
        lambda s: s.direct.delete_run(s.run),
        lambda c, s: c.restore_run(s.run),
        lambda s, got: _run(s).info.lifecycle_stage == "active",
    ),
    Mutation(
        "log_batch",
        _nothing,
        # Two equal points are two points, also within the batch.
        lambda c, s: c.log_batch(s.run, [{"key": "m", "value": 1.0, "step": 3}] * 2, {"p": 1}, {"a": 1}),
        lambda s, got: _points(s) == [(3, 1.0)] * 2 and _run(s).data.params == {"p": "1"},
    ),
    Mutation(
        "log_metric",
        _nothing,
        lambda c, s: c.log_metric(s.run, "m", 1.0, step=3),
        lambda s, got: _points(s) == [(3, 1.0)] and _run(s).data.metric_summaries["m"].count == 1,
    ),
    Mutation(
        "log_metrics",
        _nothing,
        lambda c, s: c.log_metrics(s.run, {"m": 1.0, "n": 2.0}, step=3),
        lambda s, got: _points(s) == [(3, 1.0)] and _run(s).data.metric_summaries["n"].count == 1,
    ),
    Mutation(
        "log_series",
        _nothing,
        lambda c, s: c.log_series(s.run, "m", [1.0, 2.0], steps=[3, 4]),
        lambda s, got: _points(s) == [(3, 1.0), (4, 2.0)],
    ),
    Mutation(
        "begin_run",
        _nothing,
        lambda c, s: c.begin_run(s.experiment, run_name="new", params={"p": 1}),
        lambda s, got: sorted(_runs(s)) == sorted([s.run, got]),
    ),
    Mutation(
        "log_param",
        _nothing,
        lambda c, s: c.log_param(s.run, "p", 1),
        lambda s, got: got == 1 and _run(s).data.params == {"p": "1"},
    ),
    Mutation(
        "log_params",
        _nothing,
        lambda c, s: c.log_params(s.run, {"p": 1}),
        lambda s, got: _run(s).data.params == {"p": "1"},
    ),
    Mutation(
        "set_tag",
        _nothing,
        lambda c, s: c.set_tag(s.run, "a", 1),
        lambda s, got: _run(s).data.tags == {"tag": "1", "a": "1"},
    ),
    Mutation(
        "set_tags",
        _nothing,
        lambda c, s: c.set_tags(s.run, {"a": 1}),
        lambda s, got: _run(s).data.tags == {"tag": "1", "a": "1"},
    ),
    Mutation(
        "delete_tag",
        _nothing,
        lambda c, s: c.delete_tag(s.run, "tag"),
        lambda s, got: _run(s).data.tags == {},
    ),
    Mutation(
        "log_inputs",
        _nothing,
        lambda c, s: c.log_inputs(s.run, [Dataset("d", "abc")]),
        lambda s, got: len(_run(s).inputs.dataset_inputs) == 1,
    ),
    Mutation(
        "purge",
        lambda s: s.direct.delete_run(s.run),
        lambda c, s: c.purge(),
        # The second time there is nothing left to purge: this is the first answer.
        lambda s, got: (got.runs, got.experiments) == (1, 0) and _runs(s) == [],
    ),
]
# Heartbeats are repeated every 30 seconds anyway.
READS = {
    "close",
    "flush",
    "get_experiment",
    "get_experiment_by_name",
    "get_metric_curve",
    "get_metric_curves",
    "get_metric_histories",
    "get_metric_history",
    "get_run",
    "heartbeat",
    "keep_alive",
    "search_experiments",
    "search_runs",
    "server_info",
    "storage_stats",
    "watch_metrics",
}


@pytest.fixture
def stage(server: Any) -> Iterator[Stage]:
    """An experiment with a run."""
    with Client(server.address) as direct:
        for leftover in direct.search_experiments(2):
            direct.restore_experiment(leftover.experiment_id)
        direct.purge()
        experiment = direct.create_experiment(uuid.uuid4().hex, tags={"tag": 1})
        run = direct.create_run(experiment, tags={"tag": 1}).info.run_id
        yield Stage(direct, experiment, run, uuid.uuid4().hex)


def test_every_method_that_changes_something_is_here() -> None:
    methods = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    assert {mutation.method for mutation in MUTATIONS} == methods - READS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.method)
def test_a_lost_answer_applies_the_call_once(
    mutation: Mutation, kind: str, stage: Stage, proxy: LossyProxy
) -> None:
    mutation.prepare(stage)
    with connect(kind, proxy.address) as client:
        client.server_info()
        proxy.lose_next(2)
        got = mutation.call(client, stage)
    assert proxy.lost == 2
    assert mutation.holds(stage, got)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_stream_is_read_again(kind: str, stage: Stage, proxy: LossyProxy) -> None:
    stage.direct.log_metric(stage.run, "m", 1.0, step=3)
    stage.direct.flush()
    with connect(kind, proxy.address) as client:
        client.server_info()
        proxy.lose_next()
        assert client.get_metric_history(stage.run, "m").values.tolist() == [1.0]
    assert proxy.lost == 1
