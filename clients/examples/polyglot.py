"""Runs the examples of all languages against one server, and shows their runs side by side.

make demo-polyglot
.venv/bin/python clients/examples/polyglot.py python r     # only these
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

import runwire
from runwire import Client, Run

HERE = Path(__file__).resolve().parent
LANGUAGES = ("python", "r", "java", "scala", "spark")
QUERY = "metrics.r2 > 0.8 AND params.model != 'forest' AND dataset.name = 'mtcars'"


def main() -> None:
    """Runs the examples."""
    chosen = sys.argv[1:] or list(LANGUAGES)
    with tempfile.TemporaryDirectory(prefix="runwire-polyglot-") as folder:
        server, address = start_server(Path(folder))
        try:
            for language in chosen:
                train(language, address, Path(folder))
            show(address, chosen)
        finally:
            server.terminate()
            server.wait()


def start_server(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Starts a server on a free port, and returns it with its address."""
    command = [str(Path(sys.executable).with_name("runwire")), "server", "--data-dir", str(folder / "data")]
    server = subprocess.Popen(
        [*command, "--grpc-port", "0", "--log-level", "warning"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout
    line = server.stdout.readline()
    address = next((word for word in line.split() if word.startswith("runwire://")), "")
    if not address:
        raise SystemExit(f"the server did not start: {line}")
    print(f"server at {address}", flush=True)
    return server, address


def train(language: str, address: str, folder: Path) -> None:
    """Runs the example of a language, whose spools go to a folder."""
    print(f"\n--- {language}", flush=True)
    began = time.monotonic()
    given = {"RUNWIRE_TRACKING_URI": address, "RUNWIRE_SPOOL_DIR": str(folder / "spools")}
    environment = {**os.environ, **given, "PYTHON": sys.executable}
    subprocess.run([str(HERE / language / "run")], check=True, env=environment)
    print(f"({time.monotonic() - began:.1f} s)", flush=True)


def show(address: str, languages: list[str]) -> None:
    """Prints the best run of each language, and one query over the runs of all."""
    with Client(address) as client:
        experiment = client.get_experiment_by_name("cars")
        assert experiment is not None
        best = []
        for language in languages:
            found = client.search_runs(
                [experiment.experiment_id],
                f"tags.language = '{language}' AND metrics.r2 IS NOT NULL",
                max_results=1,
                order_by=["metrics.r2 DESC"],
            )
            if not found:
                raise SystemExit(f"the example of {language} left no run with r2")
            best += found
        print_table("the best run of each language", best)
        print(
            f'\nsearch_runs(experiment_names=["cars"], filter_string="{QUERY}", order_by=["metrics.r2 DESC"])'
        )
        matching = client.search_runs(
            [experiment.experiment_id], QUERY, max_results=10, order_by=["metrics.r2 DESC"]
        )
        print_table("the ten best that match it", matching)


def print_table(title: str, runs: list[Run]) -> None:
    """Prints runs."""
    table = Table(title=title, title_justify="left")
    for column in ("language", "run", "model", "r2", "mse, first and last", "points", "seconds"):
        table.add_column(column)
    for run in runs:
        mse = run.data.metric_summaries.get("mse")
        ended = run.info.end_time or run.info.start_time or 0
        table.add_row(
            run.data.tags.get("language", ""),
            run.info.run_name,
            run.data.params.get("model", ""),
            f"{run.data.metrics['r2']:.4f}",
            f"{mse.first:.3f} -> {mse.value:.3f}" if mse else "",
            str(sum(one.count for one in run.data.metric_summaries.values())),
            f"{(ended - (run.info.start_time or ended)) / 1000:.1f}",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    print(f"runwire {runwire.__version__}")
    main()
