"""What the metric engine does, beside FastTrackML, MLflow and bare SQLite, in one run on one disk.

    python -m tests.bench.bench_metrics [--quick] [--only ROW] [--no-peers] [--no-postgres] [--json FILE]

Prints Markdown. Each row has servers of its own, and measures its columns in turns.
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
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench import facts, metric_read_rows, metric_report, metric_rows, peers
from tests.bench.__main__ import say
from tests.bench.load import Crew, Job
from tests.bench.metric_bench import Bench, Measured, Row
from tests.bench.workers import WorkFailed
from tests.support.postgres import Postgres

ROWS = (*metric_rows.ROWS, *metric_read_rows.ROWS)
CLIENTS = 4


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    options = parsed(arguments)
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    # Ended from outside, it still stops its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        peers.ENVIRONMENTS.mkdir(exist_ok=True)
        where = options.folder or peers.ENVIRONMENTS
        temporary = tempfile.TemporaryDirectory(prefix="bench-data-", dir=where, ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary))
        known = facts.machine(folder)
        bench, measured = prepared(stack, options, folder)
        known.update(measured)
        results = [(row, taken(row, bench, options)) for row in rows]
    say("")
    print(metric_report.markdown(known, results))
    if options.json:
        options.json.write_text(json.dumps(metric_report.as_json(known, results), indent=2) + "\n")


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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument(
        "--folder", type=Path, help="where all data lies meanwhile; default: the repository's disk"
    )
    return parser.parse_args(arguments)


def prepared(
    stack: contextlib.ExitStack, options: argparse.Namespace, folder: Path
) -> tuple[Bench, dict[str, str]]:
    """Starts what all rows share; returns it, with what is known of it."""
    crew = stack.enter_context(Crew(CLIENTS))
    known: dict[str, str] = {}
    disk = [crew.run(Job("disk", str(folder), "append_page", 0.1, 0.5), 1).p50 for _ in range(3)]
    known["fdatasync"] = f"{statistics.median(disk):.2f} ms for a page"
    postgres = None
    if not options.no_postgres:
        postgres = Postgres()
        stack.callback(postgres.close)
        postgres.start()
    addresses: dict[str, str] = {}
    for peer in () if options.no_peers else peers.PEERS:
        data = folder / peer.name
        data.mkdir()
        try:
            addresses[peer.name] = stack.enter_context(peers.running(peer, data))
            known[peer.name] = f"{peer.requirement.split('==')[1]} on SQLite, {peer.durability}"
        except peers.PeerUnavailable as error:
            known[peer.name] = str(error)
    scale, seconds = (0.02, 0.6) if options.quick else (1.0, 2.5)
    bench = Bench(folder, scale, seconds, addresses, crew, postgres)
    known.update(durability(bench))
    return bench, known


def durability(bench: Bench) -> dict[str, str]:
    """Returns what Runwire promises on each database, from servers that run."""
    with bench.server() as server:
        known = {"Runwire": facts.runwire(server.address, None)}
    if bench.postgres:
        with bench.on_postgres(1) as (server,):
            url = asyncio.run(bench.postgres.create_database())
            known["Runwire on PostgreSQL"] = facts.runwire(server.address, url)
    return known


def taken(row: Row, bench: Bench, options: argparse.Namespace) -> Mapping[str, Sequence[Measured]]:
    """Measures a row; what failed is shown and left out, so that the other rows are not lost."""
    repetitions = 1 if options.quick else min(row.repetitions, options.repetitions or row.repetitions)
    samples: dict[str, list[Measured]] = {}
    try:
        with row.setup(bench) as calls:
            for repetition in range(repetitions):
                for column, call in calls.items():
                    say(f"{row.name}, {column}: {repetition + 1} of {repetitions}")
                    measured = call()
                    samples.setdefault(column, []).extend([measured] if measured else [])
    except (WorkFailed, OSError, RuntimeError, AssertionError) as error:
        print(f"\n{row.name} failed: {error}", file=sys.stderr)
    return samples


if __name__ == "__main__":
    main()
