"""However a process ends: what it logged is on the server or in the spool, once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.server import ServerProcess

from runwire import Client

RUNWIRE = (str(Path(sys.executable).with_name("runwire")), "--timeout", "120")
NOWHERE = "runwire://127.0.0.1:1"
# Programs have time for what they do, and nothing to say of it, also where the machine stands still.
PATIENT = """
from runwire import Client, _local, _process, _waiting
_local._START_SECONDS = _process._TERMINATION_SECONDS = _waiting._PROGRESS = 200.0
Client.__init__.__kwdefaults__["timeout"] = 200.0
"""


@dataclass
class Program:
    """A user's program that was run, or runs."""

    process: subprocess.Popen[str]
    spools: Path

    def line(self) -> str:
        """Waits for the next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, told: str | None = None) -> tuple[int, str, str]:
        """Tells it something, waits for its end, and returns its exit code and what it printed."""
        try:
            out, err = self.process.communicate(told, timeout=300)
        except subprocess.TimeoutExpired:
            # With its children, which hold its output open.
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"it does not end: {self.process.communicate()}") from None
        return self.process.returncode, out, err

    def sync(self, address: str) -> str:
        """Delivers what it left."""
        done = subprocess.run(
            [*RUNWIRE, "-a", address, "sync", str(self.spools)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def left(self) -> list[str]:
        """Names the spools that are there."""
        return [one.name for one in self.spools.iterdir()] if self.spools.exists() else []


def program(tmp_path: Path, address: str, code: str, **environment: str) -> Program:
    """Starts a program."""
    spools = tmp_path / "left"
    there = {**os.environ, "RUNWIRE_TRACKING_URI": address, "RUNWIRE_SPOOL_DIR": str(spools), **environment}
    path = tmp_path / "program.py"
    path.write_text(PATIENT + code)
    process = subprocess.Popen(
        [sys.executable, str(path)],
        env=there,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return Program(process, spools)


def steps(server: ServerProcess, run_id: str, key: str = "m") -> list[int]:
    """Reads the steps of a run."""
    with Client(server.address) as client:
        found: list[int] = client.get_metric_history(run_id, key).steps.tolist()
        return found


def status(server: ServerProcess, run_id: str) -> str:
    """Reads the status of a run."""
    with Client(server.address) as client:
        return client.get_run(run_id).info.status


LOGGING = """
import os, sys, signal, threading, time
import runwire
run = runwire.start_run()
print(run.info.run_id, flush=True)
for step in range(1000):
    runwire.log_metric("m", step / 2, step=step)
"""


@pytest.mark.parametrize(
    ("ending", "code", "ended"),
    [
        ("", 0, "FINISHED"),
        ("sys.exit(3)", 3, "FINISHED"),
        ("raise ValueError('x')", 1, "FINISHED"),
        ("os.kill(os.getpid(), signal.SIGINT); signal.pause()", -2, "FINISHED"),
        ("os.kill(os.getpid(), signal.SIGTERM); signal.pause()", -15, "KILLED"),
    ],
    ids=["end", "exit", "exception", "SIGINT", "SIGTERM"],
)
def test_an_ordinary_end_delivers_everything(
    server: ServerProcess, tmp_path: Path, ending: str, code: int, ended: str
) -> None:
    running = program(tmp_path, server.address, LOGGING + ending)
    found, out, err = running.end()
    assert found == code, err
    assert "runwire:" not in err
    assert steps(server, out.split()[0]) == list(range(1000))
    assert status(server, out.split()[0]) == ended
    assert running.left() == []


@pytest.mark.parametrize(
    ("error", "ended"),
    [("KeyboardInterrupt", "KILLED"), ("ValueError", "FAILED"), ("SystemExit", "FINISHED")],
)
def test_a_with_block_says_how_a_run_ended(
    server: ServerProcess, tmp_path: Path, error: str, ended: str
) -> None:
    code = f"""
import runwire
with runwire.start_run() as run:
    print(run.info.run_id, flush=True)
    runwire.log_metric("m", 1, step=7)
    raise {error}
"""
    _, out, _ = program(tmp_path, server.address, code).end()
    assert status(server, out.strip()) == ended
    assert steps(server, out.strip()) == [7]


@pytest.mark.parametrize("ending", ["os._exit(9)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_sudden_end_loses_what_was_not_flushed_at_most(
    server: ServerProcess, tmp_path: Path, ending: str
) -> None:
    code = (
        LOGGING + f"runwire.flush()\nfor i in range(10): runwire.log_metric('m', i, step=1000 + i)\n{ending}"
    )
    running = program(tmp_path, server.address, code)
    found, out, err = running.end()
    assert found in (9, -9), err
    running.sync(server.address)
    there = steps(server, out.split()[0])
    assert there[:1000] == list(range(1000))
    assert there[1000:] == list(range(1000, 1000 + len(there[1000:])))
    assert running.left() == []


def test_what_a_killed_process_spooled_is_delivered_by_sync(server: ServerProcess, tmp_path: Path) -> None:
    code = """
