"""Bad networks, stopped databases, clocks that jump: no frame is lost, none is there twice, none hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tests.faults.environments import environment_of
from tests.faults.frame_ledger import compare
from tests.faults.frame_plan import Plan
from tests.faults.frame_writer import command
from tests.faults.lanes import Lane
from tests.faults.rough_proxy import Fault, RoughProxy
from tests.support.frames import new_id
from tests.support.postgres import Postgres
from tests.support.server import ServerProcess

from runwire.v1 import run_pb2, run_pb2_grpc

DAY = 24 * 3600
# How many messages have their turn to be mistreated.
EACH = 40


def check(server: ServerProcess, plans: dict[Path, Plan]) -> None:
    """Compares writers with their server."""
    with grpc.insecure_channel(server.address) as channel:
        assert compare(channel, plans) == []


@pytest.mark.parametrize("every", [7, 31])
@pytest.mark.parametrize("fault", Fault)
def test_a_rough_network(server: ServerProcess, tmp_path: Path, fault: Fault, every: int) -> None:
    host, port = server.address.rsplit(":", 1)
    plan, ledger = Plan(f"{fault.value}-{every}", new_id()), tmp_path / "ledger"
    seconds = 0.02 if fault is Fault.DELAY else 0.2
    with RoughProxy(host, int(port), fault, every, seconds).running() as proxy:
        address = proxy.address.removeprefix("runwire://")
        lane = Lane(server, plan.name, [command(address, ledger, 4, plan)])
        with lane.writing():
            lane.await_acks(10 if every < 10 else 120)
            # Let it come to its end: a writer stops when all is acknowledged.
            proxy.calm = True
        assert proxy.faults >= 3
    check(server, {ledger: plan})


@pytest.mark.torture
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("fault", Fault)
def test_a_fault_at_each_message(server: ServerProcess, tmp_path: Path, fault: Fault) -> None:
    """One after the other, from the first hello on."""
    host, port = server.address.rsplit(":", 1)
    for k in range(1, EACH + 1):
        plan, ledger = Plan(f"{fault.value}-at-{k}", new_id()), tmp_path / f"{k}.ledger"
        with RoughProxy(host, int(port), fault, k, 0.2, once=True).running() as proxy:
            address = proxy.address.removeprefix("runwire://")
            lane = Lane(server, plan.name, [command(address, ledger, 1 + k % 4, plan)])
            with lane.writing():
                lane.await_acks(k)
            assert proxy.faults == 1
        check(server, {ledger: plan})


@pytest.fixture
def mortal() -> Iterator[Postgres]:
    """A PostgreSQL that a test may stop."""
    instance = Postgres()
    try:
        instance.start()
        yield instance
    finally:
        instance.close()


def test_postgresql_stopped_at_once(mortal: Postgres, tmp_path: Path) -> None:
    plans = {tmp_path / f"{n}.ledger": Plan(f"pg-{n}", "ab" * 16) for n in range(2)}
    url = asyncio.run(mortal.create_database())
    with ServerProcess(tmp_path / "data", "--database", url) as server:
        lane = Lane(
            server, "pg", [command(server.address, ledger, 8, plan) for ledger, plan in plans.items()]
        )
        with lane.writing():
            for _ in range(3):
                lane.await_acks(30)
                mortal.stop_immediately()
                mortal.start()
            lane.await_acks(30)
        check(server, plans)
        # What is expected to happen is no reason for a stack in the log.
        assert "Traceback" not in server.log


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_clock_that_jumps(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> None:
    wrong = tmp_path / "wrong-by"
    wrong.write_text("0")
    odd = environment_of("jumping_clock", JUMPING_CLOCK=str(wrong))
    arguments = []
    if database == "postgresql":
        arguments = ["--database", asyncio.run(request.getfixturevalue("postgres").create_database())]
    plan, ledger = Plan("clock", new_id()), tmp_path / "ledger"
    with ServerProcess(tmp_path / "data", *arguments, environment=odd) as server:
        lane = Lane(server, "clock", [command(server.address, ledger, 8, plan)], odd)
        with lane.writing():
            for seconds in (0, DAY, -DAY, 2 * DAY, 0):
                wrong.write_text(str(seconds))
                lane.await_acks(30)
        check(server, {ledger: plan})
        with grpc.insecure_channel(server.address) as channel:
            request_of = run_pb2.GetRunRequest(run_id=plan.run_id)
            run = run_pb2_grpc.RunServiceStub(channel).GetRun(request_of).run
        assert run.status == run_pb2.RUN_STATUS_RUNNING
        assert "Traceback" not in server.log
