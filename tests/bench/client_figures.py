"""Figures of clients, taken by its conformance driver: through its public API, alike in all languages."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.conformance.drivers import Driver

_AWAY: Final = "runwire://127.0.0.1:1"
# So few that buffers have room for them: what is timed is the call, and not what waits for it.
_CALLS: Final = 20_000
_POINTS: Final = 500_000
_SERIES: Final = 100_000


@dataclass
class Figures:
    """What was measured of a client, round by round.

    Attributes:
        name: Its row.
        call_us: Times of a call that logs a point, microseconds.
        calls_per_s: Points a second that are logged one by one, until all are on the server's disk.
        bulk_per_s: The same of arrays, or of the largest batches that the client has.
        away_mib: By how much the process grew at most while it logged a million points and the server was
            away; empty where the client can not.
    """

    name: str
    call_us: list[float]
    calls_per_s: list[float]
    bulk_per_s: list[float]
    away_mib: list[float] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Takes over what another pass measured."""
        self.call_us += other.call_us
        self.calls_per_s += other.calls_per_s
        self.bulk_per_s += other.bulk_per_s
        self.away_mib += other.away_mib


def together(passes: Iterable[Figures]) -> list[Figures]:
    """Joins what several passes measured of the same clients, in the order in which they came first."""
    rows: dict[str, Figures] = {}
    for one in passes:
        if one.name in rows:
            rows[one.name].add(one)
        else:
            rows[one.name] = one
    return list(rows.values())


def measured(language: str, address: str, folder: Path, scale: float) -> Figures:
    """Measures a client once; what warms up compilers and caches is left out.

    Args:
        language: Its language.
        address: `host:port` of a server.
        folder: Where its spools go.
        scale: Which share of the usual amounts is logged.
    """
    # A service's JVM compiles what runs long.
    driver = Driver(language, folder, {"COMPILER_TIERS": "4"})
    try:
        ask(driver, "connect", address=f"runwire://{address}", spool_dir=str(folder / "spools"))
        run = ask(driver, "begin_run", experiment_id="0")["run_id"]
        ask(driver, "flush")
        calls = list(_calls(driver, run, int(_CALLS * scale), rounds=24))[15:]
        rates = list(_rates(driver, run, int(_POINTS * scale), rounds=4))[1:]
        bulk = list(_bulk(driver, run, int(_SERIES * scale), rounds=5))[2:]
        ask(driver, "close", timeout=60)
        away = _away(driver, str(folder / "away"), int(2 * _POINTS * scale))
    finally:
        driver.kill()
        driver.stop()
    return Figures(language, calls, rates, bulk, [away])


def ask(driver: Driver, op: str, patience: float = 300.0, **args: Any) -> Any:
    """Has a driver do an op, which must not fail."""
    answer = driver.ask(op, args, patience)
    # An answer that is null may be left out.
    if answer.keys() & {"error", "unsupported"}:
        raise RuntimeError(f"{driver.language}: {op} failed: {answer}")
    return answer.get("ok")


def _calls(driver: Driver, run: str, count: int, rounds: int) -> Iterator[float]:
    """Times calls of `log_metric`, microseconds of each."""
    for number in range(rounds):
        began = time.perf_counter()
        ask(driver, "log_many", run_id=run, key="call", first_step=str(number * count), count=count)
        yield (time.perf_counter() - began) / count * 1e6
        ask(driver, "flush")


def _rates(driver: Driver, run: str, count: int, rounds: int) -> Iterator[float]:
    """Times many calls of `log_metric` with the flush behind them: points a second."""
    for number in range(rounds):
        began = time.perf_counter()
        ask(driver, "log_many", run_id=run, key="loop", first_step=str(number * count), count=count)
        ask(driver, "flush")
        yield count / (time.perf_counter() - began)


def _bulk(driver: Driver, run: str, size: int, rounds: int) -> Iterator[float]:
    """Times `log_series` of twenty arrays, with the flush: points a second."""
    for number in range(rounds):
        began = time.perf_counter()
        ask(driver, "log_bulk", run_id=run, key=f"bulk-{number}", count=size, times=20)
        ask(driver, "flush")
        yield size * 20 / (time.perf_counter() - began)


def _away(driver: Driver, spools: str, count: int) -> float:
    """Logs while there is no server, and returns by how much the process grew at most, MiB."""
    ask(driver, "connect", client="away", address=_AWAY, spool_dir=spools)
    run = ask(driver, "begin_run", client="away", experiment_id="0")["run_id"]
    # The most from now on.
    Path(f"/proc/{driver.pid}/clear_refs").write_text("5")
    before = _most_resident(driver.pid)
    ask(driver, "log_many", client="away", run_id=run, key="away", first_step="0", count=count)
    return max(0.0, _most_resident(driver.pid) - before)


def _most_resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
