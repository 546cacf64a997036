"""Pyramids: cells say what a look at their points would."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwire_server.domain import pyramids
from runwire_server.domain.chunks import Axis, Chunk
from runwire_server.domain.pyramids import CELL, COARSE_CELL, Cells, StoredPyramid

VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, -3.5, math.inf, -math.inf, math.nan, 5e-324])
Point = tuple[int, int, float]


def expected_cell(points: list[Point]) -> tuple[object, ...]:
    """Returns what a cell of points in order says, told by plain Python."""
    numbers = [p for p in points if not math.isnan(p[2])]
    low = min(numbers, key=lambda p: p[2], default=points[0])
    high = max(numbers, key=lambda p: p[2], default=points[0])
    corners = (points[0], points[-1], low, high)
    return (len(points), len(points) - len(numbers), *(bits(p) for p in corners))


def bits(point: Point) -> tuple[int, int, bytes]:
    return point[0], point[1], np.float64(point[2]).tobytes()


def cells_of(cells: Cells) -> list[tuple[object, ...]]:
    return [
        (
            int(cells.count[i]),
            int(cells.nan_count[i]),
            *(
                bits((int(cells.places[0, c, i]), int(cells.places[-1, c, i]), cells.values[c, i]))
                for c in range(4)
            ),
        )
        for i in range(len(cells))
    ]


def stored_cells(stored: StoredPyramid, key: str, *, coarse: bool) -> Cells:
    """Reads cells with their places on both axes."""
    by_step, by_time = (stored.cells(key, axis, coarse) for axis in (pyramids.STEP, pyramids.TIME))
    return Cells(
        by_step.count, by_step.nan_count, by_step.values, np.concatenate((by_step.places, by_time.places))
    )


@given(st.lists(st.lists(VALUES, min_size=1, max_size=5), min_size=1, max_size=8))
def test_merged_cells_are_those_of_their_points(pieces: list[list[float]]) -> None:
    values = np.array([value for piece in pieces for value in piece])
    steps = np.arange(len(values)) // 2
    cells = Cells.of_points((steps, steps * 10), values)
    starts = np.concatenate(([0], np.cumsum([len(piece) for piece in pieces])[:-1]))
    points = list(zip(steps.tolist(), (steps * 10).tolist(), values.tolist(), strict=True))
    parts = [points[a:b] for a, b in zip(starts, [*starts[1:], len(points)], strict=True)]
    assert cells_of(cells.merged(starts)) == [expected_cell(part) for part in parts]


def chunk_of(
    rng: np.random.Generator, rows: int, keys: int, *, shuffled: bool = False
) -> tuple[Chunk, dict[str, list[Point]]]:
    """Makes a chunk, and each key's points in order."""
    steps = rng.integers(-50, 50, rows) if shuffled else np.arange(rows) * 3
    times = rng.integers(0, 9, rows) if shuffled else 1_000 + np.cumsum(rng.integers(0, 9, rows))
    values = rng.choice([0.0, -0.0, 1.0, -2.0, math.nan, math.inf], (keys, rows)) * rng.random((keys, rows))
    names = tuple(f"k{k}" for k in range(keys))
    axis = Axis(np.arange(rows), steps, times)
    chunk = Chunk(names, (axis,), np.zeros(keys, np.int64), values.ravel())
    order = np.lexsort((times, steps))
    points = {
        name: list(zip(steps[order].tolist(), times[order].tolist(), values[k][order].tolist(), strict=True))
        for k, name in enumerate(names)
    }
    return chunk, points


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize(("rows", "keys"), [(512, 3), (4_097, 2), (16_384, 1), (20_001, 2)])
def test_a_stored_pyramid_has_the_cells_of_its_points(rows: int, keys: int, shuffled: bool) -> None:
    chunk, points = chunk_of(np.random.default_rng(rows), rows, keys, shuffled=shuffled)
    data = pyramids.build(chunk)
    assert data is not None
    stored = StoredPyramid(data)
    assert stored.keys == chunk.keys
    for key, series in points.items():
        for coarse in (False, True):
            size = COARSE_CELL if coarse and rows >= pyramids.LEAST_COARSE_ROWS else CELL
            parts = [series[at : at + size] for at in range(0, rows, size)]
            assert cells_of(stored_cells(stored, key, coarse=coarse)) == [
                expected_cell(part) for part in parts
            ]
        first, last = series[0], series[-1]
        assert stored.ends(key, pyramids.STEP) == (first[:2], last[:2])
        assert stored.ends(key, pyramids.TIME) == (first[1::-1], last[1::-1])
        assert stored.in_order(key, pyramids.STEP)
        assert stored.in_order(key, pyramids.TIME) == all(a[1] <= b[1] for a, b in itertools.pairwise(series))


def test_steps_at_the_ends_of_int64_survive() -> None:
    rows = 600
    steps = np.sort(np.random.default_rng(1).integers(-(2**63), 2**63 - 1, rows))
    steps[0], steps[-1] = -(2**63), 2**63 - 1
    chunk = Chunk(
        ("a",), (Axis(np.arange(rows), steps, np.arange(rows)),), np.array([0]), np.arange(rows) * 1.0
    )
    data = pyramids.build(chunk)
    assert data is not None
    (places,) = StoredPyramid(data).cells("a", pyramids.STEP, coarse=False).places
    assert places[pyramids.FIRST, 0] == -(2**63)
    assert places[pyramids.LAST, -1] == 2**63 - 1
    assert (places[pyramids.HIGH] == places[pyramids.LAST]).all()


def test_short_series_have_none_and_share_rows_with_long_ones() -> None:
    rng = np.random.default_rng(4)
    short = Axis(np.arange(100), np.arange(100), np.arange(100))
    long = Axis(np.arange(1_000), np.arange(1_000), np.arange(1_000))
    assert pyramids.build(Chunk(("a",), (short,), np.array([0]), rng.random(100))) is None
    both = Chunk(("a", "b", "c"), (short, long), np.array([0, 1, 0]), rng.random(1_200))
    data = pyramids.build(both)
    assert data is not None
    assert StoredPyramid(data).keys == ("b",)
    assert (
        StoredPyramid(data).cells("b", pyramids.STEP, coarse=False).values[pyramids.FIRST, 0]
        == both.values[100]
    )


def test_what_is_cut_off_is_told() -> None:
    data = pyramids.build(chunk_of(np.random.default_rng(3), 700, 2)[0])
    assert data is not None
    for length in range(len(data)):
        with pytest.raises(ValueError):  # noqa: PT011
            StoredPyramid(data[:length]).cells("k1", pyramids.TIME, coarse=False)
