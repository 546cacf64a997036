"""What a client keeps on disk, and `runwire sync`: with no server, a silent one, or one that comes back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.client.blocking import KINDS, connect
from tests.client.test_process_life import NOWHERE, RUNWIRE, program, status, steps
from tests.faults.rough_proxy import Fault, RoughProxy
from tests.support.server import ServerProcess

from runwire import Client, _delivery, errors

OFFLINE = """
import runwire
runwire.set_experiment("on a train")
with runwire.start_run(run_name="far") as run:
    runwire.log_params({"a": 1})
    runwire.set_tag("t", "u")
    for step in range(3000):
        runwire.log_metric("m", step / 2, step=step)
    runwire.log_series("s", range(20_000))
    print(run.info.run_id)
"""


def sync(folder: Path, address: str, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Runs `runwire sync`, and returns its exit code and what it says of each spool."""
    command = [*RUNWIRE, "-a", address, "sync", "--json", *arguments, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def offline(tmp_path: Path, code: str = OFFLINE) -> tuple[str, Path]:
    """Runs a program without a server; returns what it printed, and its folder of spools."""
    running = program(tmp_path, NOWHERE, code, RUNWIRE_MODE="offline")
    found, out, err = running.end()
    assert (found, err) == (0, "")
    return out.strip(), running.spools


def check(server: ServerProcess, run_id: str) -> None:
    """Checks that the run of OFFLINE is there, once."""
    with Client(server.address) as client:
        run = client.get_run(run_id)
        assert (run.info.run_name, run.info.status) == ("far", "FINISHED")
        assert run.data.params == {"a": "1"}
        assert run.data.tags["t"] == "u"
        assert client.get_experiment(run.info.experiment_id).name == "on a train"
    assert steps(server, run_id) == list(range(3000))
    assert steps(server, run_id, "s") == list(range(20_000))


def test_offline_runs_are_delivered_once_by_any_number_of_syncs(server: Any, tmp_path: Path) -> None:
    run_id, spools = offline(tmp_path)
    elsewhere = tmp_path / "another machine"
    shutil.copytree(spools, elsewhere)
    code, first = sync(elsewhere, server.address)
    assert code == 0
    assert first[0]["delivered_frames"] > 0
    check(server, run_id)
    # The folder that was copied knows nothing of it, and the server does.
    assert sync(spools, server.address)[0] == 0
    check(server, run_id)
    assert sync(spools, server.address) == (0, [])
    assert list(spools.iterdir()) == []


def test_offline_spools_lie_where_the_program_runs(tmp_path: Path) -> None:
    there = {name: value for name, value in os.environ.items() if not name.startswith("RUNWIRE_")}
    subprocess.run(
        [sys.executable, "-c", OFFLINE], cwd=tmp_path, env={**there, "RUNWIRE_MODE": "offline"}, check=True
    )
    assert len(list((tmp_path / "runwire-offline").iterdir())) == 1
    assert not (tmp_path / "runwire-data").exists()


def test_two_syncs_at_once_deliver_once(server: Any, tmp_path: Path) -> None:
    run_id, spools = offline(tmp_path)
    command = [*RUNWIRE, "-a", server.address, "sync", str(spools)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=120)[0] for one in both]
    # Who comes too late is told who delivers it, or finds nothing.
    for one, text in zip(both, said, strict=True):
        assert one.returncode == 0 or "in use by process" in text
    assert any(one.returncode == 0 for one in both)
    check(server, run_id)


def test_a_sync_that_is_killed_half_way_goes_on(server: Any, tmp_path: Path) -> None:
    code = OFFLINE.replace("range(20_000)", "range(3_000_000)")
    run_id, spools = offline(tmp_path, code)
    host, _, port = server.address.rpartition(":")
    half = False
    # Every other message comes late, so that there is a middle to kill it in.
    with RoughProxy(host.removeprefix("runwire://"), int(port), Fault.DELAY, 2, 0.05).running() as proxy:
        command = [*RUNWIRE, "-a", proxy.address, "sync", str(spools)]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        mark = next(spools.iterdir()) / "acked"
        while running.poll() is None and not half:
            half = mark.exists()
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=120)
    assert half
    code_found, rows = sync(spools, server.address)
    assert code_found == 0
    assert rows[0]["delivered_frames"] > 0
    assert steps(server, run_id) == list(range(3000))
    assert len(steps(server, run_id, "s")) == 3_000_000
    assert status(server, run_id) == "FINISHED"


