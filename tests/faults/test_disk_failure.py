"""A disk that fails to sync: the server stops acknowledging, says so, and recovers with a restart.

After a failed sync the kernel takes what was to be written for clean, so that the next sync succeeds with
nothing on disk. Here only one sync fails: what tells the two apart is that all later writes are refused too.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.rpc.asking import Api, column, failure_of
from tests.support.server import ServerProcess

from runwire.v1 import run_pb2

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@contextlib.contextmanager
def failing_once(pid: int, folder: Path, file: str) -> Iterator[None]:
    """Has the next sync of a file by each thread of a process fail, and those behind it succeed."""
    trace = folder / "trace"
    command = ["strace", "--follow-forks", f"--attach={pid}", "--output", str(trace)]
    which = ["--trace=fdatasync", f"--trace-path={file}", "--inject=fdatasync:error=EIO:when=1"]
    with subprocess.Popen([*command, *which], stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr
        line = tracer.stderr.readline()
        assert "attached" in line, line
        try:
            yield
        finally:
            tracer.terminate()
            tracer.stderr.read()
    assert "EIO" in trace.read_text()


def health(channel: grpc.Channel) -> int:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=120)
    return int(answer.status)


def steps(api: Api, run_id: str) -> list[int]:
    return [step for block in api.history(run_id) for step in steps_of(block)]


def steps_of(block) -> list[int]:
    axis = block.block
    if axis.WhichOneof("axis") == "steps":
        return list(axis.steps.steps)
    return [axis.range.first + i * axis.range.stride for i in range(len(axis.timestamps_ms))]


@pytest.mark.parametrize("stop", ["stop", "kill"])
def test_nothing_is_acknowledged_after_a_failed_sync(tmp_path: Path, stop: str) -> None:
    server = ServerProcess(tmp_path / "data", "--grace", "1")
    with server:
        with grpc.insecure_channel(server.address) as channel:
            api = Api(channel)
            run_id = api.new_run()
            for step in range(3):
                api.log(run_id, column("a", [1.0], first=step))
            assert health(channel) == SERVING
            with failing_once(server.pid, tmp_path, str(tmp_path / "data" / "runwire.db-wal")):
                for step in range(3, 8):
                    batch = run_pb2.LogBatchRequest(run_id=run_id, blocks=[column("a", [1.0], first=step)])
                    failure = api.refused(batch, "UNAVAILABLE", "STORAGE_UNAVAILABLE")
            assert "disk has failed" in failure.message
            assert "restart" in failure.message
            api.refused(run_pb2.CreateRunRequest(experiment_id="0"), "UNAVAILABLE", "STORAGE_UNAVAILABLE")
            assert health(channel) == NOT_SERVING
            # What is stored can still be read.
            assert steps(api, run_id) == [0, 1, 2]
        assert server.log.count("the disk has failed") == 1
        log = tmp_path / "data" / "runwire.db-wal"
        before = log.read_bytes()
        getattr(server, stop)()
        # No checkpoint of what may not be on disk.
        assert log.read_bytes() == before
        server.start()
        with grpc.insecure_channel(server.address) as channel:
            api = Api(channel)
            assert health(channel) == SERVING
            # The write that met the failure may be there or not; those refused behind it are not.
            assert steps(api, run_id) in ([0, 1, 2], [0, 1, 2, 3])
            api.log(run_id, column("a", [1.0], first=9))
            assert steps(api, run_id)[-1] == 9


def log_until_refused(api: Api, run_id: str) -> tuple[int, str]:
    """Logs 10,000 steps at a time; returns how many times that worked, and why not once more."""
    for logged in range(4_000):
        try:
            api.log(run_id, column("a", [1.0] * 10_000, first=10_000 * logged))
        except grpc.RpcError as error:
            return logged, failure_of(error).reason
    raise AssertionError("never refused")


def test_a_checkpoint_that_fails_to_sync_ends_writing_too(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", "--grace", "1")
    with server:
        with grpc.insecure_channel(server.address) as channel:
            api = Api(channel)
            run_id = api.new_run()
            with failing_once(server.pid, tmp_path, str(tmp_path / "data" / "runwire.db")):
                logged, reason = log_until_refused(api, run_id)
            assert reason == "STORAGE_UNAVAILABLE"
            assert logged > 0
            assert health(channel) == NOT_SERVING
        server.stop()
        server.start()
        with grpc.insecure_channel(server.address) as channel:
            found = steps(Api(channel), run_id)
            assert found == list(range(10_000 * logged))
