"""Servers under load, each with client processes that write to it, and moments to kill one of them."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.postgres import Postgres
from tests.support.server import PATIENCE, ServerProcess

ROOT = Path(__file__).resolve().parents[2]


class Lane:
    """A server and the client processes that write to it.

    Attributes:
        server: The server.
        starting: Held while the server starts, for which its database must be there.
        acks: How many acknowledgements were taken in so far.
    """

    def __init__(
        self,
        server: ServerProcess,
        name: str,
        writers: Sequence[Sequence[str]],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Prepares it.

        Args:
            server: The server; it runs.
            name: Seeds the chance.
            writers: For each client process, the module to run and its arguments. It ends when its
                standard input does, and writes a byte for each acknowledgement.
            environment: Further variables of theirs.
        """
        self.server = server
        self.starting = threading.Lock()
        self.acks = 0
        self._writers = writers
        self._environment = {**os.environ, **(environment or {})}
        self._chance = random.Random(name)
        self._ack_pipe, self._ack_end = os.pipe()
        self._processes: list[subprocess.Popen[bytes]] = []

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Runs the writers within the block; at its end each finishes what it is at."""
        self._processes = [self._start(writer) for writer in self._writers]
        try:
            yield
            for process in self._processes:
                process.communicate(timeout=PATIENCE)
                assert process.returncode == 0
        finally:
            for process in self._processes:
                process.kill()
                process.communicate()
            os.close(self._ack_pipe)
            os.close(self._ack_end)

    def stop(self) -> None:
        """Kills the writers; nothing is written any more."""
        for process in self._processes:
            process.kill()
            process.communicate()
        self._processes = []

    def _start(self, writer: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", *writer],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=self._ack_end,
        )

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Has the writers do nothing within the block, in the midst of what they were at."""
        for process in self._processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in self._processes:
                process.send_signal(signal.SIGCONT)

    def await_acks(self, count: int) -> None:
        """Waits for the next acknowledgements."""
        while self._acked(65_536, 0):
            pass
        self._await_acks(count, lambda: True)

    def await_acks_or_death(self, count: int) -> None:
        """Waits for the next acknowledgements, or until the server has died."""
        self._await_acks(count, self.server.runs)

    def _await_acks(self, count: int, still: Callable[[], bool]) -> None:
        last = time.monotonic()
        while count > 0 and still():
            if acked := self._acked(count, 0.1):
                count -= acked
                last = time.monotonic()
            elif time.monotonic() - last > PATIENCE:
                raise AssertionError(f"the writers stand still; the server said: {self.server.log[-2_000:]}")

    def _acked(self, most: int, seconds: float) -> int:
        """Counts the acknowledgements that come within some time, and returns how many."""
        if not select.select([self._ack_pipe], [], [], seconds)[0]:
            return 0
        acked = len(os.read(self._ack_pipe, most))
        self.acks += acked
        return acked

    def kill_server(self) -> None:
        """Kills the server at a moment that nobody chose, and starts it again."""
        self._pass_some_time()
        self.server.kill()
        with self.starting:
            self.server.start()

    def kill_writer(self) -> None:
        """Kills a writer at such a moment, and starts it again."""
        self._pass_some_time()
        number = self._chance.randrange(len(self._writers))
        self._processes[number].kill()
        self._processes[number].communicate()
        self._processes[number] = self._start(self._writers[number])

    def _pass_some_time(self) -> None:
        self.await_acks(self._chance.randrange(1, 30))
        # Not to wait for something: so that kills fall between acknowledgements too.
        threading.Event().wait(self._chance.uniform(0, 0.01))


def at_once(
    lanes: Sequence[Lane],
    work: Callable[[Lane], None],
    beside: contextlib.AbstractContextManager[None],
) -> None:
    """Works at all lanes at once, within a block."""
    with beside, ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(work, lanes))


@contextlib.contextmanager
def killing(postgres: Postgres, lanes: Sequence[Lane], times: int) -> Iterator[None]:
    """Kills PostgreSQL so many times at most within the block, though not while a server starts."""
    over, failures, kills, chance = threading.Event(), [], [], random.Random("killing")

    def work() -> None:
        try:
            while len(kills) < times:
                # Where all lanes have got on since the last time; or a slow machine would never see them do.
                goals = [lane.acks + chance.randrange(20, 40) for lane in lanes]
                while any(lane.acks < goal for lane, goal in zip(lanes, goals, strict=True)):
                    if over.wait(0.01):
                        return
                with contextlib.ExitStack() as stack:
                    for lane in lanes:
                        stack.enter_context(lane.starting)
                    postgres.kill()
                    postgres.start()
                    kills.append(1)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        # Without a database nobody gets on: this is the cause of what the lanes say.
        if failures:
            raise failures[0]
    assert len(kills) >= 3