import glob, os, sys, time
import runwire
client = runwire.Client()
run = client.begin_run("0")
for step in range(500):
    client.log_metric(run, "m", step, step=step)
# All of it is in the spool when its last frame is.
lane = client._pipeline
mark = lane.buffer.mark()
with lane._guard:
    lane._guard.wait_for(lambda: mark.folded)
print(run, flush=True)
time.sleep(600)
"""
    running = program(tmp_path, NOWHERE, code)
    run_id = running.line()
    assert len(running.left()) == 1
    held = subprocess.run(
        [*RUNWIRE, "-a", server.address, "sync", str(running.spools)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert held.returncode == 1
    assert f"in use by process {running.process.pid}" in held.stdout
    running.process.send_signal(signal.SIGKILL)
    running.end()
    assert re.search(r"[1-9]\d* frames delivered, 0 left", running.sync(server.address))
    assert steps(server, run_id) == list(range(500))
    assert running.left() == []
    assert "nothing to deliver" in running.sync(server.address)


def test_a_dead_process_is_offered_once(server: ServerProcess, tmp_path: Path) -> None:
    code = "import runwire\nc = runwire.Client()\nc.log_metric(c.begin_run('0'), 'm', 1)\n"
    running = program(tmp_path, NOWHERE, code)
    found, _, err = running.end()
    assert found == 0
    assert "runwire sync" in err
    assert len(running.left()) == 1
    again = program(tmp_path, server.address, LOGGING)
    _, _, err = again.end()
    assert err.count("1 spool holds what earlier processes did not deliver") == 1
    assert len(running.left()) == 1
    running.sync(server.address)
    _, _, err = program(tmp_path, server.address, LOGGING).end()
    assert err == ""


def test_the_exit_ends_in_time_and_names_what_is_left(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    server.start()
    code = """
import runwire, sys
from runwire import _waiting
# The first word comes at once, not when the time may be over already.
_waiting._PROGRESS = 0.0
client = runwire.Client(shutdown_timeout=4)
run = client.begin_run("0")
client.flush()
print(run, flush=True)
sys.stdin.readline()
client.log_series(run, "m", range(1000))
"""
    running = program(tmp_path, f"runwire://{server.address}", code)
    run_id = running.line()
    server.kill()
    start = time.monotonic()
    found, _, err = running.end("\n")
    # Others have 60 s.
    assert 3.5 < time.monotonic() - start < 60
    assert found == 0
    assert "giving up in" in err
    assert str(running.spools) in err
    with server:
        running.sync(server.address)
        assert len(steps(server, run_id)) == 1000


def test_the_clients_of_a_process_share_the_time_that_its_exit_may_take(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    server.start()
    code = """
import runwire, sys
clients = [runwire.Client(shutdown_timeout=9) for _ in range(9)]
runs = [client.begin_run("0") for client in clients]
for client in clients:
    client.flush()
print(*runs, flush=True)
sys.stdin.readline()
for client, run in zip(clients, runs):
    client.log_series(run, "m", range(1000))
"""
    running = program(tmp_path, f"runwire://{server.address}", code)
    run_ids = running.line().split()
    server.kill()
    start = time.monotonic()
    found, _, err = running.end("\n")
    # Each has a second still when the nine are over. One after the other they would take 81.
    assert 8.5 < time.monotonic() - start < 75
    assert found == 0
    assert err.count("`runwire sync ") == 9
    with server:
        running.sync(server.address)
        assert [len(steps(server, run_id)) for run_id in run_ids] == [1000] * 9


def test_a_forked_child_logs_as_a_writer_of_its_own(server: ServerProcess, tmp_path: Path) -> None:
    code = (
        LOGGING.replace("range(1000)", "range(100)")
        + """
children = []
for child in range(4):
    pid = os.fork()
    if pid == 0:
        for step in range(100):
            runwire.log_metric("m", step, step=1000 * (child + 1) + step)
        if child % 2:
            runwire.flush()
            os._exit(0)
        sys.exit(0)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
runwire.log_metric("m", 0, step=9999)
"""
    )
    running = program(tmp_path, server.address, code)
    found, out, err = running.end()
    assert found == 0, err
    expected = [*range(100), *(1000 * (c + 1) + s for c in range(4) for s in range(100)), 9999]
    assert steps(server, out.split()[0]) == expected
    assert status(server, out.split()[0]) == "FINISHED"
    # Who ends by os._exit removes no spool; there is nothing in it.
    assert "1 left" not in running.sync(server.address)
    assert running.left() == []


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_multiprocessing_log_to_one_run(
    server: ServerProcess, tmp_path: Path, method: str
) -> None:
    code = f"""
import multiprocessing, os
import runwire

