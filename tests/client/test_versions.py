"""The client runs with the oldest and with the newest protobuf and grpcio that it promises."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.support.server import ServerProcess

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import math, sys
import grpc, google.protobuf
import runwire
from runwire.errors import NotFound

with runwire.Client(sys.argv[1]) as client:
    experiment = client.create_experiment(sys.argv[2])
    run = client.create_run(experiment)
    run_id = run.info.run_id
    client.log_param(run_id, "alpha", 0.1)
    for step in range(3):
        client.log_metric(run_id, "loss", 1.0 / (1 + step), step=step)
    client.log_metric(run_id, "loss", math.nan, step=3)
    assert [p.step for p in client.get_metric_history(run_id, "loss")] == [0, 1, 2, 3]
    assert client.get_run(run_id).data.params == {"alpha": "0.1"}
    found = client.search_runs([experiment], "params.alpha = '0.1'")
    assert [r.info.run_id for r in found] == [run_id]
    try:
        client.get_run("0" * 32)
    except NotFound as error:
        assert error.reason == "RUN_NOT_FOUND" and error.metadata == {"run_id": "0" * 32}
    else:
        raise AssertionError("no error")
print(google.protobuf.__version__, grpc.__version__)
"""


@pytest.mark.parametrize(("environment", "protobuf"), [("oldest", "4.25.8"), ("newest", "")])
def test_the_client_runs(server: ServerProcess, environment: str, protobuf: str) -> None:
    done = subprocess.run(
        [
            ROOT / ".venvs" / environment / "bin/python",
            "-W",
            "error",
            "-c",
            SCRIPT,
            server.address,
            environment,
        ],
        env={"PYTHONPATH": str(ROOT / "python_client")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(protobuf)
