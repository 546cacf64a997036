"""Servers that listen at a socket, and servers that leave when nobody needs them."""

from __future__ import annotations

import fcntl
import itertools
import json
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import grpc
import pytest
from tests.support.server import ServerProcess

from runwire._folder import OWNER_LOCK, START_LOCK
from runwire.v1 import run_pb2, run_pb2_grpc


@pytest.fixture
def socket() -> Iterator[Path]:
    """A path for a socket; that of pytest's folders may be too long."""
    folder = tempfile.mkdtemp(prefix="rw")
    yield Path(folder) / "socket"
    shutil.rmtree(folder)


def refused(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    """Runs a server that does not start, and returns its exit code and what it said."""
    command = [sys.executable, "-m", "runwire_server", "--data-dir", str(tmp_path / "other"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_a_socket_for_this_user_alone(tmp_path: Path, socket: Path) -> None:
    with ServerProcess(tmp_path / "data", "--unix-socket", str(socket)) as server:
        assert server.address == f"unix:{socket}"
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        pointer = json.loads((tmp_path / "data" / "server.json").read_text())
        assert pointer == {"address": f"unix:{socket}", "pid": server.pid}
        with grpc.insecure_channel(server.address) as channel:
            stub = run_pb2_grpc.RunServiceStub(channel)
            assert stub.CreateRun(run_pb2.CreateRunRequest(experiment_id="0")).run.run_id
        # What it makes apart from the socket is for whom it always is.
        assert stat.S_IMODE((tmp_path / "data" / "runwire.db").stat().st_mode) & 0o400
        code, said = refused(tmp_path, "--unix-socket", str(socket))
        assert (code, f"a server listens at {socket} already" in said) == (1, True)
        server.kill()
        # A dead server's socket is in nobody's way.
        server.start()
        assert server.stop() == 0
        assert not socket.exists()
        assert not (tmp_path / "data" / "server.json").exists()


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    code, said = refused(tmp_path, "--unix-socket", str(tmp_path / ("x" * 108)))
    assert (code, "107 bytes" in said) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--unix-socket", "s", "--tls-cert", __file__, "--tls-key", __file__], "--unix-socket"),
        (["--idle-exit", "1", "--database", "postgresql://x/y"], "--idle-exit"),
        (["--idle-exit", "0"], "--idle-exit"),
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, arguments: list[str], said: str) -> None:
    code, complained = refused(tmp_path, *arguments)
    assert (code, said in complained) == (2, True)


@pytest.mark.parametrize("listening", ["port", "socket"])
def test_an_idle_server_leaves(tmp_path: Path, socket: Path, listening: str) -> None:
    where = ["--unix-socket", str(socket)] if listening == "socket" else []
    with ServerProcess(tmp_path / "data", "--idle-exit", "0.3", *where) as server:
        assert server.wait() == 0
    assert not (tmp_path / "data" / "server.json").exists()
    # Both locks are free again.
    for name in (OWNER_LOCK, START_LOCK):
        done = subprocess.run(["flock", "--nonblock", tmp_path / "data" / name, "true"], check=False)
        assert done.returncode == 0


def test_calls_keep_a_server(tmp_path: Path) -> None:
    for attempt in itertools.count():
        folder = tmp_path / f"data{attempt}"
        folder.mkdir()
        # As who joins, up to the first answer.
        with (folder / START_LOCK).open("w") as lock, ServerProcess(folder, "--idle-exit", "1.5") as server:
            fcntl.flock(lock, fcntl.LOCK_SH)
            answered = calls_are_answered(server.address, lock)
            if answered:
                assert server.wait() == 0
                return


def calls_are_answered(address: str, lock: TextIO) -> bool:
    """Calls without pause for longer than a server may be idle.

    Returns:
        Whether all were answered. False is for a machine that stood still: then the server leaves with right.
    """
    longest = 0.0
    with grpc.insecure_channel(address) as channel:
        runs = run_pb2_grpc.RunServiceStub(channel)
        runs.CreateRun(run_pb2.CreateRunRequest(experiment_id="0"))
        began = last = time.monotonic()
        fcntl.flock(lock, fcntl.LOCK_UN)
        while last < began + 3:
            try:
                assert runs.CreateRun(run_pb2.CreateRunRequest(experiment_id="0")).run.run_id
            except grpc.RpcError:
                if max(longest, time.monotonic() - last) > 1:
                    return False
                raise
            now = time.monotonic()
            longest, last = max(longest, now - last), now
    return True


def test_who_joins_keeps_a_server(tmp_path: Path, socket: Path) -> None:
    """As long as somebody has the start lock, or has just had it, the server stays."""
    lock = tmp_path / "data" / START_LOCK
    lock.parent.mkdir()
    # Before there is a server, which may be idle for longer than that where the machine stands still.
    with subprocess.Popen(
        ["flock", "--shared", str(lock), "sh", "-c", "echo in; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as joining:
        assert joining.stdout
        assert joining.stdout.readline() == "in\n"
        with ServerProcess(tmp_path / "data", "--idle-exit", "1.5", "--unix-socket", str(socket)) as server:
            # It would have gone in this time.
            with ServerProcess(tmp_path / "brief", "--idle-exit", "1.5") as brief:
                assert brief.wait() == 0
            assert server.runs()
            joining.communicate("out\n", timeout=120)
            assert server.wait() == 0
