"""Watches, leases and `metrics tail`, by both clients and the command, from a real server."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.client.blocking import KINDS, connect
from tests.client.reading import command, fill, new_run, said
from tests.support.server import ServerProcess

from runwire import Client, _pipeline


def test_a_watch_tells_what_is_new(client: Any) -> None:
    run = new_run(client)
    fill(client, run, [1.0, 2.0])
    with client.watch_metrics([run]) as watch:
        assert next(watch).blocks == ()
        fill(client, run, [3.0, 4.0], first=2)
        (block,) = next(watch).blocks
        assert (block.run_id, block.steps.tolist()) == (run, [2, 3])
        assert block.values["loss"].tolist() == [3.0, 4.0]
        cursor = watch.cursor
    fill(client, run, [5.0], first=4)
    with client.watch_metrics([run], cursor=cursor) as watch:
        assert points_of(watch, 1) == [(4, 5.0)]
    with client.watch_metrics([run], ["loss"], from_start=True) as watch:
        assert points_of(watch, 5) == [(step, step + 1.0) for step in range(5)]


def points_of(watch: Any, count: int) -> list[tuple[int, float]]:
    """Collects points of `loss` until there are so many."""
    found: list[tuple[int, float]] = []
    for event in watch:
        for block in event.blocks:
            found += zip(block.steps.tolist(), block.values["loss"].tolist(), strict=True)
        if len(found) >= count:
            break
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_watch_survives_the_server(kind: str, tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server, connect(kind, server.address) as client:
        run = new_run(client)
        with client.watch_metrics([run]) as watch:
            next(watch)
            for round_ in range(3):
                fill(client, run, [1.0, 2.0], first=2 * round_)
                assert points_of(watch, 2) == [(2 * round_, 1.0), (2 * round_ + 1, 2.0)]
                if round_ == 1:
                    assert server.stop() == 0
                else:
                    server.kill()
                server.start()


@pytest.mark.parametrize("kind", KINDS)
def test_a_watch_in_local_mode_starts_the_server_anew(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNWIRE_SERVER_IDLE_EXIT", "1")
    with connect(kind, str(tmp_path)) as client, Client(str(tmp_path)) as writer:
        run = new_run(writer)
        with client.watch_metrics([run]) as watch:
            next(watch)
            pid = int(json.loads((tmp_path / "server.json").read_text())["pid"])
            os.kill(pid, signal.SIGKILL)
            fill(writer, run, [1.0])
            assert points_of(watch, 1) == [(0, 1.0)]


def test_heartbeats(client: Any) -> None:
    run, over = new_run(client), new_run(client)
    client.finish_run(over)
    assert client.heartbeat([run, over, "f" * 32]) == [run]


def test_all_open_runs_have_heartbeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pipeline, "_HEARTBEAT", 0.05)
    with ServerProcess(tmp_path / "data") as server, Client(server.address, spool_dir=tmp_path) as client:
        for _ in range(1_001):
            client.begin_run("0")
        client.flush()
        alive = 0
        with closing(sqlite3.connect(server.data_dir / "runwire.db")) as database:
            deadline = time.monotonic() + 120
            while alive < 1_001 and time.monotonic() < deadline:
                query = "SELECT count(*) FROM runs WHERE heartbeat_time IS NOT NULL"
                ((alive,),) = database.execute(query)
        assert alive == 1_001


@pytest.mark.parametrize("logs", [False, True], ids=["silent", "logged once"])
def test_an_open_run_is_alive_also_behind_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: bool
) -> None:
    monkeypatch.setattr(_pipeline, "_HEARTBEAT", 0.05)
    with ServerProcess(tmp_path / "data") as server, Client(server.address, spool_dir=tmp_path) as client:
        run = new_run(client)
        client.keep_alive(run)
        if logs:
            client.log_metric(run, "m", 1.0)
            client.flush()
        beat = await_beat(server, 0)
        server.kill()
        server.start()
        # There may be one more from before.
        await_beat(server, await_beat(server, beat))


def await_beat(server: ServerProcess, last: int) -> int:
    """Waits for a heartbeat behind one, and returns its time."""
    with closing(sqlite3.connect(server.data_dir / "runwire.db")) as database:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            ((found,),) = database.execute("SELECT coalesce(max(heartbeat_time), 0) FROM runs")
            if found > last:
                return int(found)
    raise AssertionError("no heartbeat has come")


@pytest.fixture
def direct(server: Any) -> Any:
    """A client beside the command."""
    with Client(server.address) as client:
        yield client


def test_the_command_shows_the_tail(server: Any, direct: Client) -> None:
    run = new_run(direct)
    fill(direct, run, [float(step) for step in range(5000)])
    # Its steps are not regular: one at the beginning, the others far behind.
    fill(direct, run, [0.5], "rate")
    fill(direct, run, [float(step) for step in range(30)], "rate", first=10**9)
    lines = said(server, "metrics", "tail", run, "loss", "-n", "3").splitlines()
    assert [line.split()[2:] for line in lines] == [[str(s), "loss", f"{s}.0"] for s in (4997, 4998, 4999)]
    lines = said(server, "metrics", "tail", run, "-n", "20", "--json").splitlines()
    points = [json.loads(line) for line in lines]
    assert [p["step"] for p in points] == [*range(4980, 5000), *range(10**9 + 10, 10**9 + 30)]
    assert points[0] == {"key": "loss", "value": 4980.0, "timestamp": 1_004_980, "step": 4980}
    assert said(server, "metrics", "tail", run, "missing") == ""


def test_the_command_follows_until_the_run_has_ended(server: Any, direct: Client) -> None:
    run = new_run(direct)
    fill(direct, run, [0.0, 1.0, 2.0])
    process = command(server, "metrics", "tail", run, "-f", "-n", "2")
    assert process.stdout
    seen = [process.stdout.readline().split()[2] for _ in range(2)]
    for step in range(3, 6):
        fill(direct, run, [float(step)], first=step)
        seen.append(process.stdout.readline().split()[2])
    # Each once, whether it came before the watch, after it, or between.
    assert seen == ["1", "2", "3", "4", "5"]
    fill(direct, run, [6.0], first=6)
    direct.finish_run(run)
    out, complained = process.communicate(timeout=120)
    assert (process.returncode, complained) == (0, "")
    assert [line.split()[2] for line in out.splitlines()] == ["6"]


def test_ctrl_c_ends_the_tail_without_a_word(server: Any, direct: Client) -> None:
    run = new_run(direct)
    fill(direct, run, [0.0])
    process = command(server, "metrics", "tail", run, "-f")
    assert process.stdout
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=120) == ("", "")
    assert process.returncode == 0
