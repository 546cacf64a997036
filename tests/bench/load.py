"""Client processes, each of which makes one call over and over and times it."""

from __future__ import annotations

import multiprocessing
import signal
import statistics
import time
import traceback
from array import array
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType

from tests.bench.calls import CALLERS


class CallFailed(Exception):
    """A call that was timed failed."""


@dataclass(frozen=True)
class Job:
    """What a client process is to do.

    Attributes:
        caller: A key of `CALLERS`.
        address: Of the server.
        workload: A method of the caller.
        warm_up: Seconds before measuring.
        seconds: Seconds of measuring.
    """

    caller: str
    address: str
    workload: str
    warm_up: float
    seconds: float


@dataclass(frozen=True)
class Sample:
    """What some clients measured at the same time.

    Attributes:
        rate: Calls per second of all of them.
        p50: Median time of a call, ms.
        p99: 99th percentile, ms.
        calls: How many were measured.
    """

    rate: float
    p50: float
    p99: float
    calls: int


class Crew:
    """Client processes that wait for jobs."""

    def __init__(self, size: int) -> None:
        # Not forked: neither gRPC nor a fair start survives a fork.
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for _ in range(size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def run(self, job: Job, clients: int) -> Sample:
        """Has some clients do a job at the same time.

        Raises:
            CallFailed: with the traceback of the first client that failed.
        """
        pipes = self._pipes[:clients]
        for pipe in pipes:
            pipe.send(job)
        # All are connected and prepared before any of them starts.
        failures = {pipe: answer for pipe in pipes if (answer := pipe.recv()) is not None}
        prepared = [pipe for pipe in pipes if pipe not in failures]
        for pipe in prepared:
            pipe.send(not failures)
        answers = [*failures.values(), *(pipe.recv() for pipe in prepared)]
        failed = [answer for answer in answers if isinstance(answer, str)]
        if failed:
            raise CallFailed(failed[0])
        return _joined(answers)

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(5)
            process.kill()


def _joined(times: list[array[float]]) -> Sample:
    everything = sorted(seconds for client in times for seconds in client)
    return Sample(
        rate=sum(len(client) / sum(client) for client in times),
        p50=statistics.median(everything) * 1e3,
        p99=everything[int(len(everything) * 0.99)] * 1e3,
        calls=len(everything),
    )


def _serve(pipe: Connection) -> None:
    """Does jobs until the pipe ends; it ends with the benchmark, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        _do(job, pipe)


def _do(job: Job, pipe: Connection) -> None:
    """Answers None once prepared, and then, told to go on or not, the times; or a traceback for either."""
    answer: array[float] | str = array("d")
    try:
        with closing(CALLERS[job.caller](job.address)) as caller:
            call = getattr(caller, job.workload)()
            pipe.send(None)
            if pipe.recv():
                answer = _timed(call, job)
    except Exception:
        answer = traceback.format_exc()
    pipe.send(answer)


def _timed(call: Callable[[], object], job: Job) -> array[float]:
    """Returns the seconds of each call; their sum is all the time that the calls took."""
    now = time.perf_counter()
    warm = now + job.warm_up
    while now < warm:
        call()
        now = time.perf_counter()
    times = array("d")
    end = now + job.seconds
    while now < end:
        began = now
        call()
        now = time.perf_counter()
        times.append(now - began)
    return times
