"""The server process from outside: start, refusals, signals."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.support.postgres import Postgres
from tests.support.server import ServerProcess

from runwire.v1 import (
    block_pb2,
    experiment_pb2,
    experiment_pb2_grpc,
    metric_pb2,
    metric_pb2_grpc,
    run_pb2,
    run_pb2_grpc,
)
from runwire_server import config


def refused(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a server that does not start."""
    command = [sys.executable, "-m", "runwire_server", "--data-dir", str(tmp_path / "data"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_one_ready_line_and_a_ready_file(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        ready = json.loads((tmp_path / "data.ready").read_text())
        assert ready == {"grpc": server.address, "pid": server.process.pid}
        assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", server.address)
        assert server.stop() == 0
        assert "Traceback" not in server.log


def test_a_start_on_sqlite_brings_nothing_of_postgresql(tmp_path: Path) -> None:
    # A start is little but imports, and these would be a sixth of them. What one costs, `make bench` says.
    environment = {"PYTHONPROFILEIMPORTTIME": "1"}
    with ServerProcess(tmp_path / "data", environment=environment) as server:
        imported = set(re.findall(r"^import time:.*\|\s+(\S+)$", server.log, re.MULTILINE))
    assert imported >= {"sqlite3", "runwire_server.storage.sqlite"}
    assert not imported & {
        "asyncpg",
        "sqlalchemy.orm",
        "sqlalchemy.ext.asyncio",
        "runwire_server.storage.postgresql",
    }


def test_defaults() -> None:
    settings = config.read([])
    assert (settings.host, settings.port, settings.token) == ("127.0.0.1", 50051, None)
    assert settings.database.url is None
    assert settings.database.data_dir == Path.cwd() / "runwire-data"


def test_a_second_server_on_the_folder_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        second = refused(tmp_path, "--grpc-port", "0")
        assert second.returncode == 1
        assert second.stderr.splitlines() == [
            f"runwire: {tmp_path / 'data'} is in use by the server with pid {server.pid}"
        ]
        server.kill()
        # A dead server holds nothing.
        with ServerProcess(tmp_path / "data"):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "tracking.example"])
def test_a_public_address_without_a_token_is_refused(tmp_path: Path, host: str) -> None:
    done = refused(tmp_path, "--host", host, "--grpc-port", "0")
    assert done.returncode == 2
    assert "--token-file" in done.stderr
    assert "--insecure" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_public_address_is_served_when_said(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-enough-length\n")
    for how in (["--insecure"], ["--token-file", str(token)]):
        with ServerProcess(tmp_path / "data", "--host", "0.0.0.0", *how) as server:
            assert server.address.startswith("0.0.0.0:")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--grpc-port", "65536"], "--grpc-port"),
        (["--tls-cert", __file__], "go together"),
        (["--database", "mysql://x"], "--database"),
        (["--token-file", "/nonexistent"], "--token-file"),
        (["--frobnicate"], "--frobnicate"),
    ],
)
def test_wrong_usage_is_told_with_code_2(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = refused(tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_weak_token_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("short")
    assert refused(tmp_path, "--token-file", str(token)).returncode == 2


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = refused(tmp_path, "--grpc-port", str(port))
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def until_refused(runs: run_pb2_grpc.RunServiceStub, run_id: str) -> None:
    """Calls until the door has closed, which is right behind the health's change."""
    while True:
        runs.GetRun(run_pb2.GetRunRequest(run_id=run_id))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_calls_finish(tmp_path: Path, number: int) -> None:
    with (
        ServerProcess(tmp_path / "data", "--grace", "300") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        runs = run_pb2_grpc.RunServiceStub(channel)
        run_id = runs.CreateRun(run_pb2.CreateRunRequest(experiment_id="0")).run.run_id
        # More than the flow-control windows hold, so that the call lasts until it is read.
        for batch in range(60):
            block = block_pb2.Block(
                keys=["loss"],
                range=block_pb2.StepRange(first=batch * 10_000, stride=1),
                timestamps_ms=[1] * 10_000,
                values=[0.5] * 10_000,
            )
            runs.LogBatch(run_pb2.LogBatchRequest(run_id=run_id, blocks=[block]))
        history = metric_pb2_grpc.MetricServiceStub(channel).GetMetricHistory(
            metric_pb2.GetMetricHistoryRequest(run_ids=[run_id])
        )
        points = len(next(history).blocks[0].block.values)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        codes: list[int] = []
        stopping = threading.Thread(target=lambda: codes.append(server.stop(number)))
        stopping.start()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.RpcError) as refusal:
            until_refused(runs, run_id)
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        assert b"SERVER_STOPPING" in dict(refusal.value.trailing_metadata())["grpc-status-details-bin"]
        for message in history:
            points += sum(len(b.block.values) for b in message.blocks)
        assert points == 600_000
        stopping.join(timeout=120)
        assert codes == [0]


def test_calls_that_do_not_finish_are_cut_off_when_grace_ends(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path / "data", "--grace", "0.2") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        runs = run_pb2_grpc.RunServiceStub(channel)
        run_id = runs.CreateRun(run_pb2.CreateRunRequest(experiment_id="0")).run.run_id
        for batch in range(60):
            block = block_pb2.Block(
                keys=["loss"],
                range=block_pb2.StepRange(first=batch * 10_000, stride=1),
                timestamps_ms=[1] * 10_000,
                values=[0.5] * 10_000,
            )
            runs.LogBatch(run_pb2.LogBatchRequest(run_id=run_id, blocks=[block]))
        history = metric_pb2_grpc.MetricServiceStub(channel).GetMetricHistory(
            metric_pb2.GetMetricHistoryRequest(run_ids=[run_id])
        )
        next(history)
        began = time.monotonic()
        assert server.stop() == 0
        # The default is that many.
        assert time.monotonic() - began < 30


def test_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    arguments = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with ServerProcess(tmp_path / "data", *arguments) as server:
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        with grpc.secure_channel(server.address, credentials) as channel:
            stub = experiment_pb2_grpc.ExperimentServiceStub(channel)
            assert stub.GetExperiment(experiment_pb2.GetExperimentRequest(name="Default")).experiment
        with grpc.insecure_channel(server.address) as channel:
            stub = experiment_pb2_grpc.ExperimentServiceStub(channel)
            with pytest.raises(grpc.RpcError) as plain:
                stub.GetExperiment(experiment_pb2.GetExperimentRequest(name="Default"), timeout=5)
            assert plain.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


def test_reflection_lists_the_services(server: ServerProcess) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (answer,) = stub.ServerReflectionInfo(asked)
    assert {s.name for s in answer.list_services_response.service} == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "runwire.v1.ExperimentService",
        "runwire.v1.MetricService",
        "runwire.v1.RunService",
        "runwire.v1.ServerService",
    }


def test_two_servers_that_start_at_once_on_one_new_database(tmp_path: Path, postgres: Postgres) -> None:
    url = asyncio.run(postgres.create_database())
    servers = [ServerProcess(tmp_path / f"data{i}", "--database", url) for i in range(2)]
    starting = [threading.Thread(target=server.start) for server in servers]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join(timeout=120)
    try:
        for i, server in enumerate(servers):
            with grpc.insecure_channel(server.address) as channel:
                stub = experiment_pb2_grpc.ExperimentServiceStub(channel)
                stub.CreateExperiment(experiment_pb2.CreateExperimentRequest(name=f"from {i}"))
                found = stub.SearchExperiments(experiment_pb2.SearchExperimentsRequest()).experiments
                assert len(found) == 2 + i
    finally:
        for server in servers:
            server.kill()
