"""What the rows of the metric benchmarks are made of: servers, peers, clients, and what is measured."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from tests.bench import workers
from tests.bench.load import CallFailed, Crew, Job
from tests.support.postgres import Postgres
from tests.support.server import ServerProcess

from runwire.v1 import server_pb2, server_pb2_grpc

RUNWIRE, LIMIT, FASTTRACKML, MLFLOW = "Runwire", "SQLite", "FastTrackML", "MLflow"
ONE_PROCESS, TWO_PROCESSES = "1 process", "2 processes"
PEERS = (FASTTRACKML, MLFLOW)
SETTLE_SECONDS = 90.0
MIB = 1 << 20


@dataclass(frozen=True)
class Measured:
    """A figure, and what was seen beside it."""

    figure: float
    beside: Mapping[str, float] = field(default_factory=dict)


# What a row measures in each turn, by column; None where a peer failed.
Calls = dict[str, Callable[[], Measured | None]]


@dataclass(frozen=True)
class Goal:
    """What a row should come to.

    Attributes:
        text: For a person.
        met: Judges the medians, by column and by `column.fact`; None if one that it needs is missing.
    """

    text: str
    met: Callable[[Mapping[str, float]], bool | None]


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: For `--only`.
        title: What is done.
        unit: What its figures are.
        setup: Makes what the row needs, within a block that gets what to measure.
        goals: All of them are to be met.
        less: Whether less is better.
        repetitions: At most so many.
    """

    name: str
    title: str
    unit: str
    setup: Callable[[Bench], AbstractContextManager[Calls]]
    goals: tuple[Goal, ...] = ()
    less: bool = False
    repetitions: int = 5


def at_least(bound: float, column: str = RUNWIRE) -> Goal:
    """The goal of a figure, or a fact beside it, that is no less."""
    return Goal(f">= {bound:,.12g}", lambda medians: medians[column] >= bound if column in medians else None)


def at_most(bound: float, column: str = RUNWIRE) -> Goal:
    """The goal of a figure, or a fact beside it, that is no more."""
    what = f"{column.partition('.')[2].replace('_', ' ')} " if "." in column else ""
    return Goal(
        f"{what}<= {bound:,.12g}", lambda medians: medians[column] <= bound if column in medians else None
    )


def times(factor: float, column: str) -> Goal:
    """The goal of so many times the rate of another column."""

    def met(medians: Mapping[str, float]) -> bool | None:
        if column not in medians or RUNWIRE not in medians:
            return None
        return medians[RUNWIRE] >= factor * medians[column]

    return Goal(f">= {factor:g} x {column}", met)


@dataclass
class Bench:
    """What all rows share.

    Attributes:
        folder: Where all data lies.
        scale: 1 for the amounts that count, less to see that it works.
        seconds: How long peers are measured.
        peers: Addresses of those that run.
        crew: Client processes for the peers.
        postgres: An instance, if it is to be measured too.
    """

    folder: Path
    scale: float
    seconds: float
    peers: Mapping[str, str]
    crew: Crew
    postgres: Postgres | None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def amount(self, full: int, least: int = 1) -> int:
        """Returns a full amount to scale."""
        return max(int(full * self.scale), least)

    def new_folder(self) -> Path:
        """Makes an empty folder."""
        folder = self.folder / f"row-{next(self._numbers)}"
        folder.mkdir()
        return folder

    @contextlib.contextmanager
    def server(self, *arguments: str) -> Iterator[ServerProcess]:
        """Runs a server on an empty SQLite database within the block."""
        folder = self.new_folder()
        try:
            with ServerProcess(folder / "data", "--log-level", "warning", *arguments) as server:
                yield server
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def on_postgres(self, count: int) -> Iterator[list[ServerProcess]]:
        """Runs servers on one empty PostgreSQL database within the block."""
        assert self.postgres
        url = asyncio.run(self.postgres.create_database())
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(self.server("--database", url)) for _ in range(count)]

    def peer(self, name: str, workload: str, clients: int, per_call: int) -> Callable[[], Measured | None]:
        """Returns the call that measures the rate of a workload of `calls.RestCalls` at a peer."""

        def measure() -> Measured | None:
            if name not in self.peers:
                return None
            try:
                sample = self.crew.run(Job("rest", self.peers[name], workload, 0.3, self.seconds), clients)
            except CallFailed as error:
                print(f"\n{workload}, {name} failed: {error}", file=sys.stderr)
                return None
            return Measured(sample.rate * per_call, {"ms": sample.p50})

        return measure

    def works(
        self, addresses: list[str], module: str, name: str, clients: int = 1, **arguments: Any
    ) -> list[dict[str, float]]:
        """Has client processes do a work together, `clients` of them for each address."""
        spool = self.new_folder()
        try:
            return workers.together(
                [
                    workers.Work(module, name, address, arguments, {"RUNWIRE_SPOOL_DIR": str(spool)})
                    for address in addresses
                    for _ in range(clients)
                ]
            )
        finally:
            shutil.rmtree(spool, ignore_errors=True)

    def rate(
        self, addresses: list[str], module: str, name: str, clients: int = 1, **arguments: Any
    ) -> Measured:
        """Returns the joint rate of a work."""
        done = self.works(addresses, module, name, clients, **arguments)
        rate = sum(one["amount"] for one in done) / max(one["seconds"] for one in done)
        facts = {key: max(one[key] for one in done) for key in done[0] if key not in ("amount", "seconds")}
        return Measured(rate, facts)


@contextlib.contextmanager
def stub_of(server: ServerProcess) -> Iterator[Any]:
    """Returns ServerService of a server."""
    with grpc.insecure_channel(server.address) as channel:
        yield server_pb2_grpc.ServerServiceStub(channel)


def storage(server: ServerProcess) -> server_pb2.GetStorageStatsResponse:
    """Returns what the metric store of a server holds."""
    with stub_of(server) as stub:
        return stub.GetStorageStats(server_pb2.GetStorageStatsRequest(), timeout=120)


def settle(server: ServerProcess) -> float:
    """Waits until the compaction has caught up: until nothing has moved for a while.

    Returns:
        How many seconds that took.
    """
    began = moved = time.monotonic()
    last = None
    while time.monotonic() < began + SETTLE_SECONDS:
        stats = storage(server)
        now = {part.name: part.points for part in stats.parts}
        if now != last:
            last, moved = now, time.monotonic()
        elif stats.backlog_bytes == 0 or time.monotonic() - moved > 5:
            break
        time.sleep(0.5)
    return moved - began


def resident(server: ServerProcess, what: str = "VmRSS") -> float:
    """Returns the MiB of memory of a server; `VmHWM` is the most that it has had."""
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    raise ValueError(what)


class Watch:
    """Samples the memory of a server each second, within a block."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.samples: list[float] = []

    def _sample(self) -> None:
        while not self._over.wait(1):
            self.samples.append(resident(self._server))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
