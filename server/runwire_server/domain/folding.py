"""Folding metric points into one summary for each series.

Order is (step, timestamp, arrival) throughout: latest is the last and first the first in it. NaN is
counted, can be latest or first, and is never minimum or maximum. Ties of minimum and maximum go
to the lowest step, and there to the first that arrived: 0.0 and -0.0 are equal, but not the same.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from runwire_server.domain.blocks import Doubles, Int64s, Points

_BITS = struct.Struct("<4d")
_INT64 = struct.Struct("<q")


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


def fold(blocks: Iterable[Points], stored: Mapping[str, Summary]) -> dict[str, Summary]:
    """Folds blocks, in order of arrival, into the stored summaries.

    Args:
        blocks: The new points.
        stored: The summaries so far of the keys in the blocks; keys without points are not in it.

    Returns:
        The new summaries of the keys in the blocks.
    """
    folded: dict[str, Summary] = {}
    for block in blocks:
        if block.rows == 1:
            _fold_row(block, stored, folded)
            continue
        for key, new in zip(block.keys, _reduce(block), strict=True):
            old = folded.get(key) or stored.get(key)
            folded[key] = merge(old, new) if old else new
    return folded


def _fold_row(block: Points, stored: Mapping[str, Summary], folded: dict[str, Summary]) -> None:
    """The common case of one step, in a microsecond a key: numpy costs more for small arrays."""
    (step,), (time,) = _INT64.unpack(block.packed_steps), _INT64.unpack(block.packed_times)
    values = struct.unpack(f"<{block.size}d", block.packed_values)
    for key, value in zip(block.keys, values, strict=True):
        old = folded.get(key) or stored.get(key)
        if old is None:
            folded[key] = _of_point(value, step, time)
            continue
        count, nans, latest, latest_step, latest_time = old[:5]
        low, low_step, high, high_step, first, first_step, first_time = old[5:]
        if value != value or low is None or low_step is None or high is None or high_step is None:
            folded[key] = merge(old, _of_point(value, step, time))
            continue
        if step > latest_step or (step == latest_step and time >= latest_time):
            latest, latest_step, latest_time = value, step, time
        if value < low or (value == low and step < low_step):
            low, low_step = value, step
        if value > high or (value == high and step < high_step):
            high, high_step = value, step
        if step < first_step or (step == first_step and time < first_time):
            first, first_step, first_time = value, step, time
        bounds = (low, low_step, high, high_step)
        latest_point = (latest, latest_step, latest_time)
        folded[key] = Summary._make((count + 1, nans, *latest_point, *bounds, first, first_step, first_time))


def _of_point(value: float, step: int, time: int) -> Summary:
    if value != value:
        return Summary(1, 1, value, step, time, None, None, None, None, value, step, time)
    return Summary(1, 0, value, step, time, value, step, value, step, value, step, time)


def merge(old: Summary, new: Summary) -> Summary:
    """Joins the summaries of earlier and of later arrived points."""
    latest = new if (new.latest_step, new.latest_time) >= (old.latest_step, old.latest_time) else old
    first = new if (new.first_step, new.first_time) < (old.first_step, old.first_time) else old
    low, high = _lower(old, new), _higher(old, new)
    return Summary(
        old.count + new.count,
        old.nan_count + new.nan_count,
        latest.latest,
        latest.latest_step,
        latest.latest_time,
        low.min,
        low.min_step,
        high.max,
        high.max_step,
        first.first,
        first.first_step,
        first.first_time,
    )


def _lower(old: Summary, new: Summary) -> Summary:
    if old.min is None or new.min is None:
        return old if new.min is None else new
    assert old.min_step is not None
    assert new.min_step is not None
    return new if (new.min, new.min_step) < (old.min, old.min_step) else old


def _higher(old: Summary, new: Summary) -> Summary:
    if old.max is None or new.max is None:
        return old if new.max is None else new
    assert old.max_step is not None
    assert new.max_step is not None
    return new if (-new.max, new.max_step) < (-old.max, old.max_step) else old


def _reduce(block: Points) -> list[Summary]:
    """Summarises each column of a block."""
    rows, width = block.values.shape
    order = np.lexsort((block.times, block.steps))
    steps, times, values = block.steps[order], block.times[order], block.values[order]
    nans = np.isnan(values).sum(axis=0).tolist()
    ranked = values
    if (steps[1:] == steps[:-1]).any():
        ranked = block.values[np.argsort(block.steps, kind="stable")]
    lows, highs = ranked.argmin(axis=0), ranked.argmax(axis=0)
    columns = np.arange(width)
    ends = (
        values[-1].tolist(),
        int(steps[-1]),
        int(times[-1]),
        values[0].tolist(),
        int(steps[0]),
        int(times[0]),
    )
    low = zip(ranked[lows, columns].tolist(), steps[lows].tolist(), strict=True)
    high = zip(ranked[highs, columns].tolist(), steps[highs].tolist(), strict=True)
    latest, latest_step, latest_time, first, first_step, first_time = ends
    summaries = []
    for k, ((a, a_step), (b, b_step)) in enumerate(zip(low, high, strict=True)):
        # NaN wins numpy's argmin and argmax; look again without it.
        bounds = _bounds_without_nan(steps, ranked[:, k]) if nans[k] else (a, a_step, b, b_step)
        head = (rows, nans[k], latest[k], latest_step, latest_time)
        summaries.append(Summary._make((*head, *bounds, first[k], first_step, first_time)))
    return summaries


def _bounds_without_nan(
    steps: Int64s, values: Doubles
) -> tuple[float | None, int | None, float | None, int | None]:
    kept = ~np.isnan(values)
    if not kept.any():
        return None, None, None, None
    values, steps = values[kept], steps[kept]
    low, high = int(values.argmin()), int(values.argmax())
    return float(values[low]), int(steps[low]), float(values[high]), int(steps[high])


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
