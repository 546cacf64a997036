"""What is kept of a series: its summary, exactly, also beside columns that can not carry all doubles."""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

from runwire.v1 import run_pb2

_BITS = struct.Struct("<4d")


class Summary(NamedTuple):
    """What is kept of a series; the columns of `metric_series` by name.

    `min`, `max` and their steps are None when all points are NaN.
    """

    count: int  # type: ignore[assignment]  # the column's name; nobody wants tuple.count
    nan_count: int
    latest: float
    latest_step: int
    latest_time: int
    min: float | None
    min_step: int | None
    max: float | None
    max_step: int | None
    first: float
    first_step: int
    first_time: int


def bits(summary: Summary) -> bytes | None:
    """Returns the doubles (latest, min, max, first) as bytes if a REAL column can not carry them all.

    SQLite turns NaN into NULL and -0.0 into 0.0.
    """
    latest, low, high, first = summary.latest, summary.min, summary.max, summary.first
    if low is None or high is None:
        return _BITS.pack(latest, 0.0, 0.0, first)
    # Neither NaN nor any zero: nearly all of them.
    if latest and low and high and first and latest == latest and first == first:
        return None
    numbers = (latest, low, high, first)
    if all(v == v and (v or math.copysign(1.0, v) > 0) for v in numbers):
        return None
    return _BITS.pack(*numbers)


def exact(summary: Summary, data: bytes | None) -> Summary:
    """Puts the doubles that `bits` kept back into a summary read from SQL."""
    if data is None:
        return summary
    latest, low, high, first = _BITS.unpack(data)
    bounded = summary.min_step is not None
    return summary._replace(
        latest=latest, min=low if bounded else None, max=high if bounded else None, first=first
    )


def add_to(run: run_pb2.Run, key: str, summary: Summary) -> None:
    """Adds a summary to a run as the API shows it."""
    run.metrics.add(
        key=key,
        value=summary.latest,
        step=summary.latest_step,
        timestamp_ms=summary.latest_time,
        count=summary.count,
        nan_count=summary.nan_count,
        min_value=summary.min,
        min_step=summary.min_step,
        max_value=summary.max,
        max_step=summary.max_step,
        first_value=summary.first,
        first_step=summary.first_step,
        first_timestamp_ms=summary.first_time,
    )
