"""Folding points, however they are cut into blocks, equals a reference that looks at them one by one."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runwire_server.domain.blocks import Points
from runwire_server.domain.folding import Summary, bits, exact, fold

KEYS = ("a", "b", "c")
NAN, SIGNALLING = struct.unpack("<2d", struct.pack("<2Q", 0x7FF8DEADBEEF0001, 0xFFF0000000000001))

# One step of all keys: step, time, a value for each key.
Row = tuple[int, int, tuple[float, ...]]

# Few of each, so that ties are frequent.
VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, NAN, SIGNALLING, math.inf, -math.inf, 5e-324, 1.0]),
    st.floats(width=64),
)
STEPS = st.one_of(st.integers(-2, 2), st.sampled_from([-(2**63), 2**63 - 1]))
ROWS = st.lists(
    st.tuples(STEPS, st.integers(0, 2), st.tuples(VALUES, VALUES, VALUES)), min_size=1, max_size=12
)


def reference(rows: Sequence[Row], k: int) -> Summary:
    """Summarises a series as the API's comments say it."""
    points = [(step, time, values[k]) for step, time, values in rows]
    in_order = sorted(points, key=lambda p: p[:2])
    numbers = [p for p in points if not math.isnan(p[2])]
    low = min(numbers, key=lambda p: (p[2], p[0]), default=None)
    high = min(numbers, key=lambda p: (-p[2], p[0]), default=None)
    return Summary(
        count=len(points),
        nan_count=len(points) - len(numbers),
        latest=in_order[-1][2],
        latest_step=in_order[-1][0],
        latest_time=in_order[-1][1],
        min=low[2] if low else None,
        min_step=low[0] if low else None,
        max=high[2] if high else None,
        max_step=high[0] if high else None,
        first=in_order[0][2],
        first_step=in_order[0][0],
        first_time=in_order[0][1],
    )


def bitwise(summary: Summary) -> tuple[object, ...]:
    """Returns a summary so that equal means equal to the bit."""
    return tuple(struct.pack("<d", n) if isinstance(n, float) else n for n in summary)


def block_of(rows: Sequence[Row]) -> Points:
    steps, times, values = zip(*rows, strict=True)
    return Points.of(KEYS, np.array(steps, np.int64), np.array(times, np.int64), np.array(values, np.float64))


@st.composite
def cuts(draw: st.DrawFn) -> tuple[list[Row], list[list[list[Row]]]]:
    """Rows, and the same rows cut into batches of blocks."""
    rows = draw(ROWS)
    blocks: list[list[Row]] = [[]]
    batches = [blocks]
    for row in rows:
        if blocks[-1] and draw(st.booleans()):
            if draw(st.booleans()):
                batches.append(blocks := [])
            blocks.append([])
        blocks[-1].append(row)
    return rows, batches


ZEROS: list[Row] = [(1, 2, (0.0, -0.0, 0.0)), (1, 1, (-0.0, 0.0, 0.0)), (1, 1, (0.0, -0.0, -0.0))]


@settings(max_examples=200, deadline=None)
@given(cuts())
# Equal but for their sign, the later one with the earlier time.
@example((ZEROS, [[ZEROS]]))
@example((ZEROS, [[ZEROS[:1]], [ZEROS[1:]]]))
def test_any_cut_gives_what_one_by_one_gives(cut: tuple[list[Row], list[list[list[Row]]]]) -> None:
    rows, batches = cut
    stored: dict[str, Summary] = {}
    for batch in batches:
        stored |= fold([block_of(block) for block in batch], stored)
    for k, key in enumerate(KEYS):
        assert bitwise(stored[key]) == bitwise(reference(rows, k))


@settings(max_examples=100, deadline=None)
@given(ROWS, ROWS)
def test_keys_of_some_blocks_only(first: list[Row], second: list[Row]) -> None:
    narrow = block_of(first)
    narrow = Points.of(("b",), narrow.steps, narrow.times, narrow.values[:, 1:2])
    stored = {"a": reference(second, 0), "other": reference(second, 2)}
    folded = fold([narrow, block_of(second)], stored)
    assert set(folded) == set(KEYS)
    assert bitwise(folded["a"]) == bitwise(reference(second + second, 0))
    assert bitwise(folded["b"]) == bitwise(reference(first + second, 1))
    assert bitwise(folded["c"]) == bitwise(reference(second, 2))


def through_sqlite(value: float | int | None) -> float | int | None:
    """What a REAL column makes of a number."""
    if isinstance(value, float):
        return None if math.isnan(value) else value + 0.0
    return value


@given(ROWS)
def test_a_column_loses_nothing_beside_the_bits(rows: list[Row]) -> None:
    summary = reference(rows, 0)
    kept = bits(summary)
    read = Summary._make(through_sqlite(value) for value in summary)
    assert bitwise(exact(read, kept)) == bitwise(summary)


@pytest.mark.parametrize(
    ("value", "needed"),
    [
        (1.0, False),
        (0.0, False),
        (math.inf, False),
        (5e-324, False),
        (-0.0, True),
        (NAN, True),
        (SIGNALLING, True),
    ],
)
def test_bits_are_kept_only_where_a_column_can_not_carry_them(value: float, needed: bool) -> None:
    assert (bits(reference([(0, 0, (value,))], 0)) is not None) == needed


def test_nothing_folds_to_nothing() -> None:
    assert fold([], {"a": reference([(0, 0, (1.0,))], 0)}) == {}