def test_a_torn_last_record_is_skipped_and_said(server: Any, tmp_path: Path) -> None:
    code = OFFLINE.replace("    print(", "    runwire.flush()\n    runwire.log_metric('last', 1)\n    print(")
    run_id, spools = offline(tmp_path, code)
    segment = max(next(spools.iterdir()).glob("*.segment"))
    os.truncate(segment, segment.stat().st_size - 3)
    found, rows = sync(spools, server.address)
    assert found == 0
    assert len(rows[0]["skipped"]) == 1
    assert "not whole" in rows[0]["skipped"][0]
    assert steps(server, run_id) == list(range(3000))
    assert steps(server, run_id, "s") == list(range(20_000))


@pytest.mark.parametrize("kind", KINDS)
def test_what_needs_a_server_says_that_there_is_none(kind: str, tmp_path: Path) -> None:
    with connect(kind, NOWHERE, mode="offline", spool_dir=tmp_path) as client:
        run = client.begin_run("0")
        client.log_metric(run, "m", 1.0)
        asks: tuple[Callable[[], Any], ...] = (
            lambda: client.get_run(run),
            lambda: client.search_runs(["0"]),
            lambda: client.get_metric_history(run, "m"),
            lambda: client.delete_run(run),
            lambda: client.create_run("0"),
            lambda: client.server_info(),
        )
        for ask in asks:
            with pytest.raises(errors.FailedPrecondition, match=r"offline.*runwire sync"):
                ask()
        client.finish_run(run)
    assert len(list(tmp_path.iterdir())) == 1


def test_both_clients_deliver_what_was_logged_before_they_read(client: Any) -> None:
    run = client.begin_run("0")
    for step in range(100):
        client.log_metric(run, "m", float(step), step=step)
    client.log_series(run, "s", np.arange(1000.0))
    client.set_tags(run, {"late": 1})
    assert client.get_run(run).data.tags["late"] == "1"
    assert len(client.get_metric_history(run, "m")) == 100
    assert len(client.get_metric_history(run, "s")) == 1000
    client.log_metric(run, "m", 100.0, step=100)
    client.delete_run(run)
    client.restore_run(run)
    assert len(client.get_metric_history(run, "m")) == 101


