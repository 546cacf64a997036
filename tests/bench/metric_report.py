"""The tables of the metric benchmarks, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.metric_bench import (
    FASTTRACKML,
    LIMIT,
    MLFLOW,
    ONE_PROCESS,
    RUNWIRE,
    TWO_PROCESSES,
    Measured,
    Row,
)

# What was measured of a row, by column.
Samples = Mapping[str, Sequence[Measured]]
Results = Sequence[tuple[Row, Samples]]

_OTHERS = (FASTTRACKML, MLFLOW, LIMIT)
_LEGEND = f"""\
Medians, with the range in brackets where there are several. `N x`: Runwire is so many times as fast.
{LIMIT}: the same bytes as blobs inserted by its bare driver, the better of a commit for each frame and of
8 MiB a commit. Two processes of Runwire on PostgreSQL share the clients, of which each has one at least."""


def medians(row: Row, samples: Samples) -> dict[str, float]:
    """Returns the median of each column, and of each `column.fact`."""
    found: dict[str, float] = {}
    for column, taken in samples.items():
        if taken:
            found[column] = statistics.median(one.figure for one in taken)
            for fact in taken[0].beside:
                found[f"{column}.{fact}"] = statistics.median(one.beside[fact] for one in taken)
    return found


def markdown(facts: Mapping[str, str], results: Results) -> str:
    """Returns the whole report."""
    lines = [f"- {name}: {fact}" for name, fact in facts.items()]
    lines += ["", _LEGEND, ""]
    lines += [_line(["work", RUNWIRE, *_OTHERS, "goal"]), _line(["---"] * 6)]
    lines += [_line(_cells(row, samples)) for row, samples in results]
    lines += _postgres(results)
    lines += ["", "Beside them:", ""]
    lines += [line for row, samples in results for line in _beside(row, samples)]
    verdicts = [met for row, samples in results for _, met in judged(row, samples) if met is not None]
    lines += ["", f"Goals met: {verdicts.count(True)} of {len(verdicts)}."]
    return "\n".join(lines)


def judged(row: Row, samples: Samples) -> list[tuple[str, bool | None]]:
    """Returns the goals of a row with their verdicts."""
    found = medians(row, samples)
    return [(goal.text, goal.met(found)) for goal in row.goals]


def as_json(facts: Mapping[str, str], results: Results) -> dict[str, Any]:
    """Returns the report for machines, with every sample."""
    return {
        "facts": dict(facts),
        "rows": [
            {
                "name": row.name,
                "title": row.title,
                "unit": row.unit,
                "medians": medians(row, samples),
                "goals": [{"text": text, "met": met} for text, met in judged(row, samples)],
                "samples": {
                    column: [{"figure": one.figure, **one.beside} for one in taken]
                    for column, taken in samples.items()
                },
            }
            for row, samples in results
        ],
    }


def _cells(row: Row, samples: Samples) -> list[str]:
    found = medians(row, samples)
    others = [_other(row, column, found) for column in _OTHERS]
    words = {True: "met", False: "**missed**", None: "not measured"}
    goals = "; ".join(f"{text}: {words[met]}" for text, met in judged(row, samples))
    return [row.title, f"{_figure(samples.get(RUNWIRE, ()))} {row.unit}", *others, goals]


def _other(row: Row, column: str, found: Mapping[str, float]) -> str:
    if column not in found:
        return ""
    text = number(found[column])
    if RUNWIRE not in found:
        return text
    if column == LIMIT:
        return f"{text} ({found[RUNWIRE] / found[column]:.0%})"
    ratio = found[column] / found[RUNWIRE] if row.less else found[RUNWIRE] / found[column]
    return f"{text} ({number(ratio)} x)"


def _figure(taken: Sequence[Measured]) -> str:
    if not taken:
        return "-"
    figures = sorted(one.figure for one in taken)
    text = number(statistics.median(figures))
    return f"{text} ({number(figures[0])} - {number(figures[-1])})" if len(figures) > 1 else text


def _postgres(results: Results) -> list[str]:
    columns = (ONE_PROCESS, TWO_PROCESSES)
    lines = [
        _line([f"{row.title}, {row.unit}", *(_figure(samples[column]) for column in columns)])
        for row, samples in results
        if all(samples.get(column) for column in columns)
    ]
    if not lines:
        return []
    heads = [f"{column} on PostgreSQL" for column in columns]
    return ["", _line(["work", *heads]), _line(["---"] * 3), *lines]


def _beside(row: Row, samples: Samples) -> list[str]:
    lines = []
    found = medians(row, samples)
    for column in samples:
        prefix = f"{column}."
        facts = [
            f"{name.removeprefix(prefix).replace('_', ' ')} {number(value)}"
            for name, value in found.items()
            if name.startswith(prefix)
        ]
        if facts and column not in _OTHERS:
            lines.append(f"- {row.name}, {column}: {', '.join(facts)}")
    return lines


def number(value: float) -> str:
    """Writes a number with three digits at least."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.2f} M"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
