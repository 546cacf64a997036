"""What the clients of all languages do, by their conformance drivers, beside MLflow's Python client.

    python -m tests.bench.bench_clients [--quick] [--client LANGUAGE] [--no-peers] [--json FILE]

Prints Markdown. Each figure is the median of several rounds, taken on one server and on one disk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench import facts, peers
from tests.bench.__main__ import say
from tests.conformance.drivers import ROOT, Driver, build, languages
from tests.support.server import ServerProcess

# What the language's users are promised: microseconds of a log call, points a second in bulk.
CALL_GOALS: Final = {"python": 0.7, "java": 0.3, "scala": 0.3, "r": 3.0}
BULK_GOAL: Final = 1_000_000
_AWAY: Final = "runwire://127.0.0.1:1"
_ARTIFACTS: Final = {
    "java": ("clients/java/target", ("runwire-client-*.jar",)),
    "java, shaded": ("clients/java-shaded/target", ("runwire-client-shaded-*.jar",)),
    "scala": ("clients/scala/2.13/target", ("runwire-*.jar",)),
}


@dataclass(frozen=True)
class Figures:
    """What was measured of a client.

    Attributes:
        name: Its row.
        call_us: Median time of a `log_metric` call, microseconds.
        calls_per_s: Points a second, from the first call to the end of the flush.
        bulk_per_s: The same of arrays.
        away_mib: How much the process grew while the server was away and a million points were logged.
    """

    name: str
    call_us: float
    calls_per_s: float
    bulk_per_s: float
    away_mib: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    options = parsed(arguments)
    scale = 0.02 if options.quick else 1.0
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-clients-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        known = facts.machine(folder)
        for language in languages():
            if options.client in ("", language):
                say(language)
                build(language)
                with ServerProcess(folder / f"{language}-data") as server:
                    rows.append(measured(language, server.address, folder / language, scale))
        if not options.no_peers:
            rows += mlflow(folder, scale)
    say("")
    print(markdown(known, rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.bench_clients", description="Measures clients."
    )
    parser.add_argument("--quick", action="store_true", help="small amounts, to see that it works")
    parser.add_argument("--client", default="", help="only this language")
    parser.add_argument("--no-peers", action="store_true", help="without MLflow")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args(arguments)


def measured(language: str, address: str, folder: Path, scale: float) -> Figures:
    """Measures a client by its driver."""
    driver = Driver(language, folder)
    try:
        spools = str(folder / "spools")
        ask(driver, "connect", address=f"runwire://{address}", spool_dir=spools)
        run = ask(driver, "begin_run", experiment_id="0")["run_id"]
        ask(driver, "flush")
        calls = list(_calls(driver, run, int(50_000 * scale), rounds=15))
        bulk = list(_bulk(driver, run, int(1_000_000 * scale), rounds=7))
        ask(driver, "close", timeout=60)
        away = _away(driver, str(folder / "away"), int(1_000_000 * scale))
        # The first rounds warm up compilers and caches.
        return Figures(
            language,
            statistics.median(call for call, _ in calls[5:]),
            statistics.median(rate for _, rate in calls[5:]),
            statistics.median(bulk[2:]),
            away,
        )
    finally:
        driver.kill()
        driver.stop()


def ask(driver: Driver, op: str, timeout: float = 300.0, **args: Any) -> Any:
    """Has a driver do an op that must not fail."""
    answer = driver.ask(op, args, timeout)
    if "ok" not in answer:
        raise RuntimeError(f"{driver.language}: {op} failed: {answer}")
    return answer["ok"]


def _calls(driver: Driver, run: str, count: int, rounds: int) -> Iterator[tuple[float, float]]:
    """Times `log_metric`: microseconds of a call, and points a second with the flush."""
    for number in range(rounds):
        began = time.perf_counter()
        ask(driver, "log_many", run_id=run, key="loop", first_step=str(number * count), count=count)
        logged = time.perf_counter()
        ask(driver, "flush")
        yield (logged - began) / count * 1e6, count / (time.perf_counter() - began)


def _bulk(driver: Driver, run: str, count: int, rounds: int) -> Iterator[float]:
    """Times `log_series` of arrays of 100,000, with the flush: points a second."""
    size = max(1, count // 10)
    for number in range(rounds):
        began = time.perf_counter()
        ask(driver, "log_bulk", run_id=run, key=f"bulk-{number}", count=size, times=10)
        ask(driver, "flush")
        yield size * 10 / (time.perf_counter() - began)


def _away(driver: Driver, spools: str, count: int) -> float:
    """Logs while there is no server, and returns by how much the process grew, MiB."""
    ask(driver, "connect", client="away", address=_AWAY, spool_dir=spools)
    run = ask(driver, "begin_run", client="away", experiment_id="0")["run_id"]
    before = _resident(driver.pid)
    ask(driver, "log_many", client="away", run_id=run, key="away", first_step="0", count=count)
    return max(0.0, _resident(driver.pid) - before)


def _resident(pid: int) -> float:
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


_MLFLOW: Final = """
import json, sys, time
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
count = int(sys.argv[2])
client = mlflow.MlflowClient()
run = client.create_run("0").info.run_id
began = time.perf_counter()
for step in range(count):
    client.log_metric(run, "loop", float(step), step=step)
