"""`python -m tests.bench`: starts the servers, measures row by row, prints the table."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import facts, peers, report
from tests.bench.load import CallFailed, Crew, Job, Sample
from tests.bench.rows import DISK, EMPTY, ROWS, RUNWIRE, Row
from tests.support.postgres import Postgres
from tests.support.server import ServerProcess


@dataclass(frozen=True)
class Pace:
    """How long to measure."""

    repetitions: int
    warm_up: float
    seconds: float


FULL = Pace(repetitions=5, warm_up=0.5, seconds=2.5)
QUICK = Pace(repetitions=1, warm_up=0.2, seconds=0.6)

# Addresses by column; that of the disk is a folder.
Places = dict[str, str]
Results = dict[str, dict[str, list[Sample]]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    options = parsed(arguments)
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    pace = QUICK if options.quick else FULL
    # Ended from outside, it still stops its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        peers.ENVIRONMENTS.mkdir(exist_ok=True)
        where = options.folder or peers.ENVIRONMENTS
        temporary = tempfile.TemporaryDirectory(prefix="bench-data-", dir=where, ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary))
        known = facts.machine(folder)
        crew = stack.enter_context(Crew(max(row.clients for row in rows)))
        places = start(stack, options, folder, known)
        known["load"] = (
            "each client is a process, with generated stubs on a sync channel, or one REST connection; "
            f"{pace.repetitions} x {pace.seconds:g} s each, after {pace.warm_up:g} s of warm-up, taking turns"
        )
        results = measure(rows, places, crew, pace)
    finished = [(row, results[row.name]) for row in rows]
    print(report.table(known, finished))
    if options.json:
        options.json.write_text(json.dumps(report.as_json(known, finished), indent=2) + "\n")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measures Runwire and its peers."
    )
    database = parser.add_mutually_exclusive_group()
    database.add_argument("--database", metavar="URL", help="Runwire on this empty PostgreSQL database")
    database.add_argument("--postgres", action="store_true", help="Runwire on a PostgreSQL started for this")
    parser.add_argument("--quick", action="store_true", help="one short repetition, to see that it works")
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=[row.name for row in ROWS], help="only this row"
    )
    parser.add_argument("--no-peers", action="store_true", help="without FastTrackML and MLflow")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument(
        "--folder", type=Path, help="where all data lies meanwhile; default: the repository's disk"
    )
    return parser.parse_args(arguments)


def start(
    stack: contextlib.ExitStack, options: argparse.Namespace, folder: Path, known: dict[str, str]
) -> Places:
    """Starts all servers, notes what they are, and returns where they are."""
    database, disk = options.database, folder / "runwire"
    if options.postgres:
        instance = Postgres()
        stack.callback(instance.close)
        instance.start()
        database, disk = asyncio.run(instance.create_database()), instance.folder
    arguments = ["--database", database] if database else []
    server = stack.enter_context(ServerProcess(folder / "runwire", *arguments))
    known["start"] = facts.start(server.pid)
    (folder / "runwire").mkdir(exist_ok=True)
    known["Runwire"] = facts.runwire(server.address, database)
    places = {RUNWIRE: server.address, EMPTY: stack.enter_context(empty()), DISK: str(disk)}
    for peer in () if options.no_peers else peers.PEERS:
        data = folder / peer.name
        data.mkdir()
        try:
            places[peer.name] = stack.enter_context(peers.running(peer, data))
            known[peer.name] = peer.promise
        except peers.PeerUnavailable as error:
            known[peer.name] = str(error)
    return places


@contextlib.contextmanager
def empty() -> Iterator[str]:
    """Runs the empty handler within the block, which gets its address."""
    command = [sys.executable, "-m", "tests.bench.empty"]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def measure(rows: Sequence[Row], places: Mapping[str, str], crew: Crew, pace: Pace) -> Results:
    """Measures all columns of all rows in turn, as often as the pace says."""
    results: Results = {row.name: {column: [] for column in row.columns} for row in rows}
    for column, address in places.items():
        # A server's first calls import and compile; no row is to pay for that.
        if column != DISK:
            crew.run(Job(caller(column), address, "whole_run", 0, pace.seconds), 1)
    for repetition in range(pace.repetitions):
        for row in rows:
            for column in row.columns:
                if column in places:
                    say(f"repetition {repetition + 1} of {pace.repetitions}: {row.name}, {column}")
                    results[row.name][column] += taken(row, column, places[column], crew, pace)
    say("")
    return results


def taken(row: Row, column: str, address: str, crew: Crew, pace: Pace) -> list[Sample]:
    """Measures once; empty if a peer failed, which is its figure's loss and not the benchmark's.

    Raises:
        CallFailed: if Runwire, or a limit, failed.
    """
    by = row.caller if column == RUNWIRE else caller(column)
    job = Job(by, address, "append_page" if column == DISK else row.workload, pace.warm_up, pace.seconds)
    try:
        return [crew.run(job, row.clients)]
    except CallFailed as error:
        if by != "rest":
            raise
        print(f"\n{row.name}, {column} failed: {error}", file=sys.stderr)
        return []


def caller(column: str) -> str:
    """Returns which caller a column is measured by."""
    return {RUNWIRE: "runwire", EMPTY: "runwire", DISK: "disk"}.get(column, "rest")


def say(text: str) -> None:
    """Shows progress, over the last, to a person who watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
