"""The figures of clients, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.bench.client_figures import Figures
from tests.bench.installs import Installation
from tests.bench.packages import Size

# What is promised: microseconds of a call that logs, points a second in bulk, seconds of an installation.
CALL_GOALS: Final = {"python": 0.7, "java": 0.3, "scala": 0.3, "r": 3.0}
BULK_GOAL: Final = 1_000_000
# What the points/s of the clients are compared with, in the same run.
PEER: Final = "MLflow, Python"
INSTALL_GOAL_S: Final = 60.0


def markdown(
    known: Mapping[str, str],
    rows: Sequence[Figures],
    sizes: Sequence[Size],
    installations: Sequence[Installation],
) -> str:
    """Returns the report.

    Args:
        known: Facts of the machine.
        rows: Figures, a row each.
        sizes: Of packages.
        installations: Of packages that are compiled as they are installed.
    """
    lines = [f"- {name}: {fact}" for name, fact in known.items()]
    columns = (
        "client",
        "`log_metric` call",
        "points/s one by one",
        "points/s in arrays",
        "memory while away",
    )
    lines += ["", f"| {' | '.join(columns)} |"]
    peer = next((row for row in rows if row.name == PEER), None)
    lines += ["| --- | --- | --- | --- | --- |", *(_row(row, peer) for row in rows)]
    if sizes:
        lines += ["", "| package | MiB | |", "| --- | --- | --- |"]
    lines += [f"| {size.name} | {size.bytes / 2**20:.2f} | {size.what} |" for size in sizes]
    if installations:
        lines += ["", "| installation | s | s of CPU |", "| --- | --- | --- |"]
    lines += map(_installed, installations)
    return "\n".join(lines)


def _installed(found: Installation) -> str:
    verdict = f"(< {INSTALL_GOAL_S:g}: {_verdict(found.wall_s < INSTALL_GOAL_S)})"
    return f"| {found.name} | {found.wall_s:.0f} {verdict} | {found.cpu_s:.0f} |"


def _row(row: Figures, peer: Figures | None) -> str:
    """Medians with their ranges, beside the goals and the peer."""
    call, single, bulk = _range(row.call_us, _time), _range(row.calls_per_s), _range(row.bulk_per_s)
    if row.name in CALL_GOALS:
        goal = CALL_GOALS[row.name]
        call += f"; <= {goal:g}: {_verdict(statistics.median(row.call_us) <= goal)}"
        if peer:
            single += f"; {_ratio(row.calls_per_s, peer.calls_per_s)}"
            bulk += f"; {_ratio(row.bulk_per_s, peer.bulk_per_s)}"
        bulk += f"; >= {_count(BULK_GOAL)}: {_verdict(statistics.median(row.bulk_per_s) >= BULK_GOAL)}"
    away = f"{max(row.away_mib):.0f} MiB" if row.away_mib else ""
    return f"| {row.name} | {call} | {single} | {bulk} | {away} |"


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    return f"{statistics.median(ours) / statistics.median(theirs):,.0f} x {PEER}"


def _verdict(met: bool) -> str:
    return "met" if met else "**missed**"


def _time(microseconds: float) -> str:
    return f"{microseconds / 1000:.1f} ms" if microseconds >= 1000 else f"{microseconds:.2f} us"


def _count(number: float) -> str:
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number:,.0f}"


def _range(taken: Sequence[float], text: Callable[[float], str] = _count) -> str:
    middle = text(statistics.median(taken))
    return middle if len(taken) == 1 else f"{middle} ({text(min(taken))} - {text(max(taken))})"