def work(run_id, worker):
    for step in range(200):
        runwire.log_metric("m", step, step=1000 * worker + step, run_id=run_id)

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    with runwire.start_run() as run:
        print(run.info.run_id, flush=True)
        runwire.log_metric("m", 0, step=-1)
        workers = [context.Process(target=work, args=(run.info.run_id, i)) for i in range(4)]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
        assert [one.exitcode for one in workers] == [0] * 4
"""
    running = program(tmp_path, server.address, code)
    found, out, err = running.end()
    assert found == 0, err
    expected = [-1, *(1000 * worker + step for worker in range(4) for step in range(200))]
    assert steps(server, out.split()[0]) == expected
    assert status(server, out.split()[0]) == "FINISHED"
    assert running.left() == []


def test_forks_at_a_firehose(server: ServerProcess, tmp_path: Path) -> None:
    code = """
import os, sys, threading
import runwire
client = runwire.Client()
run = client.begin_run("0")
stop = False
counts = [0, 0]
def log(i):
    while not stop:
        client.log_metric(run, f"t{i}", 1.0, step=counts[i])
        counts[i] += 1
threads = [threading.Thread(target=log, args=(i,)) for i in range(2)]
for one in threads:
    one.start()
codes = []
for child in range(12):
    pid = os.fork()
    if pid == 0:
        for step in range(10):
            client.log_metric(run, "child", step, step=10 * child + step)
        client.close(200)
        os._exit(0)
    codes.append(os.waitpid(pid, 0)[1])
stop = True
for one in threads:
    one.join()
client.close(200)
print(run, *counts, *codes, flush=True)
"""
    running = program(tmp_path, server.address, code)
    found, out, err = running.end()
    assert found == 0, err
    run_id, first, second, *codes = out.split()
    assert codes == ["0"] * 12
    assert len(steps(server, run_id, "t0")) == int(first)
    assert len(steps(server, run_id, "t1")) == int(second)
    assert steps(server, run_id, "child") == list(range(120))
    assert running.left() == []


def test_many_threads_log_through_one_client(server: ServerProcess, tmp_path: Path) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
import runwire
with runwire.start_run() as run:
    def work(i):
        for step in range(500):
            runwire.log_metric(f"m{i % 3}", step, step=1000 * i + step, run_id=run.info.run_id)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(12)))
    print(run.info.run_id)
"""
    found, out, err = program(tmp_path, server.address, code).end()
    assert found == 0, err
    for key in range(3):
        expected = [1000 * i + step for i in range(key, 12, 3) for step in range(500)]
        assert steps(server, out.strip(), f"m{key}") == expected


def test_a_daemon_thread_that_logs_does_not_hold_up_the_exit(server: ServerProcess, tmp_path: Path) -> None:
    code = """
import threading, time
import runwire
# What an exit may take that is held up.
runwire.Client.__init__.__kwdefaults__["shutdown_timeout"] = 200.0
run = runwire.start_run()
started = threading.Event()
def log():
    step = 0
    while True:
        try:
            runwire.log_metric("m", 1.0, step=step, run_id=run.info.run_id)
        except ValueError:
            return
        step += 1
        started.set()
        # A server on a busy machine may slow down who logs as fast as he can, also as he exits.
        time.sleep(0.0005)
threading.Thread(target=log, daemon=True).start()
started.wait()
print(run.info.run_id)
"""
    start = time.monotonic()
    found, out, err = program(tmp_path, server.address, code).end()
    assert time.monotonic() - start < 150
    assert found == 0, err
    there = steps(server, out.strip())
    assert there == list(range(len(there)))
    assert there


def test_training_goes_on_while_the_server_restarts(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    server.start()
    with Client(server.address, timeout=120.0) as client:
        run = client.begin_run("0")
        client.log_metric(run, "m", 0.0, step=0)
        client.flush()
        server.kill()
        start = time.monotonic()
        for step in range(1, 20_000):
            client.log_metric(run, "m", float(step), step=step)
        # Who waited for the server would not get here.
        assert time.monotonic() - start < 60
        server.start()
        client.flush()
        assert client.get_metric_history(run, "m").steps.tolist() == list(range(20_000))
        server.stop()
        client.log_metric(run, "m", 0.0, step=20_000)
        server.start()
        client.flush()
        assert len(client.get_metric_history(run, "m")) == 20_001
    server.kill()


def test_the_clients_of_the_session_end_with_the_process(server: Any, tmp_path: Path) -> None:
    code = """
import runwire
first = runwire.Client()
second = runwire.Client()
a, b = first.begin_run("0"), second.begin_run("0")
first.log_metric(a, "m", 1.0, step=1)
second.log_metric(b, "m", 2.0, step=2)
print(a, b)
del first
"""
    found, out, err = program(tmp_path, server.address, code).end()
    assert (found, err) == (0, "")
    first, second = out.split()
    assert (steps(server, first), steps(server, second)) == ([1], [2])
