"""kill -9 of servers and of clients that stream frames: what was acknowledged is there once, bit by bit."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc
import pytest
from tests.faults.frame_ledger import compare
from tests.faults.frame_plan import Plan
from tests.faults.frame_writer import command, last_of
from tests.faults.lanes import Lane, at_once, killing
from tests.support.frames import new_id
from tests.support.postgres import Postgres
from tests.support.server import ServerProcess

LANES = 2
WRITERS = 2
ROWS = 100
# How many kills there are, and how many points there have to be in the end.
HARDNESS = [
    pytest.param(30, 10_000, id="short", marks=pytest.mark.timeout(900)),
    pytest.param(1_000, 1_000_000, id="long", marks=(pytest.mark.torture, pytest.mark.timeout(10_000))),
]


def lane_of(
    server: ServerProcess, folder: Path, name: str, shared: str, window: int
) -> tuple[Lane, dict[Path, Plan]]:
    """Makes a lane of writers, whose ledgers are in the folder."""
    plans = {folder / f"{name}-{n}.ledger": Plan(f"{name}-{n}", shared, ROWS) for n in range(WRITERS)}
    writers = [command(server.address, ledger, window, plan) for ledger, plan in plans.items()]
    return Lane(server, name, writers), plans


def kill(lanes: Sequence[Lane], kills: int, beside: contextlib.AbstractContextManager[None]) -> None:
    """Kills the servers and the writers of lanes in turns, under load."""

    def work(lane: Lane) -> None:
        with lane.writing():
            for number in range(kills // len(lanes)):
                if number % 2:
                    lane.kill_writer()
                else:
                    lane.kill_server()
            lane.await_acks(20)

    at_once(lanes, work, beside)


def assert_exact(server: ServerProcess, plans: Mapping[Path, Plan], points: int) -> None:
    """Compares ledgers with a server, also after one more start, which has forgotten what was in memory."""
    seen = sum(
        sum(
            len(columns[0])
            for keys in plan.expected(last_of(ledger)[0]).values()
            for columns in keys.values()
        )
        for ledger, plan in plans.items()
    )
    # A run that was too easy proves nothing.
    assert seen >= points
    for _ in range(2):
        with grpc.insecure_channel(server.address) as channel:
            assert compare(channel, dict(plans)) == []
        assert server.stop() == 0
        server.start()


@pytest.mark.parametrize(("kills", "points"), HARDNESS)
def test_sqlite(tmp_path: Path, kills: int, points: int) -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(ServerProcess(tmp_path / f"data{n}")) for n in range(LANES)]
        lanes = [lane_of(server, tmp_path, f"s{n}", new_id(), 1 + 15 * n) for n, server in enumerate(servers)]
        kill([lane for lane, _ in lanes], kills, contextlib.nullcontext())
        for server, (_, plans) in zip(servers, lanes, strict=True):
            assert_exact(server, plans, points // LANES)
            assert server.stop() == 0
            with contextlib.closing(sqlite3.connect(server.data_dir / "runwire.db")) as raw:
                assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert raw.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize(("kills", "points"), HARDNESS)
def test_postgresql(tmp_path: Path, kills: int, points: int) -> None:
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
            shared = new_id()
            lanes = [
                lane_of(server, tmp_path, f"p{n}", shared, 1 + 15 * n) for n, server in enumerate(servers)
            ]
            kill([lane for lane, _ in lanes], kills, killing(postgres, [lane for lane, _ in lanes], 8))
            assert_exact(servers[0], {k: v for _, plans in lanes for k, v in plans.items()}, points)
    finally:
        postgres.close()
