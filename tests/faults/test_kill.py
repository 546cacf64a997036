"""kill -9 at any moment loses nothing that was acknowledged, and doubles nothing."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from pathlib import Path

import grpc
import pytest
from tests.faults.lanes import Lane, at_once, killing
from tests.faults.ledger import Ledger, compare
from tests.support.postgres import Postgres
from tests.support.server import ServerProcess

from runwire.v1 import run_pb2, run_pb2_grpc

KILLS = 50
# A server needs one core for a second to start: two of them take turns with their writers.
LANES = 2
WRITERS = 2
POSTGRES_KILLS = 8


def lane_of(server: ServerProcess, folder: Path, name: str, shared: str) -> Lane:
    """Makes a lane of writers whose ledgers are in the folder."""
    module = "tests.faults.writer"
    ledgers = [folder / f"{name}{number}.ledger" for number in range(WRITERS)]
    writers = [
        [module, server.address, str(path), path.stem, str(number), shared]
        for number, path in enumerate(ledgers)
    ]
    return Lane(server, name, writers)


def problems(lane: Lane, folder: Path, name: str, shared: str) -> list[str]:
    """Compares the ledgers of a lane with its server."""
    ledgers = {f"{name}{n}": Ledger.read(folder / f"{name}{n}.ledger") for n in range(WRITERS)}
    # A run that was too easy proves nothing.
    assert sum(len(numbers) for ledger in ledgers.values() for numbers in ledger.acked.values()) > 100
    with grpc.insecure_channel(lane.server.address) as channel:
        return compare(channel, ledgers, shared)


def run_lanes(lanes: list[Lane], beside: contextlib.AbstractContextManager[None]) -> None:
    """Kills each lane's server its share of times, under load."""

    def run(lane: Lane) -> None:
        with lane.writing():
            for _ in range(KILLS // len(lanes)):
                lane.kill_server()
            lane.await_acks(20)

    at_once(lanes, run, beside)


def shared_run(server: ServerProcess) -> str:
    """Makes a run for many writers."""
    with grpc.insecure_channel(server.address) as channel:
        request = run_pb2.CreateRunRequest(experiment_id="0", name="shared")
        return run_pb2_grpc.RunServiceStub(channel).CreateRun(request).run.run_id


@pytest.mark.timeout(1_200)
def test_sqlite(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(ServerProcess(tmp_path / f"data{n}")) for n in range(LANES)]
        shared = [shared_run(server) for server in servers]
        lanes = [lane_of(server, tmp_path, f"s{n}-", shared[n]) for n, server in enumerate(servers)]
        run_lanes(lanes, contextlib.nullcontext())
        for n, server in enumerate(servers):
            assert problems(lanes[n], tmp_path, f"s{n}-", shared[n]) == []
            assert server.stop() == 0
            with contextlib.closing(sqlite3.connect(server.data_dir / "runwire.db")) as raw:
                assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert raw.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.timeout(1_200)
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
            lanes = [lane_of(server, tmp_path, f"p{n}-", shared) for n, server in enumerate(servers)]
            run_lanes(lanes, killing(postgres, lanes, POSTGRES_KILLS))
            for n, lane in enumerate(lanes):
                assert problems(lane, tmp_path, f"p{n}-", shared) == []
            assert [server.stop() for server in servers] == [0] * LANES
    finally:
        postgres.close()


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
