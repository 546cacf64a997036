"""The tables of the metric benchmarks, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

_OTHERS = (FASTTRACKML, MLFLOW, LIMIT)
_LEGEND = f"""\
Medians, with the range in brackets where there are several. `N x`: Runwire is so many times as fast.
{LIMIT}: the same bytes as blobs inserted by its bare driver, the better of a commit for each frame and of
8 MiB a commit. Two processes of Runwire on PostgreSQL share the clients, of which each has one at least."""


@dataclass
class Result:
    """What came of a row.

    Attributes:
        row: The row.
        samples: What was measured, by column.
        failures: What failed, by column; by the row's name if that was none of them.
        seconds: How long all of it took.
    """

    row: Row
    samples: dict[str, list[Measured]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


Results = Sequence[Result]


def medians(result: Result) -> dict[str, float]:
    """Returns the median of each column, and of each `column.fact`."""
    found: dict[str, float] = {}
    for column, taken in result.samples.items():
        if taken:
            found[column] = statistics.median(one.figure for one in taken)
            for fact in taken[0].beside:
                found[f"{column}.{fact}"] = statistics.median(one.beside[fact] for one in taken)
    return found


def markdown(facts: Mapping[str, str], results: Results) -> str:
    """Returns the whole report."""
    lines = [f"- {name}: {fact}" for name, fact in facts.items()]
    most = max((len(taken) for one in results for taken in one.samples.values()), default=0)
    lines.append(f"- repetitions: {most} at most, in {sum(one.seconds for one in results) / 60:.0f} minutes")
    lines += ["", _LEGEND, ""]
    lines += [_line(["work", RUNWIRE, *_OTHERS, "goal"]), _line(["---"] * 6)]
    lines += [_line(_cells(one)) for one in results]
    lines += _postgres(results)
    lines += ["", "Beside them:", ""]
    lines += [line for one in results for line in _beside(one)]
    failed = [f"- {one.row.name}, {what}: {why}" for one in results for what, why in one.failures.items()]
    lines += ["", "What failed:", "", *failed] if failed else []
    verdicts = [met for one in results for _, met in judged(one) if met is not None]
    lines += ["", f"Goals met: {verdicts.count(True)} of {len(verdicts)}."]
    return "\n".join(lines)


def judged(result: Result) -> list[tuple[str, bool | None]]:
    """Returns the goals of a row with their verdicts."""
    found = medians(result)
    return [(goal.text, goal.met(found)) for goal in result.row.goals]


def figure(result: Result) -> str:
    """Returns the figure of a row for a person, with its range."""
    return "failed" if RUNWIRE in result.failures else _figure(result.samples.get(RUNWIRE, ()))


def reason(error: Exception) -> str:
    """Returns what an error says, in a line."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    # Of a traceback, the last line says it.
    return f"{type(error).__name__}: {lines[-1].strip() if lines else ''}"


def as_json(facts: Mapping[str, str], results: Results) -> dict[str, Any]:
    """Returns the report for machines, with every sample."""
    return {
        "facts": dict(facts),
        "rows": [
            {
                "name": one.row.name,
                "title": one.row.title,
                "unit": one.row.unit,
                "seconds": one.seconds,
                "medians": medians(one),
                "goals": [{"text": text, "met": met} for text, met in judged(one)],
                "failures": one.failures,
                "samples": {
                    column: [{"figure": sample.figure, **sample.beside} for sample in taken]
                    for column, taken in one.samples.items()
                },
            }
            for one in results
        ],
    }


def _cells(result: Result) -> list[str]:
    row, found = result.row, medians(result)
    others = [_other(row, column, found) for column in _OTHERS]
    words = {True: "met", False: "**missed**", None: "not measured"}
    goals = "; ".join(f"{text}: {words[met]}" for text, met in judged(result))
    return [row.title, f"{figure(result)} {row.unit}", *others, goals]


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
        _line(
            [
                f"{one.row.title}, {one.row.unit}",
                *(_figure(one.samples.get(column, ())) for column in columns),
            ]
        )
        for one in results
        if any(one.samples.get(column) for column in columns)
    ]
    if not lines:
        return []
    heads = [f"{column} on PostgreSQL" for column in columns]
    return ["", _line(["work", *heads]), _line(["---"] * 3), *lines]


def _beside(result: Result) -> list[str]:
    lines = []
    found = medians(result)
    for column in result.samples:
        prefix = f"{column}."
        facts = [
            f"{name.removeprefix(prefix).replace('_', ' ')} {number(value)}"
            for name, value in found.items()
            if name.startswith(prefix)
        ]
        if facts and column not in _OTHERS:
            times = f"{len(result.samples[column])} x"
            lines.append(f"- {result.row.name}, {column} ({times}): {', '.join(facts)}")
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
