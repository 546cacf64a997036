"""A server that dies at each place where its power might go: all that was acknowledged is there once."""

from __future__ import annotations

import asyncio
import contextlib
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
# Acknowledgements after which stripes are merged. Compaction rests beside a writer, so the writer rests then.
ENOUGH = 1_000
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
    assert die_and_go_on(tmp_path, arguments, f"{name}:{LIGHT[name]}", Plan("light", new_id())) == []


@pytest.mark.parametrize("name", HEAVY)
def test_compaction(tmp_path: Path, arguments: list[str], name: str) -> None:
    plan = Plan("heavy", new_id(), 8, 1_000)
    assert die_and_go_on(tmp_path, arguments, f"{name}:{HEAVY[name]}", plan, enough=ENOUGH) == []


@pytest.mark.parametrize("name", SQLITE_ONLY)
def test_checkpoint(tmp_path: Path, name: str) -> None:
    plan = Plan("heavy", new_id(), 8, 1_000)
    assert die_and_go_on(tmp_path, [], f"{name}:{SQLITE_ONLY[name]}", plan) == []


def die_and_go_on(
    folder: Path,
    arguments: list[str],
    failpoint: str,
    plan: Plan,
    environment: dict[str, str] | None = None,
    enough: int | None = None,
) -> list[str]:
    """Writes until the server dies at a place, starts it again, writes on, and returns what is wrong then.

    Args:
        folder: For its data and the ledger.
        arguments: Of the server.
        failpoint: The place.
        plan: What is written.
        environment: Further variables of the server.
        enough: A number of acknowledgements after which nothing is written until the server has died.
    """
    ledger, found = folder / "ledger", []
    options = (*arguments, "--failpoint", failpoint)
    with ServerProcess(folder / "data", *options, environment=environment) as server:
        lane = Lane(server, failpoint, [command(server.address, ledger, 8, plan)])
        with lane.writing():
            if enough:
                lane.await_acks_or_death(enough)
            with lane.standing_still() if enough else contextlib.nullcontext():
                # A place that is never reached fails here.
                assert server.wait() == -signal.SIGKILL
            server.arguments = tuple(arguments)
            server.start()
            lane.await_acks(20)
        # Once more after a start, which has forgotten what was in memory.
        for _ in range(2):
            with grpc.insecure_channel(server.address) as channel:
                found += compare(channel, {ledger: plan})
            assert server.stop() == 0
            server.start()
    return found
