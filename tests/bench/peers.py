"""The peers: FastTrackML and MLflow on SQLite, in environments of their own."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Git ignores it.
ENVIRONMENTS = Path(__file__).resolve().parents[2] / ".venvs"
START_SECONDS = 120.0


class PeerUnavailable(Exception):
    """A peer could not be installed or started."""


@dataclass(frozen=True)
class Peer:
    """A server to compare with.

    Attributes:
        name: Its column.
        requirement: What to install, exactly.
        pip: Further arguments of pip.
        command: Its command line; {bin}, {port} and {folder} are filled in after it is split.
        environment: Further environment variables.
        durability: What its answers promise, as it comes.
    """

    name: str
    requirement: str
    pip: tuple[str, ...]
    command: str
    environment: dict[str, str]
    durability: str

    @property
    def promise(self) -> str:
        """Its version, and what it stores in how safely."""
        return f"{self.requirement.split('==')[1]} on SQLite, {self.durability}"


PEERS = (
    Peer(
        name="FastTrackML",
        requirement="fasttrackml==0.6.0",
        # It is one Go program; its dependencies are those of its Python client.
        pip=("--no-deps",),
        command="{bin}/fml server --listen-address 127.0.0.1:{port} "
        "--database-uri sqlite://{folder}/fasttrackml.db --default-artifact-root {folder}/artifacts",
        environment={},
        durability="journal_mode=WAL, synchronous=NORMAL (it answers before the data is on disk)",
    ),
    Peer(
        name="MLflow",
        requirement="mlflow==3.17.2",
        pip=(),
        command="{bin}/mlflow server --host 127.0.0.1 --port {port} --workers 2 "
        "--backend-store-uri sqlite:///{folder}/mlflow.db --default-artifact-root {folder}/artifacts",
        # Its job runner takes no part in tracking, but has seven processes that poll.
        environment={
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        durability="journal_mode=DELETE, synchronous=FULL",
    ),
)


def install(peer: Peer) -> Path:
    """Installs a peer unless it is there, and returns the folder of its programs.

    Raises:
        PeerUnavailable: if pip fails.
    """
    folder = ENVIRONMENTS / f"bench-{peer.requirement.replace('==', '-')}"
    complete = folder / "complete"
    if not complete.exists():
        print(f"installing {peer.requirement} into {folder}", file=sys.stderr, flush=True)
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *peer.pip, peer.requirement],
        ):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                raise PeerUnavailable(f"{peer.requirement} can not be installed: {done.stdout[-1000:]}")
        complete.touch()
    return folder / "bin"


@contextlib.contextmanager
def running(peer: Peer, folder: Path) -> Iterator[str]:
    """Runs a peer within the block, which gets `host:port`.

    Args:
        peer: Which.
        folder: An empty folder for its data.

    Raises:
        PeerUnavailable: if it can not be installed or does not start.
    """
    filled = {"bin": str(install(peer)), "port": str(free_port()), "folder": str(folder)}
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [part.format_map(filled) for part in peer.command.split()],
            cwd=folder,
            env={**os.environ, **peer.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        address = f"127.0.0.1:{filled['port']}"
        if not _answers(address, process):
            raise PeerUnavailable(f"{peer.name} does not start: {log.read_text()[-1000:]}")
        yield address
    finally:
        _end(process)


def free_port() -> int:
    """Returns a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _answers(address: str, process: subprocess.Popen[bytes]) -> bool:
    """Waits until a server answers; False if it ended or took too long."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        connection = http.client.HTTPConnection(address, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0")
            if connection.getresponse().status == 200:
                return True
        time.sleep(0.2)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    # Its children may have outlived it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
