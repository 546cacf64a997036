"""The `runwire` command, as a process."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runwire import Client


@pytest.fixture
def direct(server: Any) -> Iterator[Client]:
    """A client beside the command."""
    with Client(server.address) as client:
        yield client


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return "x" + uuid.uuid4().hex


def run(server: Any, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    there = {**os.environ, **environment}
    if server is not None:
        there["RUNWIRE_TRACKING_URI"] = server.address
        arguments = ("--timeout", "100", *arguments)
    command = [sys.executable, "-m", "runwire.cli", *arguments]
    return subprocess.run(command, env=there, capture_output=True, text=True, timeout=120, check=False)


def output(server: Any, *arguments: str) -> Any:
    """Runs the command with --json, and reads what it says."""
    done = run(server, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_experiments(server: Any, name: str) -> None:
    made = output(server, "experiments", "create", name, "--tag", "team=blue")
    assert (made["name"], made["tags"]) == (name, {"team": "blue"})
    assert output(server, "experiments", "get", made["experiment_id"]) == made
    assert output(server, "experiments", "get", name) == made
    assert made in output(server, "experiments", "list", "--filter", f"name = '{name}'")
    assert output(server, "experiments", "rename", name, name + "2")["name"] == name + "2"
    assert output(server, "experiments", "delete", name + "2")["lifecycle_stage"] == "deleted"
    assert output(server, "experiments", "list", "--filter", f"name LIKE '{name}%'") == []
    assert len(output(server, "experiments", "list", "--view", "deleted")) >= 1
    assert output(server, "experiments", "restore", name + "2")["lifecycle_stage"] == "active"


def test_runs(server: Any, direct: Client, name: str) -> None:
    experiment = direct.create_experiment(name)
    made = direct.create_run(experiment, run_name="[bold]r", params={"alpha": 1}).info.run_id
    direct.log_metric(made, "loss", math.nan)
    (found,) = output(server, "runs", "list", name)
    assert (found["info"]["run_id"], found["data"]["metrics"]) == (made, {"loss": "NaN"})
    assert [
        r["info"]["run_id"] for r in output(server, "runs", "search", name, "-f", "params.alpha = '1'")
    ] == [made]
    assert output(server, "runs", "search", name, "-f", "params.alpha = '2'") == []
    assert output(server, "runs", "get", made) == found
    for arguments in (["runs", "list", name], ["runs", "get", made]):
        shown = run(server, *arguments).stdout
        assert made in shown
        assert "[bold]r" in shown
        assert "nan" in shown
    assert output(server, "runs", "delete", made)["info"]["lifecycle_stage"] == "deleted"
    assert "deleted" in run(server, "runs", "list", name, "--view", "all").stdout
    assert output(server, "runs", "restore", made)["info"]["lifecycle_stage"] == "active"


def test_metric_history(server: Any, direct: Client) -> None:
    made = direct.create_run("0").info.run_id
    direct.log_batch(
        made, [{"key": "loss", "value": 1 / (s + 1), "step": s, "timestamp": 5} for s in range(10)]
    )
    found = output(server, "metrics", "history", made, "loss", "--min-step", "3", "--max-step", "4")
    assert found["points"] == [
        {"step": 3, "timestamp": 5, "value": 0.25},
        {"step": 4, "timestamp": 5, "value": 0.2},
    ]
    plain = run(server, "metrics", "history", made, "loss").stdout.splitlines()
    assert plain[0].split() == ["step", "time", "value"]
    assert plain[4].split()[::3] == ["3", "0.25"]
    drawn = run(server, "metrics", "history", made, "loss", "--plot").stdout
    assert "loss  (10 points)" in drawn
    assert any("\u2800" < letter <= "\u28ff" for letter in drawn)


def test_gc(server: Any, direct: Client) -> None:
    made = direct.create_run("0").info.run_id
    direct.delete_run(made)
    assert run(server, "gc").stdout == "removed 0 runs and 0 experiments\n"
    assert output(server, "gc", "--older-than", "0")["runs"] == 1
    assert run(server, "gc", "--older-than", "30").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["runs", "get", "f" * 32], 1, "ffff"),
        (["runs", "list", "no such experiment"], 1, "there is no experiment 'no such experiment'"),
        (["experiments", "delete", "0"], 1, "Default"),
        (["--token-file", "/nonexistent/token", "runs", "list"], 1, "/nonexistent/token"),
        (["--address", "http://x", "runs", "list"], 1, "http://x"),
        (["runs", "fly"], 2, "fly"),
        (["runs", "get"], 2, "RUN_ID"),
        (["experiments", "create", "x", "--tag", "novalue"], 2, "KEY=VALUE"),
    ],
)
def test_failures_are_a_line_and_a_code(server: Any, arguments: list[str], code: int, said: str) -> None:
    done = run(server, *arguments)
    assert done.returncode == code
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("Error: ")


def test_a_bad_filter_shows_the_place(server: Any) -> None:
    done = run(server, "runs", "search", "-f", "metrics.loss <<< 1")
    assert done.returncode == 1
    assert "^" in done.stderr


def test_no_server_is_said_in_one_line() -> None:
    done = run(None, "-a", "127.0.0.1:1", "--timeout", "0.5", "runs", "list")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "runwire://127.0.0.1:1" in done.stderr
    assert "`runwire server`" in done.stderr


def test_every_help_reads() -> None:
    for command in (
        [],
        ["runs"],
        ["runs", "search"],
        ["metrics", "history"],
        ["experiments", "create"],
        ["gc"],
    ):
        done = run(None, *command, "--help")
        assert done.returncode == 0
        assert "Usage: runwire" in done.stdout
    assert "Examples:" in run(None, "--help").stdout
    assert run(None, "--version").stdout.startswith("runwire, version ")


def test_the_server_and_its_database_are_passed_on(tmp_path: Path) -> None:
    done = run(None, "server", "--help")
    assert done.returncode == 0
    assert "--data-dir" in done.stdout
    assert run(None, "server", "--no-such-option").returncode == 2
    done = run(None, "db", "upgrade", "--data-dir", str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "there is no database" in done.stderr
    database = tmp_path / "runwire.db"
    database.touch()
    done = run(None, "db", "upgrade", "--data-dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert database.stat().st_size > 0


@pytest.mark.parametrize(("missing", "extra"), [("click", "cli"), ("rich", "cli"), ("sqlalchemy", "server")])
def test_a_missing_package_is_one_line(missing: str, extra: str) -> None:
    code = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
sys.argv = ["runwire", "server", "--help"]
from runwire.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [done.stderr.strip()]
    assert f"pip install 'runwire[{extra}]'" in done.stderr