def test_runs_end_without_waiting_for_a_server_that_is_away(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        for kind in KINDS:
            with connect(kind, server.address, spool_dir=tmp_path / kind) as client:
                gone = client.begin_run("0")
                client.delete_run(gone)
                server.kill()
                short = [client.begin_run("0") for _ in range(20)]
                for run in [*short, gone]:
                    client.set_terminated(run, "FAILED", wait=False)
                server.start()
                with pytest.raises(errors.RunwireError, match="deleted"):
                    client.flush(120)
                ended = [client.get_run(run).info.status for run in [*short, gone]]
                assert ended == ["FAILED"] * 20 + ["RUNNING"]


def fill(client: Client, run_id: str) -> int:
    """Logs until the spool is full; returns how many points were taken."""
    for taken in range(0, 100_000_000, 1000):
        try:
            client.log_series(run_id, "m", np.arange(1000.0), taken + np.arange(1000))
        except errors.ResourceExhausted as error:
            if "is full" not in str(error):
                raise
            return taken
    raise AssertionError("nothing was refused")


def test_a_full_spool_raises_where_asked_for(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        client = Client(server.address, spool_dir=tmp_path / "s", spool_bytes=1 << 20, on_spool_full="error")
        run = client.begin_run("0")
        client.flush()
        server.kill()
        taken = fill(client, run)
        assert sum(path.stat().st_size for path in (tmp_path / "s").rglob("*.segment")) < 2 << 20
        server.start()
        client.flush(120)
        client.log_metric(run, "after", 1.0)
        client.flush(120)
        assert len(client.get_metric_history(run, "m")) == taken
        client.close()


def test_a_full_spool_holds_callers_back_until_there_is_room(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        client = Client(server.address, spool_dir=tmp_path / "s", spool_bytes=1 << 20)
        run = client.begin_run("0")
        client.flush()
        server.kill()
        logged = [0]

        def log() -> None:
            for start in range(0, 8_000_000, 1000):
                client.log_series(run, "m", np.arange(1000.0), start + np.arange(1000))
                logged[0] += 1000

        thread = threading.Thread(target=log)
        thread.start()
        while not client._pipeline.buffer.is_full(1 << 20):
            time.sleep(0.01)
        there = -1
        # It stands when nothing was added for a second.
        while logged[0] > there:
            there = logged[0]
            thread.join(1.0)
        assert thread.is_alive()
        assert 0 < there < 8_000_000
        server.start()
        thread.join(300)
        assert not thread.is_alive()
        client.flush(300)
        assert len(client.get_metric_history(run, "m")) == 8_000_000
        client.close()


FLOOD = """
import os, threading, time
import numpy as np
import runwire

client = runwire.Client(spool_bytes=32 << 20)
run = client.begin_run("0")
values = np.arange(100_000.0)
row = {f"k{i}": 1.0 for i in range(1000)}
logged = [0]

def log():
    while True:
        CALL
        logged[0] += 1

for _ in range(2):
    threading.Thread(target=log, daemon=True).start()
# They stand when nothing was added for some seconds; one of them may be the machine's own.
before, still = 0, 0
while still < 4:
    time.sleep(1)
    still = still + 1 if logged[0] == before > 0 else 0
    before = logged[0]
with open("/proc/self/status") as status:
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
print(int(peak) // 1024, logged[0], flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    "call",
    ["log_series(run, 'm', values)", "log_metric(run, 'm', 1.0)", "log_metrics(run, row)"],
    ids=["series", "metric", "metrics"],
)
def test_memory_is_bounded_before_a_black_hole(server: Any, tmp_path: Path, call: str) -> None:
    host, _, port = server.address.rpartition(":")
    # Nothing but what opens a connection passes.
    with RoughProxy(host.removeprefix("runwire://"), int(port), Fault.BLACKHOLE, 1, 600).running() as proxy:
        found, out, err = program(tmp_path, proxy.address, FLOOD.replace("CALL", f"client.{call}")).end()
    assert found == 0, err
    peak, logged = map(int, out.split())
    assert logged > 20
    assert peak < 256


def test_who_waits_for_a_delivery_is_told_that_the_client_was_closed(tmp_path: Path) -> None:
    begun = threading.Event()

    def flush() -> None:
        begun.set()
        client.flush(600)

    with ServerProcess(tmp_path / "data") as server, ThreadPoolExecutor(1) as pool:
        client = Client(server.address, spool_dir=tmp_path / "s")
        run = client.begin_run("0")
        client.flush()
        server.kill()
        client.log_metric(run, "m", 1.0)
        waiting = pool.submit(flush)
        assert begun.wait(120)
        # It depends on how far the delivery has come by then.
        with pytest.raises((errors.Unavailable, errors.DeadlineExceeded)):
            client.close(timeout=2)
        told = waiting.exception(120)
    assert isinstance(told, errors.Cancelled)
    assert "closed meanwhile. 1 frame waits in" in str(told)


def test_who_acknowledges_nothing_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_delivery, "_SILENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as hole:
        client = Client(f"127.0.0.1:{hole.getsockname()[1]}", spool_dir=tmp_path)
        client.begin_run("0")
        while client._pipeline._delivery.away is None:
            time.sleep(0.01)
        told = ""
        # Where the machine stands still, gRPC may give up the connection before anybody is silent on it.
        while "nothing was acknowledged" not in told:
            with pytest.raises(errors.Unavailable) as caught:
                client.flush(timeout=1)
            told = str(caught.value)
        with pytest.raises(errors.Unavailable):
            client.close(timeout=0.1)
