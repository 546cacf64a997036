"""The table, and the same as JSON."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.load import Sample
from tests.bench.rows import COLUMNS, DISK, RUNWIRE, Goal, Row

# The samples of a row, one for each repetition, by column.
Samples = Mapping[str, Sequence[Sample]]

_WIDTHS = (8, 42, 16, 20, 12, 22, 20)

_LEGEND = """\
A figure is the median over the repetitions, with their range below it; ms is the median time of a call.
(N x): Runwire is N times as fast. The limits: the empty handler is a grpc.aio server that takes bytes and
returns none, called by the same code; fdatasync is a 4 KiB page appended and synced on the same disk."""


def table(facts: Mapping[str, str], results: Sequence[tuple[Row, Samples]]) -> str:
    """Returns the report as text."""
    lines = [f"{name:<12}{fact}" for name, fact in facts.items()]
    lines += ["", _LEGEND, "", _line(["row", "what", *COLUMNS, "goal"])]
    for row, samples in results:
        lines += _row(row, samples)
    met = [verdict for row, samples in results for verdict in _verdicts(row, samples)]
    lines += ["", f"goals met: {met.count(True)} of {len(met)}"]
    return "\n".join(lines)


def as_json(facts: Mapping[str, str], results: Sequence[tuple[Row, Samples]]) -> dict[str, Any]:
    """Returns the report for machines, with every sample."""
    return {"facts": dict(facts), "rows": [_row_as_json(row, samples) for row, samples in results]}


def _medians(row: Row, samples: Samples) -> dict[str, float]:
    return {
        column: statistics.median(row.figure(sample) for sample in taken)
        for column, taken in samples.items()
        if taken
    }


def _bound(goal: Goal, medians: Mapping[str, float]) -> float | None:
    """Returns what a goal comes to; None if a column that it needs was not measured."""
    return goal.bound(medians) if all(column in medians for column in goal.needs) else None


def _met(row: Row, goal: Goal, medians: Mapping[str, float]) -> bool | None:
    bound = _bound(goal, medians)
    if bound is None or RUNWIRE not in medians:
        return None
    return medians[RUNWIRE] <= bound if row.timed else medians[RUNWIRE] >= bound


def _verdicts(row: Row, samples: Samples) -> list[bool]:
    medians = _medians(row, samples)
    return [met for goal in row.goals if (met := _met(row, goal, medians)) is not None]


def _row(row: Row, samples: Samples) -> list[str]:
    """Returns the lines of a row: figures, ranges, and goals beside both."""
    medians = _medians(row, samples)
    figures, ranges = [], []
    for column in COLUMNS:
        figures.append(_figure(row, column, medians))
        taken = [row.figure(sample) for sample in samples.get(column, ())]
        ranges.append(f"{_number(min(taken))}-{_number(max(taken))}" if len(taken) > 1 else "")
    clients = f"{row.clients} client{'s' if row.clients > 1 else ''}, {row.unit}"
    goals = [_goal(row, goal, medians) for goal in row.goals] + ["", ""]
    lines = [[row.name, row.title, *figures, goals[0]], ["", clients, *ranges, goals[1]]]
    return [_line(line) for line in lines] + [""]


def _figure(row: Row, column: str, medians: Mapping[str, float]) -> str:
    if column not in medians:
        return "-" if column in row.columns else ""
    text = _number(medians[column])
    if column in (RUNWIRE, DISK) or RUNWIRE not in medians:
        return text
    return f"{text} ({_number(row.ratio(medians[RUNWIRE], medians[column]))} x)"


def _goal(row: Row, goal: Goal, medians: Mapping[str, float]) -> str:
    bound = _bound(goal, medians)
    if bound is None:
        return f"{goal.text}: not measured"
    verdict = "met" if _met(row, goal, medians) else "NOT MET"
    return f"{'<=' if row.timed else '>='} {_number(bound)} ({goal.text}): {verdict}"


def _number(value: float) -> str:
    """Three digits at least."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    fixed = [f"{cell:<{width}}" for cell, width in zip(cells, _WIDTHS, strict=False)]
    return ("".join(fixed) + cells[-1]).rstrip()


def _row_as_json(row: Row, samples: Samples) -> dict[str, Any]:
    medians = _medians(row, samples)
    return {
        "name": row.name,
        "title": row.title,
        "clients": row.clients,
        "unit": row.unit,
        "medians": medians,
        "goals": [
            {"text": goal.text, "bound": _bound(goal, medians), "met": _met(row, goal, medians)}
            for goal in row.goals
        ],
        "samples": {
            column: [{"figure": row.figure(sample), **dataclasses.asdict(sample)} for sample in taken]
            for column, taken in samples.items()
        },
    }
