"""A server that dies at each place where its power might go: all that was acknowledged is there once."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import grpc
import pytest
from tests.faults.frame_ledger import compare
from tests.faults.frame_plan import Plan
from tests.faults.frame_writer import command
from tests.faults.lanes import Lane
from tests.support.frames import new_id
from tests.support.server import ServerProcess

from runwire_server.failpoints import NAMES

# Of places that are reached at each commit, not the first time: something is to be there.
LIGHT = {
    "before-commit": 40,
    "after-commit": 40,
    "after-fold": 40,
    "after-rejection": 2,
    "summary-flush": 2,
}
# These need megabytes to be reached.
HEAVY = {
    "compact-insert": 1,
    "compact-flip": 1,
    "compact-trim": 1,
    "seal-insert": 1,
    "seal-flip": 1,
    "seal-trim": 1,
}
# PostgreSQL writes its own checkpoints.
SQLITE_ONLY = {"before-checkpoint": 1, "after-checkpoint": 1}


def test_all_places_are_tested() -> None:
    assert {*LIGHT, *HEAVY, *SQLITE_ONLY} == set(NAMES)


@pytest.fixture(params=["sqlite", "postgresql"])
def arguments(request: pytest.FixtureRequest) -> list[str]:
    """What has a server use each database."""
    if request.param == "sqlite":
        return []
    return ["--database", asyncio.run(request.getfixturevalue("postgres").create_database())]


@pytest.mark.parametrize("name", LIGHT)
def test_a_commit_and_what_follows(tmp_path: Path, arguments: list[str], name: str) -> None:
    die_and_go_on(tmp_path, arguments, f"{name}:{LIGHT[name]}", Plan("light", new_id()))


@pytest.mark.parametrize("name", HEAVY)
def test_compaction(tmp_path: Path, arguments: list[str], name: str) -> None:
    die_and_go_on(tmp_path, arguments, f"{name}:{HEAVY[name]}", Plan("heavy", new_id(), 8, 1_000))


@pytest.mark.parametrize("name", SQLITE_ONLY)
def test_checkpoint(tmp_path: Path, name: str) -> None:
    die_and_go_on(tmp_path, [], f"{name}:{SQLITE_ONLY[name]}", Plan("heavy", new_id(), 8, 1_000))


def die_and_go_on(folder: Path, arguments: list[str], failpoint: str, plan: Plan) -> None:
    """Writes until the server dies at a place, starts it again, writes on, and compares."""
    ledger = folder / "ledger"
    with ServerProcess(folder / "data", *arguments, "--failpoint", failpoint) as server:
        lane = Lane(server, failpoint, [command(server.address, ledger, 8, plan)])
        with lane.writing():
            # A place that is never reached fails here.
            assert server.wait() == -signal.SIGKILL
            server.arguments = tuple(arguments)
            server.start()
            lane.await_acks(20)
        for _ in range(2):
            with grpc.insecure_channel(server.address) as channel:
                assert compare(channel, {ledger: plan}) == []
            assert server.stop() == 0
            server.start()
