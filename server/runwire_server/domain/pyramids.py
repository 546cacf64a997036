"""Pyramids: of each few neighbouring points of a series their minimum, maximum, first and last.

They let a curve of a million points be drawn without a look at most of them. Points are taken in their order
by (step, time, arrival). A cell stands for 64 of them, a coarse cell for 4,096. They lie beside a chunk's
data and are compressed like it; one key's are read alone.

Layout: header; keys, each key's group, of each group (keys that share their steps and times) its length,
whether times ascend with steps, and its ends, and the sizes of all that follows, in zlib. Then of each
group, then of each key, its fine and its coarse cells: sections as in `chunks`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runwire_server.domain.blocks import Doubles, Int64s, joined, split
from runwire_server.domain.chunks import Axis, Chunk, Section, pack

FORMAT = 1
# Points of a cell, cells of a coarse cell.
CELL = 64
COARSE_CELL = CELL * CELL
# Shorter series are read point by point, and those with few coarse cells by fine ones.
LEAST_ROWS = 512
LEAST_COARSE_ROWS = 4 * COARSE_CELL

# The axes that stored cells are placed on.
STEP, TIME = 0, 1
# Rows of the arrays of `Cells`.
FIRST, LAST, LOW, HIGH = range(4)

# Format, keys, axes, bytes of the rest of the head.
_HEADER = struct.Struct("<BHHI")
_PARTS = 2


@dataclass(frozen=True, slots=True)
class Cells:
    """N pieces of a series, in order; each is of one or more neighbouring points.

    Attributes:
        count: How many points each stands for, N.
        nan_count: How many of them are NaN, N.
        values: Of its first, last, lowest and highest point, 4 x N. The lowest and the highest are NaN only
            where all of its points are, and the first among equals.
        places: Where the same points lie on each of A axes, A x 4 x N.
    """

    count: Int64s
    nan_count: Int64s
    values: Doubles
    places: Int64s

    @classmethod
    def of_points(cls, places: Sequence[Int64s], values: Doubles) -> Cells:
        """Makes a cell of each of N points, which are in order, given where they lie on each axis."""
        return cls(
            np.ones(len(values), np.int64),
            np.isnan(values).astype(np.int64),
            np.broadcast_to(values, (4, len(values))),
            np.broadcast_to(np.stack(places)[:, None, :], (len(places), 4, len(values))),
        )

    @classmethod
    def joined(cls, parts: Sequence[Cells]) -> Cells:
        """Joins cells that follow each other; there is at least one part."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.count for part in parts]),
            np.concatenate([part.nan_count for part in parts]),
            np.concatenate([part.values for part in parts], axis=1),
            np.concatenate([part.places for part in parts], axis=2),
        )

    def __len__(self) -> int:
        """How many cells."""
        return len(self.count)

    def chosen(self, which: Any) -> Cells:
        """Returns some cells, by index, mask or slice."""
        return Cells(
            self.count[which], self.nan_count[which], self.values[:, which], self.places[:, :, which]
        )

    def merged(self, starts: Int64s) -> Cells:
        """Merges neighbours: a cell of those from each start to the next.

        Args:
            starts: Indices, ascending, the first is 0.
        """
        ends = np.append(starts[1:], len(self))
        corners = np.stack((starts, ends - 1, self._best(LOW, starts, ends), self._best(HIGH, starts, ends)))
        rows = np.arange(4)[:, None]
        return Cells(
            np.add.reduceat(self.count, starts),
            np.add.reduceat(self.nan_count, starts),
            self.values[rows, corners],
            self.places[:, rows, corners],
        )

    def _best(self, which: int, starts: Int64s, ends: Int64s) -> Int64s:
        """Returns the index of the first lowest or highest of each piece; its start where all are NaN."""
        values = self.values[which]
        reduce = np.fmin if which == LOW else np.fmax
        with np.errstate(invalid="ignore"):
            best = reduce.reduceat(values, starts)
        pieces = np.repeat(np.arange(len(starts)), ends - starts)
        hits = np.flatnonzero(values == best[pieces])
        found = starts.astype(np.int64, copy=True)
        # Backwards, so that the first one of each piece is what stays.
        found[pieces[hits[::-1]]] = hits[::-1]
        return found


