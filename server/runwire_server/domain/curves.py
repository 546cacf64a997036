"""Curves: series in few buckets, made of pyramids' cells and of single points, of which none is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runwire.v1 import metric_pb2
from runwire_server.domain import packed
from runwire_server.domain.blocks import Doubles, Int64s, Placed
from runwire_server.domain.pyramids import CELL, COARSE_CELL, FIRST, HIGH, LAST, LOW, STEP, TIME, Cells

DEFAULT_POINTS = 1_000
# A bucket is made of at least as many cells, or of points.
LEAST_CELLS = 8
# Bytes of a message, of a bucket (8 numbers, and two counts), and of a curve besides.
MESSAGE_BYTES = 1024 * 1024
BUCKET_BYTES = 8 * 8 + 6
CURVE_BYTES = 256

CurveMessage = packed.message_class("GetMetricCurveResponse")

# Where a point lies: on the axis, and on the other one, by which those at one place are in order.
Place = tuple[int, int]


@dataclass(frozen=True)
class View:
    """What is asked of each series.

    Attributes:
        axis: STEP or TIME.
        buckets: Most buckets.
        low: The lowest x that is wanted; None for no bound.
        high: The highest one.
    """

    axis: int
    buckets: int
    low: int | None
    high: int | None

    @classmethod
    def of(cls, request: metric_pb2.GetMetricCurveRequest) -> View:
        """Reads a request."""
        return cls(
            TIME if request.axis == metric_pb2.CURVE_AXIS_TIME else STEP,
            request.max_points or DEFAULT_POINTS,
            request.min_x if request.HasField("min_x") else None,
            request.max_x if request.HasField("max_x") else None,
        )

    def cell(self, points: int) -> int:
        """Returns how large cells may be for a series of some points; 1 when each point is looked at."""
        for size in (COARSE_CELL, CELL):
            if points >= self.buckets * LEAST_CELLS * size:
                return size
        return 1

    def misses(self, first: Place, last: Place) -> bool:
        """Tells whether nothing from a first to a last point is wanted."""
        return (self.low is not None and last[0] < self.low) or (
            self.high is not None and first[0] > self.high
        )

    def holds(self, first: Place, last: Place) -> bool:
        """Tells whether everything from a first to a last point is wanted."""
        return (self.low is None or first[0] >= self.low) and (self.high is None or last[0] <= self.high)


@dataclass(frozen=True)
class Piece:
    """What a sealed chunk has of a series, by cells.

    Attributes:
        first: The first log position of its chunk.
        end: The one behind its last.
        lowest: Where its first point lies.
        highest: Where its last point lies.
        cells: Its cells.
    """

    first: int
    end: int
    lowest: Place
    highest: Place
    cells: Cells


def points_of(view: View, blocks: Sequence[Placed], key: str) -> Cells | None:
    """Returns the wanted points of a key, in order, a cell each; None when there are none.

    Args:
        view: What is wanted.
        blocks: Points in order of arrival.
        key: The key.
    """
    columns = [(b.points, b.points.keys.index(key)) for b in blocks if key in b.points.keys]
    if not columns:
        return None
    steps: Int64s = np.concatenate([points.steps for points, _ in columns])
    times: Int64s = np.concatenate([points.times for points, _ in columns])
    values: Doubles = np.concatenate([points.values[:, k] for points, k in columns])
    x, other = (steps, times) if view.axis == STEP else (times, steps)
    if view.low is not None or view.high is not None:
        kept = np.ones(len(x), bool)
        if view.low is not None:
            kept &= x >= view.low
        if view.high is not None:
            kept &= x <= view.high
        x, other, values = x[kept], other[kept], values[kept]
    if not len(x):
        return None
    if not ((x[1:] > x[:-1]) | ((x[1:] == x[:-1]) & (other[1:] >= other[:-1]))).all():
        order = np.lexsort((other, x))
        x, values = x[order], values[order]
    return Cells.of_points((x,), values)


def drawn(
    view: View, pieces: Sequence[Piece], blocks: Sequence[Placed], key: str
) -> tuple[Cells | None, set[int]]:
    """Makes the buckets of a series.

    Args:
        view: What is asked.
        pieces: What is known of it by cells.
        blocks: All else, in order of arrival.
        key: The series.

    Returns:
        The buckets, None if there are none; and the pieces that are of no use, by index: if there are
        any, their points have to be read, and this done again.
    """
    points = points_of(view, blocks, key)
    total = sum(int(piece.cells.count.sum()) for piece in pieces) + (0 if points is None else len(points))
    # So few are shown one by one.
    bad = set(range(len(pieces))) if total <= view.buckets else tangled(pieces, points)
    if bad:
        return None, bad
    if points is not None:
        points = grouped(points, pieces, view.cell(total))
    cells = woven(pieces, points)
    return (None if cells is None else bucketed(view, cells)), bad


def tangled(pieces: Sequence[Piece], points: Cells | None) -> set[int]:
    """Returns the indices of pieces among whose points others lie, so that their cells are of no use."""
    found: set[int] = set()
    order = sorted(range(len(pieces)), key=lambda i: (pieces[i].lowest, pieces[i].highest))
    reach: int | None = None
    for i in order:
        if reach is not None and pieces[i].lowest <= pieces[reach].highest:
            found |= {i, reach}
        if reach is None or pieces[i].highest > pieces[reach].highest:
            reach = i
    if points is not None:
        x = points.places[0, FIRST]
        for i, piece in enumerate(pieces):
            if np.searchsorted(x, piece.lowest[0]) < np.searchsorted(x, piece.highest[0], "right"):
                found.add(i)
    return found


def grouped(points: Cells, pieces: Sequence[Piece], size: int) -> Cells:
    """Makes cells of some neighbouring points each, as pieces have them; none reaches over a piece."""
    if size == 1:
        return points
    x = points.places[0, FIRST]
    borders = np.searchsorted(x, np.array([piece.lowest[0] for piece in pieces], np.int64))
    starts = np.union1d(np.arange(0, len(points), size), borders)
    return points.merged(starts[starts < len(points)])


def woven(pieces: Sequence[Piece], points: Cells | None) -> Cells | None:
    """Joins pieces and points, none of which lies among another's, in order; None if there are none."""
    ordered = sorted(pieces, key=lambda piece: piece.lowest)
    parts = [piece.cells for piece in ordered] + ([] if points is None else [points])
    if not parts:
        return None
    joined = Cells.joined(parts)
    x = joined.places[0, FIRST]
    if (x[1:] >= x[:-1]).all():
        return joined
    return joined.chosen(np.argsort(x, kind="stable"))


