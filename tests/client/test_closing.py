"""What a close, a stop or a full buffer does to those who are still at it."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.client.test_process_life import NOWHERE, program, status, steps
from tests.support.server import ServerProcess

from runwire import AsyncClient, Client, errors


def test_all_that_a_closing_client_took_is_delivered(server: ServerProcess, tmp_path: Path) -> None:
    client = Client(server.address, spool_dir=tmp_path)
    run = client.create_run("0").info.run_id
    taken, refused = [0] * 4, list[str]()
    logging = threading.Barrier(5)

    def log(place: int) -> None:
        logging.wait()
        try:
            for step in range(100_000_000):
                client.log_metric(run, f"m{place}", float(step), step=step)
                taken[place] += 1
        except ValueError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=log, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    logging.wait()
    # Some of it is on its way.
    while min(taken) < 1000:
        time.sleep(0.001)
    client.close(300)
    for thread in threads:
        thread.join()
    assert refused == ["the client is closed"] * 4
    assert list(tmp_path.iterdir()) == []
    assert [len(steps(server, run, f"m{place}")) for place in range(4)] == taken


def test_who_has_flushed_finds_nothing_left(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(server.address)
    buffer, go_on = client._pipeline.buffer, threading.Event()
    release = buffer.release
    # The last that its thread does with what was logged.
    monkeypatch.setattr(buffer, "release", lambda weight: (go_on.wait(), release(weight)))
    client.log_metric(client.create_run("0").info.run_id, "m", 1.0)
    client.flush()
    assert not client._pipeline.dirty
    go_on.set()
    client.close()


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_spool_that_can_not_be_made_is_told_with_its_reason(
    server: ServerProcess, tmp_path: Path, mode: str
) -> None:
    (tmp_path / "file").touch()
    client = Client(server.address, mode=mode, spool_dir=tmp_path / "file" / "spools")
    run = client.begin_run("0")
    while not client._pipeline._lanes.stuck:
        time.sleep(0.01)
    start = time.monotonic()
    kind = errors.ResourceExhausted if mode == "offline" else errors.DeadlineExceeded
    for end in (client.flush, client.close):
        with pytest.raises(kind, match=r"can not be written: .*Not a directory") as caught:
            end(300 if mode == "offline" else 1)
        assert "is in memory only" in str(caught.value)
        assert "frames wait" not in str(caught.value)
        assert "is full" not in str(caught.value)
    assert time.monotonic() - start < 100
    with pytest.raises(ValueError, match="closed"):
        client.log_metric(run, "m", 1.0)


def full(client: AsyncClient, run: str) -> Any:
    """Logs until the buffer takes no more, and then waits for ever."""

    async def log(place: int) -> None:
        while True:
            await client.log_series(run, f"k{place}", np.zeros(20_000))
            await asyncio.sleep(0)

    return [asyncio.create_task(log(place)) for place in range(3)]


def test_the_event_loop_goes_on_where_the_buffer_is_full(tmp_path: Path) -> None:
    async def main() -> None:
        client = AsyncClient(NOWHERE, spool_dir=tmp_path, spool_bytes=1 << 20)
        run = await client.begin_run("0")
        tasks = full(client, run)
        ticks = 0
        # Until they all stand, and long after.
        while ticks < 100:
            await asyncio.sleep(0.02)
            ticks += client._pipeline.buffer.is_full(1 << 20)
        done, _ = await asyncio.wait(tasks, timeout=0.5)
        assert not done
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        start = time.monotonic()
        with pytest.raises(errors.RunwireError):
            await client.close(timeout=1)
        assert time.monotonic() - start < 100

    asyncio.run(asyncio.wait_for(main(), 300))


@pytest.mark.parametrize(
    "code",
    [
        """
import os, signal, threading, time
import runwire
def first():
    with runwire.start_run(): pass
thread = threading.Thread(target=first)
thread.start(); thread.join()
run = runwire.start_run().info.run_id
runwire.log_metric("m", 0.0)
""",
        """
import os, signal
import runwire
client = runwire.Client(os.environ["RUNWIRE_TRACKING_URI"])
run = client.create_run("0").info.run_id
client.log_metric(run, "m", 0.0)
""",
        """
import os, signal
import runwire
run = runwire.Client(os.environ["RUNWIRE_TRACKING_URI"]).create_run("0").info.run_id
runwire.log_metric("m", 0.0, run_id=run)
""",
    ],
    ids=["another thread was first", "a client alone", "a run by its id"],
)
def test_sigterm_delivers_whoever_logged(server: ServerProcess, tmp_path: Path, code: str) -> None:
    ending = "print(run, flush=True)\nos.kill(os.getpid(), signal.SIGTERM); signal.pause()"
    found, out, err = program(tmp_path, server.address, code + ending).end()
    assert found == -15, err
    run = out.split()[0]
    assert steps(server, run) == [0]
    assert status(server, run) == ("KILLED" if "start_run().info" in code else "RUNNING")


def test_a_scope_ends_its_run_though_one_inside_can_not_be_ended(
    server: ServerProcess, tmp_path: Path
) -> None:
    code = """
import runwire
try:
    with runwire.start_run() as outer:
        runwire.start_run(nested=True)
        runwire.log_param("a", 1)
        runwire.log_param("a", 2)
        raise KeyError("failed")
except KeyError:
    pass
assert runwire.active_run() is None
print(outer.info.run_id)
"""
    found, out, err = program(tmp_path, server.address, code).end()
    assert found == 0, err
    assert status(server, out.split()[0]) == "FAILED"


def test_a_start_that_failed_leaves_the_named_run_to_the_next(server: ServerProcess, tmp_path: Path) -> None:
    code = """
import os
import runwire
client = runwire.Client(os.environ["RUNWIRE_TRACKING_URI"])
named = os.environ["RUNWIRE_RUN_ID"] = client.create_run("0").info.run_id
client.delete_run(named)
try:
    runwire.start_run()
    raise AssertionError("it is deleted")
except runwire.errors.FailedPrecondition:
    client.restore_run(named)
assert runwire.start_run().info.run_id == named
runwire.end_run()
assert runwire.start_run().info.run_id != named
"""
    found, _, err = program(tmp_path, server.address, code).end()
    assert found == 0, err


def test_an_experiment_that_was_set_offline_holds_online(server: ServerProcess, tmp_path: Path) -> None:
    code = """
import os
import runwire
os.environ["RUNWIRE_MODE"] = "offline"
runwire.set_experiment("set offline")
with runwire.start_run():
    pass
os.environ["RUNWIRE_MODE"] = "online"
with runwire.start_run() as run:
    pass
assert runwire.get_experiment(run.info.experiment_id).name == "set offline"
"""
    found, _, err = program(tmp_path, server.address, code).end()
    assert found == 0, err
