"""What the metric engine does, beside FastTrackML, MLflow and bare SQLite, in one run on one disk.

    python -m tests.bench.bench_metrics [--quick] [--only ROW] [--no-peers] [--no-postgres] [--json FILE]

Prints Markdown. Each row has servers of its own, and measures its columns in turns. What fails is named in
the report, and loses no other figure; a benchmark that is ended prints what it has.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import facts, metric_read_rows, metric_report, metric_rows, peers
from tests.bench.load import Crew, Job
from tests.bench.metric_bench import Bench, Measured
from tests.support.postgres import Postgres

ROWS = (*metric_rows.ROWS, *metric_read_rows.ROWS)
CLIENTS = 4
# Early rows may take more than their share of the time: many later ones take less.
GENEROUS = 2.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    options = parsed(arguments)
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    # Ended from outside, it still stops its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    known: dict[str, str] = {}
    results = [metric_report.Result(row) for row in rows]
    try:
        measure(results, known, options)
    finally:
        print(metric_report.markdown(known, results))
        if options.json:
            options.json.write_text(json.dumps(metric_report.as_json(known, results), indent=2) + "\n")


def measure(
    results: Sequence[metric_report.Result], known: dict[str, str], options: argparse.Namespace
) -> None:
    """Measures rows one after the other, and adds what has to be known to read them."""
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        peers.ENVIRONMENTS.mkdir(exist_ok=True)
        where = options.folder or peers.ENVIRONMENTS
        temporary = tempfile.TemporaryDirectory(prefix="bench-data-", dir=where, ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary))
        known.update(facts.machine(folder))
        bench = prepared(stack, options, folder, known)
        for number, result in enumerate(results):
            since = time.monotonic()
            left = began + options.minutes * 60 - since
            say(began, f"{result.row.name} ...")
            take(result, bench, options, since + GENEROUS * left / (len(results) - number))
            result.seconds = time.monotonic() - since
            say(began, f"{result.row.name}: {metric_report.figure(result)} {result.row.unit}")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.bench_metrics", description="Measures the metric engine and its peers."
    )
    names = [row.name for row in ROWS]
    parser.add_argument("--quick", action="store_true", help="small amounts once, to see that it works")
    parser.add_argument("--only", metavar="ROW", action="append", choices=names, help="only this row")
    parser.add_argument("--no-peers", action="store_true", help="without FastTrackML and MLflow")
    parser.add_argument("--no-postgres", action="store_true", help="without PostgreSQL")
    parser.add_argument("--repetitions", type=int, help="fewer than the rows would take")
    parser.add_argument("--minutes", type=float, default=25, help="rows that take longer repeat less often")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument(
        "--folder", type=Path, help="where all data lies meanwhile; default: the repository's disk"
    )
    return parser.parse_args(arguments)


def prepared(
    stack: contextlib.ExitStack, options: argparse.Namespace, folder: Path, known: dict[str, str]
) -> Bench:
    """Starts what all rows share; returns it, and adds what is known of it."""
    crew = stack.enter_context(Crew(CLIENTS))
    disk = [crew.run(Job("disk", str(folder), "append_page", 0.1, 0.5), 1).p50 for _ in range(3)]
    known["fdatasync"] = f"{statistics.median(disk):.2f} ms for a page"
    addresses: dict[str, str] = {}
    for peer in () if options.no_peers else peers.PEERS:
        data = folder / peer.name
        data.mkdir()
        try:
            addresses[peer.name] = stack.enter_context(peers.running(peer, data))
            known[peer.name] = peer.promise
        except peers.PeerUnavailable as error:
            known[peer.name] = str(error)
    scale, seconds = (0.02, 0.6) if options.quick else (1.0, 2.5)
    bench = Bench(folder, scale, seconds, addresses, crew, None)
    with bench.server() as server:
        known["Runwire"] = facts.runwire(server.address, None)
    if not options.no_postgres:
        try:
            bench.postgres = started(stack)
            known["Runwire on PostgreSQL"] = on_postgres(bench)
        except Exception as error:
            bench.postgres = None
            known["PostgreSQL"] = f"could not be started: {error!r}"
    return bench


def started(stack: contextlib.ExitStack) -> Postgres:
    """Starts a PostgreSQL, which ends with the stack."""
    postgres = Postgres()
    stack.callback(postgres.close)
    postgres.start()
    return postgres


def on_postgres(bench: Bench) -> str:
    """Returns what Runwire promises on PostgreSQL, from a server that runs."""
    assert bench.postgres
    with bench.on_postgres(1) as (server,):
        return facts.runwire(server.address, asyncio.run(bench.postgres.create_database()))


def say(began: float, text: str) -> None:
    """Shows a person how far it is."""
    print(f"[{(time.monotonic() - began) / 60:4.1f} min] {text}", file=sys.stderr, flush=True)


def take(result: metric_report.Result, bench: Bench, options: argparse.Namespace, end: float) -> None:
    """Measures a row; what fails is noted and left out, so that nothing else is lost.

    Args:
        result: Where to put it.
        bench: What all rows share.
        options: Of the command line.
        end: The row's time (monotonic): a repetition that would pass it is left out, but for the first.
    """
    row = result.row
    repetitions = 1 if options.quick else min(row.repetitions, options.repetitions or row.repetitions)
    try:
        with row.setup(bench) as calls:
            took = 0.0
            for number in range(repetitions):
                began = time.monotonic()
                if number and began + took > end:
                    break
                for column, call in calls.items():
                    # What has failed once would fail again, and may take minutes to.
                    if column not in result.failures:
                        attempt(result, column, call)
                took = time.monotonic() - began
    except Exception as error:
        result.failures[row.name] = metric_report.reason(error)


def attempt(result: metric_report.Result, column: str, call: Callable[[], Measured | None]) -> None:
    """Measures a column of a row once."""
    try:
        measured = call()
    except Exception as error:
        print(f"\n{result.row.name}, {column} failed: {error}", file=sys.stderr)
        result.failures[column] = metric_report.reason(error)
    else:
        result.samples.setdefault(column, []).extend([measured] if measured else [])


if __name__ == "__main__":
    main()
