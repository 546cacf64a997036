"""What the clients of all languages do, beside MLflow's for Python and for Java.

    python -m tests.bench.bench_clients [--quick] [--client LANGUAGE] [--no-peers] [--passes N] [--json FILE]

Prints Markdown, in some eight minutes. All servers are on one disk; figures are medians of the rounds of
several passes over all clients, so that a busy minute of the machine meets all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench import facts, installs, packages, peers
from tests.bench.__main__ import say
from tests.bench.client_figures import Figures, measured, together
from tests.bench.client_report import markdown
from tests.bench.mlflow_clients import MlflowFailed, mlflow_java, mlflow_python
from tests.conformance.drivers import build, languages
from tests.support.server import ServerProcess


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    options = parsed(arguments)
    scale = 0.05 if options.quick else 1.0
    with tempfile.TemporaryDirectory(prefix="bench-clients-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        known = facts.machine(folder)
        known["repetitions"] = (
            f"medians and ranges of {options.passes} passes over all clients, of several rounds each after "
            "those that warm up compilers and caches"
        )
        passes: list[Figures] = []
        for number in range(options.passes):
            place = folder / str(number)
            place.mkdir()
            passes += clients(place, options.client, scale, known)
            if not options.no_peers:
                passes += mlflow(place, scale, known)
        rows = together(passes)
        if options.json:
            options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
        sizes, installations = [], []
        if not options.client:
            say("packages")
            sizes = packages.sizes(folder)
        if "r" in languages() and options.client in ("", "r"):
            say("installation")
            installations = [installs.r_package(folder)]
    say("")
    print(markdown(known, rows, sizes, installations))


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.bench_clients", description="Measures clients."
    )
    parser.add_argument("--quick", action="store_true", help="small amounts, to see that it works")
    parser.add_argument("--client", default="", help="only this language, and no sizes")
    parser.add_argument("--no-peers", action="store_true", help="without MLflow")
    parser.add_argument("--passes", type=int, default=3, metavar="N", help="how often each is measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args(arguments)


def clients(folder: Path, only: str, scale: float, known: dict[str, str]) -> Iterator[Figures]:
    """Measures the clients one after the other, each with a server of its own; adds what is known of it."""
    for language in languages():
        if only in ("", language):
            say(language)
            build(language)
            with ServerProcess(folder / f"{language}-data") as server:
                known["Runwire"] = facts.runwire(server.address, None)
                yield measured(language, server.address, folder / language, scale)


def mlflow(folder: Path, scale: float, known: dict[str, str]) -> list[Figures]:
    """Measures MLflow's clients against MLflow's server; those that can not be installed are left out.

    Adds what is known of the server.
    """
    peer = next(peer for peer in peers.PEERS if peer.name == "MLflow")
    data = folder / "mlflow"
    data.mkdir()
    found: list[Figures] = []
    try:
        with peers.running(peer, data) as address:
            known[peer.name] = peer.promise
            for name, measure in (("Python", mlflow_python), ("Java", mlflow_java)):
                say(f"MLflow, {name}")
                try:
                    found += measure(address, folder, scale)
                except MlflowFailed as error:
                    print(f"MLflow's client for {name} is left out: {error}", file=sys.stderr)
    except peers.PeerUnavailable as error:
        print(f"MLflow is left out: {error}", file=sys.stderr)
    return found


if __name__ == "__main__":
    main()
