"""The fluent layer against the real server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest
from tests.client.test_process_life import PATIENT
from tests.support.server import ServerProcess

import runwire
from runwire import Client, errors
from runwire._session import SESSION


@pytest.fixture(autouse=True)
def experiment(server: Any) -> Iterator[str]:
    """A fresh experiment, set; open runs end with the test."""
    runwire.set_tracking_uri(server.address)
    name = uuid.uuid4().hex
    runwire.set_experiment(name)
    yield name
    while runwire.active_run():
        runwire.end_run()


def script(server: Any, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of a user to its end."""
    there = {**os.environ, "RUNWIRE_TRACKING_URI": f"runwire://{server.address}", **environment}
    return subprocess.run(
        [sys.executable, "-c", PATIENT + code],
        env=there,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_run_from_start_to_end(experiment: str) -> None:
    with runwire.start_run(run_name="first", tags={"team": "blue"}, description="a try") as run:
        assert runwire.active_run() is run
        assert runwire.log_param("alpha", 0.1) == 0.1
        runwire.log_params({"beta": 1, "gamma": None})
        for step in range(3):
            runwire.log_metric("loss", 1 / (step + 1), step=step)
        runwire.log_metrics({"acc": 0.5, "auc": 0.75}, step=2)
        runwire.log_batch([runwire.Metric("acc", 0.9, step=3)], {"delta": 2}, {"x": "y"})
        runwire.set_tag("a", 1)
        runwire.set_tags({"b": 2})
        runwire.delete_tag("a")
        runwire.log_input(runwire.dataset_from_arrays("d", [[1, 2]], [1]), "training")
        assert runwire.get_run(run.info.run_id).info.status == "RUNNING"
    assert runwire.active_run() is None
    found = runwire.last_active_run()
    assert found is not None
    assert (found.info.run_name, found.info.status) == ("first", "FINISHED")
    assert found.data.params == {"alpha": "0.1", "beta": "1", "delta": "2", "gamma": "None"}
    assert found.data.metrics == {"acc": 0.9, "auc": 0.75, "loss": 1 / 3}
    tags = dict(found.data.tags)
    assert tags.pop("mlflow.source.name")
    tags.pop("mlflow.user", None)
    described = {"mlflow.source.type": "LOCAL", "mlflow.note.content": "a try"}
    assert tags == {"team": "blue", "x": "y", "b": "2", **described}
    assert found.inputs.dataset_inputs[0].context == "training"
    assert runwire.get_metric_history(found.info.run_id, "loss").steps.tolist() == [0, 1, 2]
    assert runwire.get_experiment(found.info.experiment_id).name == experiment


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ZeroDivisionError(), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (SystemExit(1), "FAILED"),
        (SystemExit(0), "FINISHED"),
    ],
)
def test_how_a_run_ends(error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), runwire.start_run() as run:
        raise error
    assert runwire.get_run(run.info.run_id).info.status == status


@pytest.mark.parametrize(("status", "error"), [("DONE", ValueError), ("RUNNING", errors.InvalidArgument)])
def test_a_mistyped_status_leaves_the_run_open(status: str, error: type[Exception]) -> None:
    with runwire.start_run() as run:
        with pytest.raises(error, match="FINISHED, FAILED") as said:
            runwire.end_run(status)
        assert "RUNNING" not in str(said.value)
        assert runwire.active_run() is not None
        runwire.end_run("FAILED")
    assert runwire.get_run(run.info.run_id).info.status == "FAILED"


def test_an_open_run_goes_on_where_it_is_when_the_session_moves(server: Any, tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "other") as other:
        with runwire.start_run() as run:
            runwire.log_metric("loss", 1.0)
            before = SESSION.client()
            runwire.set_tracking_uri(other.address)
            runwire.log_metric("loss", 2.0, step=1)
            with runwire.start_run(nested=True) as inner:
                runwire.log_param("where", "inner")
            runwire.log_param("where", "outer")
            runwire.flush()
            with Client(server.address) as client:
                assert client.get_run(run.info.run_id).data.params == {"where": "outer"}
        # Nobody needs the old client any more.
        with pytest.raises(ValueError, match="closed"):
            before.get_run(run.info.run_id)
        with runwire.start_run() as new:
            runwire.log_metric("loss", 3.0)
        assert runwire.get_run(new.info.run_id).data.metrics == {"loss": 3.0}
        with Client(server.address) as client:
            found = client.get_run(run.info.run_id)
            assert (found.info.status, found.data.metrics) == ("FINISHED", {"loss": 2.0})
            assert client.get_run(inner.info.run_id).info.parent_run_id == run.info.run_id
        runwire.set_tracking_uri(server.address)