def bucketed(view: View, cells: Cells) -> Cells:
    """Merges cells, in order, to the buckets of a curve: by x, at about equal widths."""
    if int(cells.count.sum()) <= view.buckets:
        return cells
    if view.buckets == 1:
        return cells.merged(np.zeros(1, np.int64))
    x = cells.places[0, FIRST]
    lowest, highest = int(x[0]), int(cells.places[0, LAST].max())
    width = (highest - lowest) // view.buckets + 1
    # Differences of int64 may take 64 bits, without a sign.
    bucket = (x.view(np.uint64) - np.uint64(lowest % 2**64)) // np.uint64(width)
    return cells.merged(np.append(0, np.flatnonzero(bucket[1:] != bucket[:-1]) + 1))


def add_curve(message: Any, series: metric_pb2.Series, cells: Cells | None) -> int:
    """Adds a curve to a message of the packed kind; returns about how many bytes it takes."""
    curve = message.curves.add()
    curve.series.run_id, curve.series.key = series.run_id, series.key
    if cells is None:
        return CURVE_BYTES
    curve.points = int(cells.count.sum())
    for name, row in (("first", FIRST), ("last", LAST), ("min", LOW), ("max", HIGH)):
        getattr(curve, name).append(cells.values[row].astype("<f8", copy=False).tobytes())
        getattr(curve, f"{name}_x").append(cells.places[0, row].astype("<i8", copy=False).tobytes())
    curve.count.extend(cells.count.tolist())
    curve.nan_count.extend(cells.nan_count.tolist())
    return CURVE_BYTES + BUCKET_BYTES * len(cells)


def batches(series: Collection[metric_pb2.Series], most: int) -> Iterator[list[metric_pb2.Series]]:
    """Yields neighbours of one run together, but not too many."""
    batch: list[metric_pb2.Series] = []
    for one in series:
        if batch and (one.run_id != batch[0].run_id or len(batch) == most):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch
