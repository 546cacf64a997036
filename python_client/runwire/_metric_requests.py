"""Builds the calls that read curves, watch runs and look after the store, and reads their answers."""

from __future__ import annotations

import array
from collections.abc import Iterable, Sequence
from typing import Any, Final

from runwire import _convert, _values, curves, entities
from runwire._requests import Call
from runwire.v1 import metric_pb2, server_pb2

_AXES: Final = {"step": metric_pb2.CURVE_AXIS_STEP, "time": metric_pb2.CURVE_AXIS_TIME}
_PLACES: Final = ("first_x", "last_x", "min_x", "max_x")
_COUNTS: Final = ("count", "nan_count")
_FLOATS: Final = ("first", "last", "min", "max")


def metric_curves(
    wanted: Iterable[Sequence[str]],
    max_points: int,
    axis: str,
    min_x: int | None,
    max_x: int | None,
) -> Call[list[curves.MetricCurve]]:
    """Builds GetMetricCurve.

    Args:
        wanted: Pairs of a run and a key.
        max_points: Most buckets of a curve.
        axis: `step` or `time`.
        min_x: Least x, or None.
        max_x: Greatest x, or None.

    Raises:
        ValueError: The axis is neither, or what is wanted are no pairs.
    """
    if axis not in _AXES:
        raise ValueError(f"axis must be 'step' or 'time', and is {axis!r}")
    request = metric_pb2.GetMetricCurveRequest(
        series=[_series(pair) for pair in wanted],
        max_points=_values.integer("max_points", max_points),
        axis=_AXES[axis],
        min_x=None if min_x is None else _values.integer("min_x", min_x),
        max_x=None if max_x is None else _values.integer("max_x", max_x),
    )

    def convert(answers: Iterable[metric_pb2.GetMetricCurveResponse]) -> list[curves.MetricCurve]:
        return [_curve(message, axis) for answer in answers for message in answer.curves]

    return Call("MetricService", "GetMetricCurve", request, convert, streaming=True)


def pairs(
    wanted: Iterable[Sequence[str]] | None, run_ids: Iterable[str], keys: Iterable[str]
) -> list[Sequence[str]]:
    """Lists the series that a caller wants.

    Args:
        wanted: Pairs of a run and a key; or None, and
        run_ids: runs, each with all of
        keys: these keys.

    Raises:
        ValueError: Both are given, or neither.
    """
    runs, names = _values.texts("run_ids", run_ids), _values.texts("keys", keys)
    if wanted is not None and not runs and not names:
        return list(wanted)
    if wanted is not None or not runs or not names:
        raise ValueError("give either series, pairs of a run id and a key, or run_ids and keys")
    return [(run, key) for run in runs for key in names]


def _series(pair: Sequence[str]) -> metric_pb2.Series:
    if isinstance(pair, str) or len(pair) != 2:
        raise ValueError(f"a series is a pair of a run id and a key, and not {pair!r}")
    return metric_pb2.Series(run_id=pair[0], key=pair[1])


def _curve(message: metric_pb2.Curve, axis: str) -> curves.MetricCurve:
    columns = [
        *(_convert.packed("q", metric_pb2.Curve(), name, message) for name in _PLACES),
        *(_convert.packed("d", metric_pb2.Curve(), name, message) for name in _FLOATS),
        *(array.array("q", getattr(message, name)) for name in _COUNTS),
    ]
    named = dict(zip(_PLACES + _FLOATS + _COUNTS, _convert.as_numpy(columns), strict=True))
    return curves.MetricCurve(
        message.series.run_id, message.series.key, axis=axis, points=message.points, **named
    )


def watch(
    run_ids: Iterable[str], keys: Iterable[str], cursor: str | None, from_start: bool
) -> Call[curves.MetricEvent]:
    """Builds WatchMetrics; what it converts is one message of the stream."""
    request = metric_pb2.WatchMetricsRequest(
        run_ids=_values.texts("run_ids", run_ids),
        keys=_values.texts("keys", keys),
        cursor=cursor or "",
        from_start=from_start,
    )
    return Call("MetricService", "WatchMetrics", request, _event, streaming=True)


def _event(message: metric_pb2.WatchMetricsResponse) -> curves.MetricEvent:
    return curves.MetricEvent(
        tuple(_new_points(part) for part in message.blocks), message.cursor, tuple(message.resync_run_ids)
    )


def _new_points(part: Any) -> curves.NewPoints:
    block, width = part.block, len(part.block.keys)
    values = _convert.values(block)
    columns: list[Any] = [_convert.steps(block), _convert.times(block)]
    columns += [values[index::width] for index in range(width)]
    steps, times, *found = _convert.as_numpy(columns)
    return curves.NewPoints(part.run_id, steps, times, dict(zip(block.keys, found, strict=True)))


def heartbeat(run_ids: Iterable[str]) -> Call[list[str]]:
    """Builds Heartbeat."""
    request = metric_pb2.HeartbeatRequest(run_ids=_values.texts("run_ids", run_ids))
    return Call("MetricService", "Heartbeat", request, lambda answer: list(answer.run_ids))


def storage_stats() -> Call[entities.StorageStats]:
    """Builds GetStorageStats."""

    def convert(answer: server_pb2.GetStorageStatsResponse) -> entities.StorageStats:
        return entities.StorageStats(
            parts=tuple(entities.StoragePart(p.name, p.rows, p.points, p.bytes) for p in answer.parts),
            points=answer.points,
            backlog_bytes=answer.backlog_bytes,
            database_bytes=answer.database_bytes,
            wal_bytes=answer.wal_bytes,
        )

    return Call("ServerService", "GetStorageStats", server_pb2.GetStorageStatsRequest(), convert)