def test_the_experiment_is_forgotten_with_its_server(server: Any, tmp_path: Path) -> None:
    code = """
import os, runwire
print(runwire.set_experiment("theirs").name)
os.environ["RUNWIRE_TRACKING_URI"] = os.environ["OTHER"]
with runwire.start_run() as run:
    print(run.info.experiment_id)
"""
    with ServerProcess(tmp_path / "other") as other:
        done = script(server, code, OTHER=other.address)
    assert done.stdout.split() == ["theirs", "0"], done.stderr


def test_a_second_run_must_be_nested() -> None:
    with runwire.start_run() as outer:
        with pytest.raises(errors.FailedPrecondition, match="nested=True"):
            runwire.start_run()
        with runwire.start_run(nested=True) as inner:
            assert inner.info.parent_run_id == outer.info.run_id
            runwire.log_param("where", "inner")
        runwire.log_param("where", "outer")
    assert runwire.get_run(inner.info.run_id).data.params == {"where": "inner"}
    assert runwire.get_run(outer.info.run_id).data.params == {"where": "outer"}


def test_what_is_still_open_inside_ends_with_the_outer_run() -> None:
    inner = []

    def fail() -> None:
        inner.append(runwire.start_run(nested=True))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), runwire.start_run() as outer:
        fail()
    assert [runwire.get_run(run.info.run_id).info.status for run in (outer, *inner)] == ["FAILED"] * 2
    assert runwire.active_run() is None


def test_a_run_can_be_ended_inside_its_block() -> None:
    with runwire.start_run() as run:
        runwire.end_run("KILLED")
    assert runwire.get_run(run.info.run_id).info.status == "KILLED"


def test_a_run_resumes() -> None:
    with runwire.start_run() as run:
        runwire.log_metric("m", 1, step=1)
    with runwire.start_run(run_id=run.info.run_id, tags={"again": 1}, run_name="new") as again:
        assert again.info.run_id == run.info.run_id
        assert (again.info.status, again.info.end_time, again.info.run_name) == ("RUNNING", None, "new")
        runwire.log_metric("m", 2, step=2)
    assert len(runwire.get_metric_history(run.info.run_id, "m")) == 2
    assert runwire.get_run(run.info.run_id).info.status == "FINISHED"
    with pytest.raises(errors.NotFound):
        runwire.start_run(run_id="f" * 32)
    assert runwire.active_run() is None


def test_logging_outside_of_a_run_starts_one() -> None:
    runwire.log_param("alpha", 1)
    run = runwire.active_run()
    assert run is not None
    runwire.log_metric("m", 2)
    assert runwire.get_run(run.info.run_id).data.metrics == {"m": 2.0}


def test_each_thread_has_its_own_run() -> None:
    seen: dict[int, str] = {}
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        with runwire.start_run() as run:
            barrier.wait(120)
            runwire.log_param("number", number)
            seen[number] = run.info.run_id

    with runwire.start_run() as mine:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert runwire.active_run() is mine
    assert len(set(seen.values())) == 4
    assert [runwire.get_run(seen[n]).data.params["number"] for n in range(4)] == list("0123")


def test_experiments_are_found_made_and_tagged(experiment: str) -> None:
    again = runwire.set_experiment(experiment)
    assert runwire.set_experiment(experiment_id=again.experiment_id) == again
    runwire.set_experiment_tag("a", 1)
    runwire.set_experiment_tags({"b": 2})
    assert runwire.get_experiment_by_name(experiment).tags == {"a": "1", "b": "2"}  # type: ignore[union-attr]
    other = runwire.create_experiment(experiment + "2", {"c": 3})
    names = [one.name for one in runwire.search_experiments(filter_string=f"name LIKE '{experiment}%'")]
    assert names == [experiment + "2", experiment]
    runwire.delete_experiment(other)
    with pytest.raises(errors.FailedPrecondition, match="is deleted"):
        runwire.set_experiment(experiment + "2")
    with pytest.raises(ValueError, match="either"):
        runwire.set_experiment()
    assert runwire.get_experiment_by_name("nobody") is None