def build(chunk: Chunk) -> bytes | None:
    """Returns the pyramid of a chunk; None when none of its series is long enough."""
    axes = [a for a, axis in enumerate(chunk.axes) if len(axis.steps) >= LEAST_ROWS]
    if not axes:
        return None
    lengths = np.array([len(axis.steps) for axis in chunk.axes])[chunk.axis_of]
    starts = np.concatenate(([0], np.cumsum(lengths)))
    of_axes: list[bytes] = []
    of_keys: dict[int, list[bytes]] = {}
    ascending: list[bool] = []
    ends: list[Int64s] = []
    for a in axes:
        keys = np.flatnonzero(chunk.axis_of == a).tolist()
        matrix = np.stack([chunk.values[starts[k] : starts[k + 1]] for k in keys])
        axis, matrix = in_order(chunk.axes[a], matrix)
        ascending.append(bool((axis.times[1:] >= axis.times[:-1]).all()))
        ends += (axis.steps[[0, -1]], axis.times[[0, -1]])
        for level in _levels(axis, matrix):
            of_axes.append(_axis_bytes(level, len(keys)))
            for k, data in zip(keys, _key_bytes(level, len(keys)), strict=True):
                of_keys.setdefault(k, []).append(data)
    kept = sorted(of_keys)
    parts = of_axes + [data for k in kept for data in of_keys[k]]
    head = zlib.compress(
        joined([chunk.keys[k] for k in kept])
        + np.array([axes.index(int(chunk.axis_of[k])) for k in kept], "<u2").tobytes()
        + np.array([len(chunk.axes[a].steps) for a in axes], "<u4").tobytes()
        + np.array(ascending, "<u1").tobytes()
        + np.concatenate(ends).astype("<i8", copy=False).tobytes()
        + np.array([len(part) for part in parts], "<u4").tobytes()
    )
    return b"".join((_HEADER.pack(FORMAT, len(kept), len(axes), len(head)), head, *parts))


def in_order(axis: Axis, matrix: Doubles) -> tuple[Axis, Doubles]:
    """Returns points by (step, time, arrival), given by arrival; `matrix` is keys by points."""
    steps, times = axis.steps, axis.times
    later = steps[1:] > steps[:-1]
    if (later | ((steps[1:] == steps[:-1]) & (times[1:] >= times[:-1]))).all():
        return axis, matrix
    order = np.lexsort((times, steps))
    return Axis(axis.positions[order], steps[order], times[order]), matrix[:, order]


