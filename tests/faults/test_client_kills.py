"""kill -9 of servers and of processes that log by the public client; bad networks between them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from tests.faults.client_ledger import compare, promises
from tests.faults.lanes import Lane
from tests.faults.rough_proxy import Fault, RoughProxy
from tests.support.frames import new_id
from tests.support.server import ServerProcess

from runwire import Client, _delivery
from runwire.errors import RunwireError

WRITERS = 2
# How many messages have their turn to be mistreated.
EACH = 40


def lane_of(server: ServerProcess, address: str, folder: Path, count: int) -> tuple[Lane, dict[Path, str]]:
    """Makes a lane of writers, whose ledgers and spools are in the folder."""
    runs = {folder / f"{number}.ledger": new_id() for number in range(count)}
    writers = [["tests.faults.client_writer", address, str(path), run_id] for path, run_id in runs.items()]
    return Lane(server, str(folder), writers, {"RUNWIRE_SPOOL_DIR": str(folder / "spool")}), runs


def sync(server: ServerProcess, folder: Path) -> None:
    """Delivers what killed processes have left."""
    runwire = Path(sys.executable).with_name("runwire")
    command = [str(runwire), "--address", server.address, "--timeout", "100", "sync", str(folder / "spool")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def check(server: ServerProcess, runs: dict[Path, str]) -> None:
    """Compares ledgers with a server."""
    with grpc.insecure_channel(server.address) as channel:
        for ledger, run_id in runs.items():
            assert promises(ledger)[0]
            assert compare(channel, ledger, run_id) == []


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(10, id="short", marks=pytest.mark.timeout(900)),
        pytest.param(500, id="long", marks=(pytest.mark.torture, pytest.mark.timeout(5_000))),
    ],
)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_kills(request: pytest.FixtureRequest, tmp_path: Path, kills: int, database: str) -> None:
    arguments = []
    if database == "postgresql":
        arguments = ["--database", asyncio.run(request.getfixturevalue("postgres").create_database())]
    with ServerProcess(tmp_path / "data", *arguments) as server:
        lane, runs = lane_of(server, server.address, tmp_path, WRITERS)
        with lane.writing():
            for number in range(kills):
                (lane.kill_writer if number % 2 else lane.kill_server)()
            lane.await_acks(4)
        sync(server, tmp_path)
        check(server, runs)
        # There is nothing left that a second time could double.
        sync(server, tmp_path)
        check(server, runs)


@pytest.mark.parametrize("fault", Fault)
def test_a_rough_network(server: ServerProcess, tmp_path: Path, fault: Fault) -> None:
    host, port = server.address.rsplit(":", 1)
    with RoughProxy(host, int(port), fault, 13, 0.05 if fault is Fault.DELAY else 0.3).running() as proxy:
        lane, runs = lane_of(server, proxy.address, tmp_path, 1)
        with lane.writing():
            lane.await_acks(24)
            proxy.calm = True
        assert proxy.faults >= 2
    check(server, runs)


@pytest.mark.torture
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("fault", Fault)
def test_a_fault_at_each_message(server: ServerProcess, tmp_path: Path, fault: Fault) -> None:
    host, port = server.address.rsplit(":", 1)
    for k in range(1, EACH + 1):
        folder = tmp_path / str(k)
        folder.mkdir()
        with RoughProxy(host, int(port), fault, k, 0.2, once=True).running() as proxy:
            lane, runs = lane_of(server, proxy.address, folder, 1)
            with lane.writing():
                lane.await_acks(k)
            assert proxy.faults == 1
        check(server, runs)


def test_a_flush_into_a_black_hole_ends_in_time(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNWIRE_SPOOL_DIR", str(tmp_path / "spool"))
    host, port = server.address.rsplit(":", 1)
    run_id = new_id()
    # A stream without an answer is given up long after that.
    monkeypatch.setattr(_delivery, "_SILENCE", 300.0)
    # The first message vanishes, and no other takes its place.
    with RoughProxy(host, int(port), Fault.BLACKHOLE, 1, 600).running() as proxy:
        client = Client(proxy.address)
        client.begin_run("0", run_id=run_id)
        client.log_metric(run_id, "loss", 0.5)
        began = os.times().elapsed
        with pytest.raises(RunwireError, match="spool"):
            client.flush(2)
        assert os.times().elapsed - began < 100
        proxy.calm = True
        client.flush(120)
        client.close()
    with Client(server.address) as reading:
        assert list(reading.get_metric_history(run_id, "loss").values) == [0.5]
