"""How the command line shows things: tables for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from runwire._plot import plot
from runwire.curves import MetricCurve
from runwire.entities import Experiment, Metric, MetricHistory, PurgeResult, Run, StorageStats

# In a pipe nothing is cut off, and nobody scrolls sideways.
_PIPE_WIDTH: Final = 400
_STYLES: Final = {
    "RUNNING": "cyan",
    "FINISHED": "green",
    "FAILED": "red",
    "KILLED": "yellow",
    "deleted": "dim",
}
# A search shows these many metrics and params as columns at most.
_COLUMNS: Final = 6


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def as_json(found: Any) -> None:
    """Prints a result as JSON; NaN and infinities, which it lacks, are texts: NaN, Infinity, -Infinity."""
    print(json.dumps(_plain(found), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(thing: Any) -> Any:
    if isinstance(thing, Run):
        return _plain(thing.to_dictionary())
    if isinstance(thing, MetricHistory):
        points = [{"step": p.step, "timestamp": p.timestamp, "value": p.value} for p in thing]
        return _plain({"run_id": thing.run_id, "key": thing.key, "points": points})
    if isinstance(thing, MetricCurve):
        fields = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
        return _plain({name: v.tolist() if hasattr(v, "tolist") else v for name, v in fields.items()})
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return _plain(dataclasses.asdict(thing))
    if isinstance(thing, Mapping):
        return {key: _plain(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [_plain(value) for value in thing]
    if isinstance(thing, float) and not math.isfinite(thing):
        return "NaN" if math.isnan(thing) else ("Infinity" if thing > 0 else "-Infinity")
    return thing


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms"  # Beyond the years that Python counts.


def _styled(text: str) -> str:
    style = _STYLES.get(text)
    return f"[{style}]{text}[/{style}]" if style else escape(text)


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(escape(header), no_wrap=header in ("id", "status", "started"), overflow="fold")
    return table


def _print(table: Table, what: str) -> None:
    if table.row_count:
        _console().print(table)
    else:
        # On stderr, so that a program that counts lines counts none.
        print(f"no {what}", file=sys.stderr)


def experiments(found: Sequence[Experiment]) -> None:
    """Prints experiments, one a line."""
    table = _table("id", "name", "stage", "updated", "tags")
    for one in found:
        table.add_row(
            one.experiment_id,
            escape(one.name),
            _styled(one.lifecycle_stage),
            _time(one.last_update_time),
            escape(_pairs(one.tags.items())),
        )
    _print(table, "experiments")


def experiment(found: Experiment) -> None:
    """Prints one experiment."""
    _fields(
        [
            ("experiment_id", found.experiment_id),
            ("name", found.name),
            ("lifecycle_stage", found.lifecycle_stage),
            ("created", _time(found.creation_time)),
            ("updated", _time(found.last_update_time)),
            *((f"tags.{key}", value) for key, value in found.tags.items()),
        ]
    )


def runs(found: Sequence[Run]) -> None:
    """Prints runs, one a line, with the first few of their metrics and params as columns."""
    metrics = sorted({key for run in found for key in run.data.metrics})[:_COLUMNS]
    params = sorted({key for run in found for key in run.data.params})[:_COLUMNS]
    table = _table("id", "name", "status", "started", *metrics, *params)
    for one in found:
        stage = one.info.lifecycle_stage
        table.add_row(
            one.info.run_id,
            escape(one.info.run_name),
            _styled(stage if stage == "deleted" else one.info.status),
            _time(one.info.start_time),
            *(f"{one.data.metrics[key]:.6g}" if key in one.data.metrics else "" for key in metrics),
            *(escape(one.data.params.get(key, "")) for key in params),
        )
    _print(table, "runs")


def run(found: Run) -> None:
    """Prints one run."""
    info, data = found.info, found.data
    _fields(
        [
            ("run_id", info.run_id),
            ("name", info.run_name),
            ("experiment_id", info.experiment_id),
            ("status", info.status),
            ("lifecycle_stage", info.lifecycle_stage),
            ("started", _time(info.start_time)),
            ("ended", _time(info.end_time)),
            ("parent_run_id", info.parent_run_id or ""),
            *((f"params.{key}", value) for key, value in data.params.items()),
            *((f"tags.{key}", value) for key, value in data.tags.items()),
            *(("dataset", _pairs(_described(one).items())) for one in found.inputs.dataset_inputs),
        ]
    )
    if data.metric_summaries:
        print()
        table = _table("metric", "latest", "step", "min", "max", "points")
        for one in data.metric_summaries.values():
            low, high = ("" if v is None else f"{v:.6g}" for v in (one.min, one.max))
            table.add_row(escape(one.key), f"{one.value:.6g}", str(one.step), low, high, str(one.count))
        _console().print(table)


def _described(one: Any) -> dict[str, str]:
    return {"name": one.dataset.name, "digest": one.dataset.digest, "context": one.context}


def history(found: MetricHistory) -> None:
    """Prints points, one a line."""
    table = _table("step", "time", "value")
    for point in found:
        table.add_row(str(point.step), _time(point.timestamp), repr(point.value))
    _print(table, "points")


def curve(found: MetricHistory) -> None:
    """Draws points."""
    title = f"{found.key}  ({len(found)} points)"
    print(plot(found.steps.tolist(), found.values.tolist(), width=_plot_width(), title=title))


def _plot_width() -> int:
    return min(Console().width if sys.stdout.isatty() else 80, 120)


def plots(found: Sequence[MetricCurve]) -> None:
    """Draws curves, one below the other."""
    for one in found:
        xs, values = one.line()
        print(plot(xs, values, width=_plot_width(), title=f"{one.key}  ({one.points} points)"))


def curves(found: Sequence[MetricCurve]) -> None:
    """Prints the buckets of curves, one a line."""
    names = ("first_x", "last_x", "first", "min", "max", "last", "count")
    table = _table("metric", *(name.replace("_x", f" {found[0].axis}") for name in names))
    for one in found:
        for bucket in zip(*(getattr(one, name).tolist() for name in names), strict=True):
            table.add_row(escape(one.key), *map(repr, bucket))
    _print(table, "points")


def point_line(point: Metric) -> None:
    """Prints a point on a line, at once."""
    print(f"{_time(point.timestamp)}  {point.step:>8}  {point.key}  {point.value!r}", flush=True)


def json_line(point: Metric) -> None:
    """Prints a point as an object on a line, at once."""
    print(json.dumps(_plain(point), ensure_ascii=False, allow_nan=False), flush=True)


def storage(found: StorageStats) -> None:
    """Prints what the store holds."""
    table = _table("part", "rows", "points", "bytes", "bytes/point")
    for part in found.parts:
        share = f"{part.bytes / part.points:.2f}" if part.points else ""
        table.add_row(part.name, *(f"{number:,}" for number in (part.rows, part.points, part.bytes)), share)
    _console().print(table)
    print()
    _fields(
        [
            ("points", f"{found.points:,}"),
            ("backlog", f"{found.backlog_bytes:,} bytes to compact"),
            ("database", f"{found.database_bytes:,} bytes"),
            ("write-ahead log", f"{found.wal_bytes:,} bytes"),
        ]
    )


def purged(found: PurgeResult) -> None:
    """Prints what a purge removed."""
    print(f"removed {found.runs} runs and {found.experiments} experiments")


def _pairs(items: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{key}={value}" for key, value in items if value)


def _fields(fields: Iterable[tuple[str, str]]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        if value:
            table.add_row(
                escape(name), _styled(value) if name in ("status", "lifecycle_stage") else escape(value)
            )
    _console().print(table)