calls = time.perf_counter() - began
from mlflow.entities import Metric
began = time.perf_counter()
for first in range(0, count * 20, 1000):
    client.log_batch(run, [Metric("bulk", float(s), 0, s) for s in range(first, first + 1000)])
bulk = time.perf_counter() - began
print(json.dumps([calls / count * 1e6, count / calls, (count * 20 + 999) // 1000 * 1000 / bulk]))
"""


def mlflow(folder: Path, scale: float) -> list[Figures]:
    """Measures MLflow's Python client against MLflow's server; nothing if they can not be installed."""
    peer = next(peer for peer in peers.PEERS if peer.name == "MLflow")
    data = folder / "mlflow"
    data.mkdir()
    try:
        with peers.running(peer, data) as address:
            say("MLflow")
            python = peers.install(peer) / "python"
            command = [str(python), "-c", _MLFLOW, f"http://{address}", str(max(20, int(1000 * scale)))]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (peers.PeerUnavailable, subprocess.CalledProcessError) as error:
        print(f"MLflow is left out: {error}", file=sys.stderr)
        return []
    call, rate, bulk = json.loads(done.stdout.strip().splitlines()[-1])
    return [Figures("MLflow, Python", call, rate, bulk, float("nan"))]


def sizes() -> dict[str, float]:
    """Measures what is installed of each client, where it is built: MiB."""
    found = {}
    for name, (folder, patterns) in _ARTIFACTS.items():
        files = [path for pattern in patterns for path in (ROOT / folder).glob(pattern)]
        whole = [path for path in files if not path.stem.endswith(("-sources", "-javadoc", "-tests"))]
        if whole:
            found[name] = max(path.stat().st_size for path in whole) / 2**20
    package = (ROOT / "python_client" / "runwire").rglob("*.py")
    found["python"] = sum(path.stat().st_size for path in package) / 2**20
    library = list((ROOT / "clients" / "r").rglob("*.so"))
    if library:
        found["r"] = library[0].stat().st_size / 2**20
    return found


def markdown(known: dict[str, str], rows: list[Figures]) -> str:
    """Returns the report."""
    lines = [f"- {name}: {fact}" for name, fact in known.items()]
    lines += [
        "",
        "| client | log call | goal | points/s, one by one | points/s, arrays | goal | growth while away |",
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for row in rows:
        goal = CALL_GOALS.get(row.name)
        away = "" if row.away_mib != row.away_mib else f"{row.away_mib:.0f} MiB"
        lines.append(
            f"| {row.name} | {row.call_us:.2f} us | {_verdict(goal, row.call_us, most=True)} | "
            f"{row.calls_per_s:,.0f} | {row.bulk_per_s:,.0f} | "
            f"{_verdict(BULK_GOAL if goal else None, row.bulk_per_s, most=False)} | {away} |"
        )
    lines += ["", "| package | MiB |", "|---|---|"]
    lines += [f"| {name} | {size:.2f} |" for name, size in sorted(sizes().items())]
    return "\n".join(lines)


def _verdict(goal: float | None, found: float, *, most: bool) -> str:
    if goal is None:
        return ""
    met = found <= goal if most else found >= goal
    return f"{'<=' if most else '>='} {goal:,g}: {'met' if met else 'not met'}"


if __name__ == "__main__":
    main()
