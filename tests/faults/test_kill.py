"""kill -9 at any moment loses nothing that was acknowledged, and doubles nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import select
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from tests.faults import writer as writer_program
from tests.faults.ledger import Ledger, compare
from tests.support.postgres import Postgres
from tests.support.server import ServerProcess

from runwire.v1 import run_pb2, run_pb2_grpc

KILLS = 50
# A server needs one core for a second to start: two of them take turns with their writers.
LANES = 2
WRITERS = 2
POSTGRES_KILLS = 8


class Lane:
    """A server and the client processes that write to it.

    Attributes:
        server: The server.
        starting: Held while the server starts, for which its database must be there.
    """

    def __init__(self, server: ServerProcess, folder: Path, name: str, shared_run: str) -> None:
        self.server = server
        self.starting = threading.Lock()
        self._folder = folder
        self._name = name
        self._chance = random.Random(name)
        self._acks, self._ack_end = os.pipe()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._shared = shared_run

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Runs the writers within the block; at its end each finishes the call that it is at."""
        for number in range(WRITERS):
            arguments = [self._path(number), f"{self._name}{number}", number, self._shared]
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, writer_program.__file__, self.server.address, *map(str, arguments)],
                    stdin=subprocess.PIPE,
                    stdout=self._ack_end,
                )
            )
        try:
            yield
            for process in self._processes:
                process.communicate(timeout=30)
                assert process.returncode == 0
        finally:
            for process in self._processes:
                process.kill()
                process.communicate()
            os.close(self._acks)
            os.close(self._ack_end)

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._name}{number}.ledger"

    def await_acks(self, count: int) -> None:
        """Waits for the next acknowledgements."""
        while select.select([self._acks], [], [], 0)[0]:
            os.read(self._acks, 65_536)
        while count > 0:
            assert select.select([self._acks], [], [], 30)[0], "the writers stand still"
            count -= len(os.read(self._acks, count))

    def kill_once(self) -> None:
        """Kills the server at a moment that nobody chose, and starts it again."""
        self.await_acks(self._chance.randrange(1, 30))
        # Not to wait for something: so that kills fall between acknowledgements too.
        threading.Event().wait(self._chance.uniform(0, 0.01))
        self.server.kill()
        with self.starting:
            self.server.start()

    def problems(self) -> list[str]:
        """Compares the ledgers with the server."""
        ledgers = {f"{self._name}{n}": Ledger.read(self._path(n)) for n in range(WRITERS)}
        # A run that was too easy proves nothing.
        assert sum(len(numbers) for ledger in ledgers.values() for numbers in ledger.acked.values()) > 100
        with grpc.insecure_channel(self.server.address) as channel:
            return compare(channel, ledgers, self._shared)


def run_lanes(lanes: list[Lane], beside: contextlib.AbstractContextManager[None]) -> list[str]:
    """Kills each lane's server its share of times, under load, and returns what is wrong then."""

    def run(lane: Lane) -> None:
        with lane.writing():
            for _ in range(KILLS // len(lanes)):
                lane.kill_once()
            lane.await_acks(20)

    with beside, ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(run, lanes))
    return [problem for lane in lanes for problem in lane.problems()]


def shared_run(server: ServerProcess) -> str:
    """Makes a run for many writers."""
    with grpc.insecure_channel(server.address) as channel:
        request = run_pb2.CreateRunRequest(experiment_id="0", name="shared")
        return run_pb2_grpc.RunServiceStub(channel).CreateRun(request).run.run_id


@pytest.mark.timeout(400)
def test_sqlite(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(ServerProcess(tmp_path / f"data{n}")) for n in range(LANES)]
        lanes = [Lane(server, tmp_path, f"s{n}-", shared_run(server)) for n, server in enumerate(servers)]
        assert run_lanes(lanes, contextlib.nullcontext()) == []
        for server in servers:
            assert server.stop() == 0
            with contextlib.closing(sqlite3.connect(server.data_dir / "runwire.db")) as raw:
                assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert raw.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.timeout(400)
def test_postgresql(tmp_path: Path) -> None:
    """Two servers on one database; now and then it is the database that is killed."""
    postgres = Postgres()
    try:
        postgres.start()
        arguments = ["--database", asyncio.run(postgres.create_database())]
        with contextlib.ExitStack() as stack:
            servers = [
                stack.enter_context(ServerProcess(tmp_path / f"data{n}", *arguments)) for n in range(LANES)
            ]
            # Writers of both servers meet in one run.
            shared = shared_run(servers[0])
            lanes = [Lane(server, tmp_path, f"p{n}-", shared) for n, server in enumerate(servers)]
            assert run_lanes(lanes, killing(postgres, lanes)) == []
            assert [server.stop() for server in servers] == [0] * LANES
    finally:
        postgres.close()


@contextlib.contextmanager
def killing(postgres: Postgres, lanes: list[Lane]) -> Iterator[None]:
    """Kills PostgreSQL some times within the block, though not while a server starts."""
    over, failures, kills = threading.Event(), [], []

    def work() -> None:
        try:
            while len(kills) < POSTGRES_KILLS:
                # Spread over the time that the lanes take; the moment is as good as any.
                if over.wait(2.5):
                    return
                with contextlib.ExitStack() as stack:
                    for lane in lanes:
                        stack.enter_context(lane.starting)
                    postgres.kill()
                    postgres.start()
                    kills.append(1)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not failures
    assert len(kills) >= 3


def test_the_comparison_sees_loss_doubling_and_parts(tmp_path: Path) -> None:
    """A test of the test: what a broken server would leave is found."""
    path = tmp_path / "x.ledger"
    path.write_text(
        '{"run": "r"}\n{"try": 0, "kind": "run"}\n{"ack": 0, "kind": "run"}\n'
        '{"try": 1, "kind": "run"}\n{"drop": 1, "kind": "run"}\n{"try": 2, "kind": "run"}\n'
    )
    ledger = Ledger.read(path)
    for found in ({0: 1}, {0: 1, 1: 1}, {0: 1, 1: 1, 2: 1}):
        assert ledger.problems("run", Counter(found)) == []
    for found in ({}, {1: 1}, {0: 2}, {0: 1, 1: 2}, {0: 1, 9: 1}):
        assert len(ledger.problems("run", Counter(found))) == 1
