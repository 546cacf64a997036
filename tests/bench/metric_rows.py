"""The rows about logging."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from tests.bench import sqlite_limit
from tests.bench.metric_bench import (
    FASTTRACKML,
    LIMIT,
    MIB,
    MLFLOW,
    ONE_PROCESS,
    RUNWIRE,
    TWO_PROCESSES,
    Bench,
    Calls,
    Goal,
    Measured,
    Row,
    Watch,
    at_least,
    at_most,
    resident,
    settle,
    storage,
    times,
)
from tests.bench.workers import Work, together
from tests.support import frames
from tests.support.server import ServerProcess

# A time and a value.
POINT_BYTES = 16
# The best batch of each, by trial: MLflow takes 1,000 points at most, FastTrackML is quickest with 10,000.
COLUMNS = {FASTTRACKML: ("large_column", 10_000), MLFLOW: ("column", 1_000)}
WIDES = {FASTTRACKML: ("large_wide", 8_000), MLFLOW: ("wide", 1_000)}
RUNS = {FASTTRACKML: ("whole_run", 1), MLFLOW: ("whole_run", 1)}
Setup = Callable[[Bench], AbstractContextManager[Calls]]


def ingest(
    module: str,
    name: str,
    clients: int = 1,
    *,
    scaled: Mapping[str, int],
    peers: Mapping[str, tuple[str, int]] | None = None,
    blob: tuple[int, float] | None = None,
    postgres: bool = False,
    **arguments: Any,
) -> Setup:
    """Makes the setup of a row that is the rate of a work.

    Args:
        module: Where the work is.
        name: The work.
        clients: How many do it.
        scaled: Its arguments that are amounts.
        peers: The workloads of peers, and what a call of theirs does.
        blob: Bytes of a frame, and of each thing that is counted, for the limit.
        postgres: Whether PostgreSQL is measured too.
        arguments: Its other arguments.
    """

    @contextlib.contextmanager
    def setup(bench: Bench) -> Iterator[Calls]:
        amounts = {key: bench.amount(full, 10) for key, full in scaled.items()}
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(bench.server())

            def rate_of(servers: list[ServerProcess], each: int) -> Callable[[], Measured]:
                addresses = [one.address for one in servers]
                return lambda: _settled(
                    bench.rate(addresses, module, name, each, **amounts, **arguments), servers[0]
                )

            calls: Calls = {RUNWIRE: rate_of([server], clients)}
            if blob:
                calls[LIMIT] = lambda: _limit(bench, *blob)
            for peer, (workload, per_call) in (peers or {}).items():
                calls[peer] = bench.peer(peer, workload, clients, per_call)
            if postgres and bench.postgres:
                for column, count in ((ONE_PROCESS, 1), (TWO_PROCESSES, 2)):
                    servers = stack.enter_context(bench.on_postgres(count))
                    calls[column] = rate_of(servers, max(clients // count, 1))
            yield calls

    return setup


def _settled(measured: Measured, server: ServerProcess) -> Measured:
    """Adds how long the compaction goes on afterwards, so that the next one has the machine for itself."""
    return Measured(measured.figure, {**measured.beside, "compacted_after_s": settle(server)})


def _limit(bench: Bench, blob_bytes: int, unit_bytes: float) -> Measured:
    total = bench.amount(256 * MIB, 16 * MIB)
    return Measured(sqlite_limit.best(bench.new_folder(), blob_bytes, total) / unit_bytes)


@contextlib.contextmanager
def gradients(bench: Bench) -> Iterator[Calls]:
    """A new run with very many keys, until all of its series have their rows."""
    width, steps = bench.amount(100_000, 2_000), 20

    def measure() -> Measured:
        with bench.server() as server:
            (done,) = bench.works([server.address], "client_works", "gradients", width=width, steps=steps)
            rows = _series_rows_after(server, width, done["ended"])
            facts = {
                "acknowledged_per_s": done["amount"] / done["seconds"],
                "series_rows_after_s": rows,
                "RSS_MiB": resident(server, "VmHWM"),
            }
            return Measured(done["amount"] / (done["seconds"] + rows), facts)

    yield {RUNWIRE: measure, LIMIT: lambda: _limit(bench, 10_000 * 8, 8)}


def _series_rows_after(server: ServerProcess, width: int, ended: float) -> float:
    """Waits for the summary rows of the only run; returns the seconds since its points were on disk."""
    left = "SELECT next_position - folded_position FROM runs"
    count = "SELECT count(*) FROM metric_series"
    file = f"file:{server.data_dir / 'runwire.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(file, uri=True)) as raw:
        while time.time() < ended + 120:
            if raw.execute(left).fetchone() == (0,):
                assert raw.execute(count).fetchone() == (width,)
                return max(time.time() - ended, 0.0)
            time.sleep(0.1)
    raise TimeoutError("the series have no rows")


@contextlib.contextmanager
def crowd(bench: Bench) -> Iterator[Calls]:
    """100 streams at full speed."""
    seconds = max(60 * bench.scale, 6)

    def measure() -> Measured:
        with bench.server() as server:
            with Watch(server) as watch:
                measured = bench.rate(
                    [server.address],
                    "raw_works",
                    "crowd",
                    streams=100,
                    seconds=seconds,
                    size=1_000,
                    window=1,
                )
            third = len(watch.samples) // 3
            facts = {
                **measured.beside,
                "RSS_MiB": max(watch.samples),
                "RSS_grows_by_%": _growth(watch.samples[third : 2 * third], watch.samples[2 * third :]),
                "backlog_MiB": storage(server).backlog_bytes / MIB,
            }
            return _settled(Measured(measured.figure, facts), server)

    yield {RUNWIRE: measure}


def _growth(middle: list[float], end: list[float]) -> float:
    return (max(end) / max(middle) - 1) * 100


@contextlib.contextmanager
def searched(bench: Bench) -> Iterator[Calls]:
    """The rate of a run with very many keys while it is searched twice a second, in percent of without."""
    seconds, width = max(15 * bench.scale, 3), bench.amount(100_000, 2_000)

    def measure() -> Measured:
        with bench.server() as server:
            alone, _ = _firehose(server, width, seconds, None)
            rate, facts = _firehose(server, width, seconds, "one")
            whole, slower = _firehose(server, width, seconds, "all")
            beside = {"whole_runs_%": whole / alone * 100, "whole_runs_search_ms": slower["search_ms"]}
            return Measured(rate / alone * 100, {"alone_per_s": alone, **facts, **beside})

    yield {RUNWIRE: measure}


def _firehose(
    server: ServerProcess, width: int, seconds: float, shown: str | None
) -> tuple[float, Mapping[str, float]]:
    """Returns the rate of logging to a new run, and what the searches beside it took.

    Args:
        server: Where to.
        width: How many keys.
        seconds: How long.
        shown: What of the metrics the searches show: "one", "all"; None for no searches.
    """
    arguments = {"width": width, "seconds": seconds, "run_id": frames.new_id()}
    works = [Work("raw_works", "firehose", server.address, arguments)]
    if shown:
        searching = {"seconds": seconds, "whole": shown == "all"}
        works.append(Work("read_works", "searches", server.address, searching))
    logged, *searched = together(works)
    # What waits to be compacted is not the next one's burden.
    settle(server)
    return logged["amount"] / logged["seconds"], searched[0] if searched else {}


def _five_million_or_most_of_the_limit(medians: Mapping[str, float]) -> bool | None:
    if RUNWIRE not in medians:
        return None
    return medians[RUNWIRE] >= 5e6 or medians[RUNWIRE] >= 0.6 * medians.get(LIMIT, float("inf"))


def _call(medians: Mapping[str, float]) -> bool | None:
    return medians["Runwire.call_us"] <= 0.7 if "Runwire.call_us" in medians else None


FAT = Goal(">= 5 M, or >= 60 % of SQLite", _five_million_or_most_of_the_limit)

ROWS = (
    Row(
        "series",
        "`log_series` of 1,000-point arrays, 1 client",
        "points/s",
        ingest(
            "client_works",
            "series",
            scaled={"arrays": 10_000},
            size=1_000,
            peers=COLUMNS,
            blob=(1_000 * POINT_BYTES, POINT_BYTES),
            postgres=True,
        ),
        (times(100, FASTTRACKML), times(500, MLFLOW)),
    ),
    Row(
        "runs",
        "begin run + 20 params + 10 metrics + finish, 4 clients, through the stream",
        "runs/s",
        ingest("client_works", "runs", 4, scaled={"count": 2_000}, peers=RUNS, postgres=True, wait=False),
        (times(4, FASTTRACKML),),
    ),
    Row(
        "runs-wait",
        "the same, and each client waits for each of its runs",
        "runs/s",
        ingest("client_works", "runs", 4, scaled={"count": 300}, peers=RUNS, wait=True),
        (),
    ),
    Row(
        "fat",
        "`log_series` of 10,000-point arrays",
        "points/s",
        ingest(
            "client_works",
            "series",
            scaled={"arrays": 1_000},
            size=10_000,
            blob=(10_000 * POINT_BYTES, POINT_BYTES),
            postgres=True,
        ),
        (FAT,),
    ),
    Row(
        "fat-raw",
        "frames of 10,000 points of one key, raw protocol",
        "points/s",
        ingest(
            "raw_works",
            "fat",
            scaled={"count": 1_000},
            size=10_000,
            blob=(10_000 * POINT_BYTES, POINT_BYTES),
        ),
        (FAT,),
    ),
    Row(
        "wide",
        "`log_metrics` of 1,000 keys",
        "points/s",
        ingest("client_works", "wide", scaled={"steps": 4_000}, width=1_000, peers=WIDES, postgres=True),
        (times(100, FASTTRACKML),),
    ),
    Row(
        "wide-raw",
        "frames of 1,000 keys x 8 steps, raw protocol",
        "points/s",
        ingest(
            "raw_works",
            "fat",
            scaled={"count": 1_000},
            size=8,
            width=1_000,
            peers=WIDES,
            blob=(8_000 * 8, 8),
        ),
        (times(100, FASTTRACKML),),
    ),
    Row(
        "gradients",
        "`log_metrics` of 100,000 keys x 20 steps, with the series rows",
        "points/s",
        gradients,
        (at_least(1_000_000), at_most(600, "Runwire.RSS_MiB")),
    ),
    Row(
        "single",
        "one-point frames from 8 streams, raw protocol, pipelined",
        "frames/s",
        ingest("raw_works", "single", scaled={"count": 4_000}, streams=8, window=64),
        (at_least(8_000),),
    ),
    Row(
        "single-wait",
        "one-point frames from 8 streams, raw protocol, stop and wait",
        "frames/s",
        ingest("raw_works", "single", scaled={"count": 1_500}, streams=8, window=1),
        (at_least(2_000),),
    ),
    *(
        Row(
            f"loop-{width}",
            f"`log_metric` in a loop, {width} key{'s' if width > 1 else ''}",
            "points/s",
            ingest("client_works", "loop", scaled={"points": 3_000_000}, width=width),
            (at_least(goal), Goal("call us <= 0.7", _call)),
        )
        for width, goal in ((1, 800_000), (10, 800_000), (100, 500_000))
    ),
    Row(
        "crowd",
        "100 streams of 1,000-point frames at full speed for 60 s, raw protocol",
        "points/s",
        crowd,
        (
            at_most(300, "Runwire.RSS_MiB"),
            at_most(10, "Runwire.RSS_grows_by_%"),
            at_most(250, "Runwire.p99_ms"),
            # Writers rest ever longer from 256 MiB on.
            at_most(384, "Runwire.backlog_MiB"),
        ),
        repetitions=3,
    ),
    Row(
        "searched",
        "100,000 keys a step, beside a search twice a second",
        "% of alone",
        searched,
        (at_least(85),),
        repetitions=3,
    ),
)