def _levels(axis: Axis, matrix: Doubles) -> list[Cells | None]:
    """Returns the fine and the coarse cells of the series of one axis, one after another."""
    series, rows = matrix.shape
    places = (np.tile(axis.steps, series), np.tile(axis.times, series))
    points = Cells.of_points(places, matrix.ravel())
    fine = points.merged(_starts(series, rows))
    if rows < LEAST_COARSE_ROWS:
        return [fine, None]
    return [fine, fine.merged(_starts(series, len(fine) // series))]


def _starts(series: int, rows: int) -> Int64s:
    return (np.arange(series)[:, None] * rows + np.arange(0, rows, CELL)).ravel()


def _axis_bytes(cells: Cells | None, series: int) -> bytes:
    if cells is None:
        return b""
    own = cells.places[:, :, : len(cells) // series]
    parts: list[bytes] = []
    for place in own:
        parts += pack(place[FIRST]) + pack(place[LAST] - place[FIRST])
    return b"".join(parts)


def _key_bytes(cells: Cells | None, series: int) -> list[bytes]:
    if cells is None:
        return [b""] * series
    size = len(cells) // series
    found = []
    for start in range(0, len(cells), size):
        own = cells.chosen(slice(start, start + size))
        parts = pack(own.values.ravel()) + pack(own.nan_count)
        for place in own.places:
            parts += pack((place[LOW:] - place[FIRST]).ravel())
        found.append(b"".join(parts))
    return found


class StoredPyramid:
    """A pyramid's bytes, of which only what is asked for is decompressed.

    Attributes:
        keys: The keys that it has cells of, ascending.
    """

    def __init__(self, data: bytes) -> None:
        """Reads the head.

        Raises:
            ValueError: if the format is one that this version does not know, or the bytes are damaged.
        """
        if not data or data[0] != FORMAT:
            raise ValueError(f"metric pyramid of unknown format {data[0] if data else 'none'}")
        self._data = memoryview(data)
        try:
            _, keys, axes, length = _HEADER.unpack_from(data)
            head = zlib.decompress(self._data[_HEADER.size : _HEADER.size + length])
        except (struct.error, zlib.error) as error:
            raise ValueError(f"metric pyramid that is damaged: {error}") from error
        parts = _PARTS * (axes + keys)
        at = len(head) - 4 * parts - (4 * 8 + 1 + 4) * axes - 2 * keys
        self.keys = split(head[: max(at, 0)])
        if at < 1 or len(self.keys) != keys:
            raise ValueError("metric pyramid that is damaged: its keys")
        self._axis_of = np.frombuffer(head, "<u2", keys, at)
        self._rows = np.frombuffer(head, "<u4", axes, at + 2 * keys)
        self._ascending = np.frombuffer(head, "<u1", axes, at + 2 * keys + 4 * axes)
        at += 2 * keys + 5 * axes
        self._ends = np.frombuffer(head, "<i8", 4 * axes, at).reshape(axes, 4)
        sizes = np.frombuffer(head, "<u4", parts, at + 4 * 8 * axes).astype(np.int64)
        self._starts = _HEADER.size + length + np.concatenate(([0], np.cumsum(sizes)))
        if self._starts[-1] > len(data):
            raise ValueError("metric pyramid that is cut off")
        self._axes = axes

    def in_order(self, key: str, axis: int) -> bool:
        """Tells whether a key's cells are in order of an axis: of time only if times ascend with steps."""
        return axis == STEP or bool(self._ascending[self._axis_of[self.keys.index(key)]])

    def ends(self, key: str, axis: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Returns where a key's first and last points lie: on an axis, and on the other one."""
        own = self._ends[self._axis_of[self.keys.index(key)]].reshape(2, 2)
        main, other = own[axis].tolist(), own[1 - axis].tolist()
        return (main[0], other[0]), (main[1], other[1])

    def cells(self, key: str, axis: int, coarse: bool) -> Cells:
        """Returns the cells of a key, placed on an axis; fine ones where there are no coarse ones.

        Raises:
            ValueError: if the bytes are damaged, or have no cells of the key.
        """
        k = self.keys.index(key)
        group = int(self._axis_of[k])
        rows = int(self._rows[group])
        coarse = coarse and rows >= LEAST_COARSE_ROWS
        size = COARSE_CELL if coarse else CELL
        number = -(-rows // size)
        place = 2 * axis
        first, length = self._sections(_PARTS * group + coarse, "i" * 4, [number] * 4, (place, place + 1))
        values, nan_count, offsets = self._sections(
            _PARTS * (self._axes + k) + coarse,
            "fiii",
            [4 * number, number, 2 * number, 2 * number],
            (0, 1, 2 + axis),
        )
        count = np.full(number, size, np.int64)
        count[-1] = rows - size * (number - 1)
        places = np.vstack((first, first + length, first + offsets.reshape(2, number)))
        return Cells(count, nan_count, values.reshape(4, number), places[None])

    def _sections(
        self, part: int, types: str, counts: Sequence[int], wanted: Sequence[int]
    ) -> list[NDArray[Any]]:
        """Reads the wanted ones of the sections of a part."""
        view = self._data[self._starts[part] : self._starts[part + 1]]
        found, at = [], 0
        for i, (kind, count) in enumerate(zip(types, counts, strict=True)):
            section = Section(view, at, count, f"<{kind}8")
            if i in wanted:
                found.append(section.read(0, count))
            at = section.end
        return found
