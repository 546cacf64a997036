"""Folding metric points into one summary for each series: a table of them, in columns.

Order is (step, timestamp, arrival) throughout: latest is the last and first the first in it. NaN is
counted, can be latest or first, and is never minimum or maximum. Ties of minimum and maximum go
to the lowest step, and there to the first that arrived: 0.0 and -0.0 are equal, but not the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runwire_server.domain.blocks import Doubles, Int64s, Points
from runwire_server.domain.summaries import Summary

_LEAST, _MOST = -(2**63), 2**63 - 1

# Blocks of fewer points are folded together with others: numpy's calls cost more than the points.
SMALL = 256


class Slots:
    """Where the summaries of an ordered set of keys are in a table.

    Attributes:
        at: A slot for each key, all of them different.
        where: The same, as a slice if they follow each other, which is far cheaper to go through.
    """

    __slots__ = ("at", "where")

    def __init__(self, at: Int64s) -> None:
        self.at = at
        self.where: slice | Int64s = at
        if len(at) and at[-1] - at[0] == len(at) - 1 and (len(at) == 1 or (np.diff(at) == 1).all()):
            self.where = slice(int(at[0]), int(at[-1]) + 1)


@dataclass(frozen=True, slots=True)
class _Reduced:
    """What some new points come to, by series: arrays as long as the series are many, or one for all."""

    count: Any
    nans: Any
    latest: Doubles
    latest_step: Any
    latest_time: Any
    # NaN where there is none.
    low: Doubles
    low_step: Int64s
    high: Doubles
    high_step: Int64s
    first: Doubles
    first_step: Any
    first_time: Any


# Each column with what it holds for a series without points. An absent minimum or maximum is NaN.
_COLUMNS: dict[str, int | float] = {
    "count": 0,
    "nan_count": 0,
    "latest": math.nan,
    "latest_step": _LEAST,
    "latest_time": _LEAST,
    "min": math.nan,
    "min_step": 0,
    "max": math.nan,
    "max_step": 0,
    "first": math.nan,
    "first_step": _MOST,
    "first_time": _MOST,
}


class SummaryTable:
    """Summaries of series in columns, addressed by slots.

    Attributes:
        dirty: For each slot, whether points were folded into it; for its owner to clear.
    """

    def __init__(self, capacity: int = 1024) -> None:
        """Makes an empty table that has room for so many series before it grows."""
        self._columns: dict[str, NDArray[Any]] = {
            name: np.full(capacity, empty, np.float64 if isinstance(empty, float) else np.int64)
            for name, empty in _COLUMNS.items()
        }
        self.dirty = np.zeros(capacity, bool)
        self._used = 0
        # Ranges [first, end) of slots that were given back, and how many slots they are.
        self._free: list[tuple[int, int]] = []
        self._spare = 0

    @property
    def taken(self) -> int:
        """How many slots are in use."""
        return self._used - self._spare

    def take(self, number: int) -> Int64s:
        """Returns slots of empty summaries, one behind the other if there are such."""
        parts = []
        # What lies about in pieces is used up once it is more than what is asked for.
        while self._free and number and (self._spare > 2 * number or _width(self._free[-1]) >= number):
            first, end = self._free.pop()
            if end - first > number:
                self._free.append((first + number, end))
                end = first + number
            parts.append(np.arange(first, end))
            self._spare -= end - first
            number -= end - first
        parts.append(np.arange(self._used, self._used + number))
        self._used += number
        self._grow()
        return np.concatenate(parts)

    def _grow(self) -> None:
        capacity = len(self.dirty)
        if self._used <= capacity:
            return
        # By half, not to twice: a million series are 100 MB.
        capacity = max(self._used, capacity + capacity // 2)
        for name, empty in _COLUMNS.items():
            self._columns[name] = _longer(self._columns[name], capacity, empty)
        self.dirty = _longer(self.dirty, capacity, False)

    def give_back(self, slots: Int64s) -> None:
        """Forgets summaries; their slots may be taken again."""
        for name, empty in _COLUMNS.items():
            self._columns[name][slots] = empty
        self.dirty[slots] = False
        ordered = np.sort(slots)
        cuts = np.flatnonzero(np.diff(ordered) != 1) + 1
        for part in np.split(ordered, cuts):
            if len(part):
                self._free.append((int(part[0]), int(part[-1]) + 1))
        self._spare += len(slots)

    def put(self, slots: Int64s, summaries: Sequence[Summary]) -> None:
        """Sets the summaries of slots."""
        if not summaries:
            return
        columns = zip(*summaries, strict=True)
        for name, column in zip(Summary._fields, columns, strict=True):
            target = self._columns[name]
            if None in column:
                empty = math.nan if target.dtype == np.float64 else 0
                column = tuple(empty if value is None else value for value in column)
            target[slots] = np.array(column, target.dtype)

    def get(self, slots: Int64s) -> list[Summary]:
        """Returns the summaries of slots, each of which has points."""
        columns: list[list[Any]] = [self._columns[name][slots].tolist() for name in Summary._fields]
        found = list(map(Summary._make, zip(*columns, strict=True)))
        empty = self._columns["count"][slots] == self._columns["nan_count"][slots]
        for i in np.flatnonzero(empty):
            found[i] = found[i]._replace(min=None, min_step=None, max=None, max_step=None)
        return found

    def copied(self, slots: Int64s) -> SummaryTable:
        """Returns a table of its own of some summaries, at slots 0, 1 ..., as they are now."""
        copy = SummaryTable(0)
        copy._columns = {name: column[slots] for name, column in self._columns.items()}
        copy.dirty = self.dirty[slots]
        copy._used = len(slots)
        return copy

    def counts(self, slots: Int64s) -> list[int]:
        """Returns the number of points of each slot."""
        return self._columns["count"][slots].tolist()  # type: ignore[no-any-return]

    def fold(self, parts: Sequence[tuple[Slots, Points]]) -> None:
        """Folds blocks in, each with the slots of its keys.

        Args:
            parts: In order of arrival. Blocks that come one after the other with the same `Slots` are folded
                as one.
        """
        loose: list[tuple[Slots, Points]] = []
        at = 0
        while at < len(parts):
            slots, size, begin = parts[at][0], 0, at
            while at < len(parts) and parts[at][0] is slots:
                size += parts[at][1].size
                at += 1
            if size < SMALL:
                loose += parts[begin:at]
                continue
            # What arrived before has to be folded before.
            self._fold_loose(loose)
            loose = []
            self._fold_matrix(slots, [block for _, block in parts[begin:at]])
        self._fold_loose(loose)

    def _fold_matrix(self, slots: Slots, blocks: Sequence[Points]) -> None:
        """Folds blocks of the same keys."""
        block = blocks[0]
        if len(blocks) > 1:
            block = Points(
                block.keys,
                b"".join([b.packed_steps for b in blocks]),
                b"".join([b.packed_times for b in blocks]),
                b"".join([b.packed_values for b in blocks]),
            )
        if block.size:
            self._merge(slots.where, slots.at, _reduce_matrix(block.steps, block.times, block.values))

    def _fold_loose(self, parts: Sequence[tuple[Slots, Points]]) -> None:
        """Folds small blocks of any keys all at once."""
        if len(parts) < 2:
            for slots, block in parts:
                self._fold_matrix(slots, [block])
            return
        steps = np.frombuffer(b"".join([block.packed_steps for _, block in parts]), "<i8")
        times = np.frombuffer(b"".join([block.packed_times for _, block in parts]), "<i8")
        values = np.frombuffer(b"".join([block.packed_values for _, block in parts]), "<f8")
        at = np.concatenate(
            [slots.at if block.rows == 1 else np.tile(slots.at, block.rows) for slots, block in parts]
        )
        if len(at) != len(steps):
            widths = np.repeat([len(s.at) for s, _ in parts], [block.rows for _, block in parts])
            steps, times = np.repeat(steps, widths), np.repeat(times, widths)
        if len(at):
            where, reduced = _reduce_loose(at, steps, times, values)
            self._merge(where, where, reduced)

    def _merge(self, where: slice | Int64s, at: Int64s, new: _Reduced) -> None:
        """Joins what later points come to with the summaries so far."""
        columns = self._columns
        old_step = columns["latest_step"][where]
        count = columns["count"][where]
        # All new points are behind all old ones: the usual case, where only bounds have to be compared.
        ahead = bool((old_step < new.first_step).all()) and bool(count.all())
        low, high = columns["min"][where], columns["max"][where]
        lower, higher = ~(low <= new.low), ~(high >= new.high)
        if ahead:
            columns["latest"][where] = new.latest
            columns["latest_step"][where] = new.latest_step
            columns["latest_time"][where] = new.latest_time
        else:
            lower |= (low == new.low) & (new.low_step < columns["min_step"][where])
            higher |= (high == new.high) & (new.high_step < columns["max_step"][where])
            self._merge_ends(where, at, new, count == 0)
        # NaN is how an absent bound looks, on both sides.
        self._replace(at, lower & (new.low == new.low), min=new.low, min_step=new.low_step)
        self._replace(at, higher & (new.high == new.high), max=new.high, max_step=new.high_step)
        columns["count"][where] = count + new.count
        if new.nans is not None:
            columns["nan_count"][where] += new.nans
        self.dirty[where] = True

    def _merge_ends(self, where: slice | Int64s, at: Int64s, new: _Reduced, fresh: NDArray[np.bool_]) -> None:
        columns = self._columns
        step, time = columns["latest_step"][where], columns["latest_time"][where]
        later = (step < new.latest_step) | ((step == new.latest_step) & (time <= new.latest_time))
        self._replace(at, later, latest=new.latest, latest_step=new.latest_step, latest_time=new.latest_time)
        step, time = columns["first_step"][where], columns["first_time"][where]
        earlier = (new.first_step < step) | ((new.first_step == step) & (new.first_time < time)) | fresh
        self._replace(at, earlier, first=new.first, first_step=new.first_step, first_time=new.first_time)

    def _replace(self, at: Int64s, chosen: NDArray[np.bool_], **values: Any) -> None:
        hits = np.flatnonzero(chosen)
        if not len(hits):
            return
        slots = at[hits]
        for name, value in values.items():
            self._columns[name][slots] = value[hits] if isinstance(value, np.ndarray) else value


def _width(span: tuple[int, int]) -> int:
    return span[1] - span[0]


def _longer(column: NDArray[Any], length: int, empty: object) -> NDArray[Any]:
    grown = np.full(length, empty, column.dtype)
    grown[: len(column)] = column
    return grown


def _reduce_matrix(steps: Int64s, times: Int64s, values: Doubles) -> _Reduced:
    """Reduces S x K points to K summaries."""
    rows, width = values.shape
    if rows == 1:
        return _of_row(int(steps[0]), int(times[0]), values[0])
    first, last = _ends(steps, times)
    ranked = values
    if not (steps[1:] >= steps[:-1]).all():
        order = np.argsort(steps, kind="stable")
        ranked, by_step = values[order], steps[order]
    else:
        by_step = steps
    columns = np.arange(width)
    low_at, high_at = ranked.argmin(axis=0), ranked.argmax(axis=0)
    low, high = ranked[low_at, columns], ranked[high_at, columns]
    # NaN wins numpy's argmin and argmax; look again without it.
    odd = np.flatnonzero(low != low)
    nans = None
    if len(odd):
        some = ranked[:, odd]
        lost = np.isnan(some)
        nans = np.zeros(width, np.int64)
        nans[odd] = lost.sum(axis=0)
        low_at[odd], low[odd] = _bound(np.where(lost, math.inf, some), some, lost, lowest=True)
        high_at[odd], high[odd] = _bound(np.where(lost, -math.inf, some), some, lost, lowest=False)
    return _Reduced(
        rows, nans,
        values[last], int(steps[last]), int(times[last]),
        low, by_step[low_at], high, by_step[high_at],
        values[first], int(steps[first]), int(times[first]),
    )  # fmt: skip


def _of_row(step: int, time: int, values: Doubles) -> _Reduced:
    nans = np.isnan(values)
    steps = np.broadcast_to(np.int64(step), values.shape)
    found = nans.astype(np.int64) if nans.any() else None
    return _Reduced(1, found, values, step, time, values, steps, values, steps, values, step, time)


def _bound(
    filled: Doubles, values: Doubles, lost: NDArray[np.bool_], *, lowest: bool
) -> tuple[NDArray[np.intp], Doubles]:
    """Finds where the bound of each column is, and the bound: NaN for columns of nothing else."""
    at = filled.argmin(axis=0) if lowest else filled.argmax(axis=0)
    columns = np.arange(values.shape[1])
    # An infinity put in place of NaN has won: then no number is better than infinity, and the first is it.
    wrong = lost[at, columns]
    at = np.where(wrong, lost.argmin(axis=0), at)
    return at, values[at, columns]


def _ends(steps: Int64s, times: Int64s) -> tuple[int, int]:
    """Returns the rows of the first and the latest point by (step, time, arrival)."""
    lowest, highest = np.flatnonzero(steps == steps.min()), np.flatnonzero(steps == steps.max())
    first, last = lowest[0], highest[-1]
    if len(lowest) > 1:
        first = lowest[times[lowest].argmin()]
    if len(highest) > 1:
        last = highest[len(highest) - 1 - times[highest][::-1].argmax()]
    return int(first), int(last)


def _reduce_loose(at: Int64s, steps: Int64s, times: Int64s, values: Doubles) -> tuple[Int64s, _Reduced]:
    """Reduces points in order of arrival, each with its slot, to summaries of the slots among them."""
    in_order = np.lexsort((times, steps, at))
    slots = at[in_order]
    begins = np.flatnonzero(np.concatenate(([True], slots[1:] != slots[:-1])))
    counts = np.diff(begins, append=len(slots))
    first, last = in_order[begins], in_order[begins + counts - 1]
    lowest = highest = first
    if len(begins) < len(slots):
        lowest = np.lexsort((steps, values, at))[begins]
        highest = np.lexsort((steps, -values, at))[begins]
    lost = np.isnan(values)
    nans = np.add.reduceat(lost[in_order], begins, dtype=np.int64) if lost.any() else None
    return slots[begins], _Reduced(
        counts, nans,
        values[last], steps[last], times[last],
        values[lowest], steps[lowest], values[highest], steps[highest],
        values[first], steps[first], times[first],
    )  # fmt: skip