def test_runs_come_as_a_table() -> None:
    for alpha in (1, 2):
        with runwire.start_run(run_name=f"r{alpha}"):
            runwire.log_param("alpha", alpha)
            if alpha == 2:
                runwire.log_metric("loss", 0.5)
                runwire.set_tag("only", "two")
    found = runwire.search_runs(order_by=["params.alpha ASC"])
    assert list(found.columns[:6]) == [
        "run_id",
        "run_name",
        "experiment_id",
        "status",
        "start_time",
        "end_time",
    ]
    assert found["params.alpha"].tolist() == ["1", "2"]
    assert found["metrics.loss"].isna().tolist() == [True, False]
    assert found["tags.only"].tolist() == [None, "two"]
    assert found["status"].tolist() == ["FINISHED"] * 2
    assert isinstance(found["start_time"].dtype, pandas.DatetimeTZDtype)
    assert (found["end_time"] >= found["start_time"]).all()
    assert abs(found["start_time"][0].timestamp() - time.time()) < 60
    empty = runwire.search_runs(filter_string="params.alpha = '3'")
    assert len(empty) == 0
    assert "run_id" in empty.columns
    runwire.start_run()
    assert runwire.search_runs(filter_string="status = 'RUNNING'")["end_time"].isna().all()


def test_runs_come_as_a_list(experiment: str) -> None:
    for _ in range(3):
        with runwire.start_run():
            pass
    found = runwire.search_runs(output_format="list", max_results=2, experiment_names=[experiment, "nobody"])
    assert len(found) == 2
    assert runwire.search_runs(output_format="list", experiment_names=["nobody"]) == []
    with pytest.raises(ValueError, match="output_format"):
        runwire.search_runs(output_format="csv")


def test_deleting_a_run() -> None:
    with runwire.start_run() as run:
        pass
    runwire.delete_run(run.info.run_id)
    assert runwire.get_run(run.info.run_id).info.lifecycle_stage == "deleted"


def test_the_server_can_be_changed(server: Any) -> None:
    assert runwire.get_tracking_uri() == server.address
    with pytest.raises(ValueError, match="http://"):
        runwire.set_tracking_uri("http://localhost:5000")
    assert runwire.get_tracking_uri() == server.address


def test_the_exit_ends_open_runs(server: Any) -> None:
    done = script(
        server, "import runwire; print(runwire.start_run().info.run_id); runwire.log_metric('m', 1)"
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = runwire.get_run(done.stdout.strip())
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"m": 1.0})


def test_the_environment_names_experiment_and_run(server: Any, experiment: str) -> None:
    with Client(server.address) as client:
        mine = client.create_run("0").info.run_id
    code = """
import runwire
with runwire.start_run() as first:
    print(first.info.run_id)
with runwire.start_run() as second:
    print(second.info.run_id)
"""
    done = script(server, code, RUNWIRE_RUN_ID=mine, RUNWIRE_EXPERIMENT=experiment)
    first, second = done.stdout.split()
    assert first == mine
    assert second != mine
    experiment_id = runwire.get_run(second).info.experiment_id
    assert runwire.get_experiment(experiment_id).name == experiment


def test_the_exit_does_not_wait_for_a_server_that_never_was(server: Any, tmp_path: Path) -> None:
    code = """
import runwire, time
client = runwire.Client("runwire://127.0.0.1:1")
client.log_metric(client.begin_run("0"), "m", 1)
print(time.time(), flush=True)
"""
    done = script(server, code, RUNWIRE_SPOOL_DIR=str(tmp_path / "kept"))
    # An exit may take 60 s where there is hope.
    assert time.time() - float(done.stdout) < 60
    assert done.returncode == 0
    assert str(tmp_path / "kept") in done.stderr
    assert "runwire sync" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_is_not_hidden_by_a_dead_server(server: Any) -> None:
    code = """
import runwire
from runwire._session import SESSION
with runwire.start_run():
    SESSION._client.close()
    dead = SESSION._client = runwire.Client("runwire://127.0.0.1:1", timeout=0.3)
    SESSION._open = dict.fromkeys(SESSION._open, dead)
    SESSION._address = "runwire://127.0.0.1:1"
    1 / 0
"""
    done = script(server, code)
    assert "ZeroDivisionError" in done.stderr
    assert "runwire could not end the run" in done.stderr
    assert done.returncode == 1


def test_a_forked_child_logs_to_the_run_and_does_not_end_it(server: Any) -> None:
    code = """
import os, sys, runwire
run = runwire.start_run()
runwire.log_metric("m", 1, step=1)
child = os.fork()
if child == 0:
    runwire.log_metric("m", 2, step=2)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print(run.info.run_id, runwire.get_run(run.info.run_id).info.status)
"""
    done = script(server, code)
    assert done.returncode == 0, done.stderr
    run_id, status = done.stdout.split()
    assert status == "RUNNING"
    assert runwire.get_metric_history(run_id, "m").steps.tolist() == [1, 2]
