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
from runwire_server.domain.folding import SMALL, Slots, SummaryTable
from runwire_server.domain.summaries import Summary, bits, exact

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


def folded(batches: Sequence[Sequence[Sequence[Row]]]) -> list[Summary]:
    """Folds batches of blocks, and returns the summary of each key."""
    table = SummaryTable(1)
    slots = Slots(table.take(len(KEYS)))
    for batch in batches:
        table.fold([(slots, block_of(block)) for block in batch])
    assert table.counts(slots.at) == [sum(len(block) for batch in batches for block in batch)] * len(KEYS)
    return table.get(slots.at)


def assert_right(found: Sequence[Summary], rows: Sequence[Row]) -> None:
    for k, summary in enumerate(found):
        assert bitwise(summary) == bitwise(reference(rows, k))


@settings(max_examples=200)
@given(cuts())
# Equal but for their sign, the later one with the earlier time.
@example((ZEROS, [[ZEROS]]))
@example((ZEROS, [[ZEROS[:1]], [ZEROS[1:]]]))
def test_any_cut_gives_what_one_by_one_gives(cut: tuple[list[Row], list[list[list[Row]]]]) -> None:
    rows, batches = cut
    assert_right(folded(batches), rows)


@settings(max_examples=200)
@given(cuts(), st.data())
def test_blocks_of_any_keys_fold_in_order_of_arrival(
    cut: tuple[list[Row], list[list[list[Row]]]], data: st.DataObject
) -> None:
    """Each block has some of the keys, in an order of its own; small and large ones alternate."""
    _, batches = cut
    table = SummaryTable(1)
    at = table.take(len(KEYS))
    expected: list[list[tuple[int, int, float]]] = [[], [], []]
    known: dict[tuple[int, ...], Slots] = {}
    for batch in batches:
        parts = []
        for block in batch:
            keys = tuple(data.draw(st.permutations(range(3)))[: data.draw(st.integers(1, 3))])
            rows = list(block) * data.draw(st.sampled_from([1, 1, SMALL]))
            whole = block_of(rows)
            part = Points.of([KEYS[k] for k in keys], whole.steps, whole.times, whole.values[:, keys])
            parts.append((known.setdefault(keys, Slots(at[list(keys)])), part))
            for k in keys:
                expected[k] += [(step, time, values[k]) for step, time, values in rows]
        table.fold(parts)
    for k in range(3):
        if points := expected[k]:
            (found,) = table.get(at[k : k + 1])
            assert bitwise(found) == bitwise(reference([(s, t, (v,)) for s, t, v in points], 0))
        else:
            assert table.counts(at[k : k + 1]) == [0]


@settings(max_examples=50)
@given(ROWS, st.integers(1, 4))
def test_large_matrices_fold_the_same(rows: list[Row], times: int) -> None:
    block = rows * (SMALL * times)
    assert_right(folded([[rows], [block], [rows]]), rows + block + rows)


@settings(max_examples=50)
@given(ROWS, ROWS)
def test_a_summary_that_was_put_back_is_folded_on(first: list[Row], second: list[Row]) -> None:
    table = SummaryTable()
    slots = Slots(table.take(len(KEYS)))
    table.put(slots.at, [reference(first, k) for k in range(len(KEYS))])
    table.fold([(slots, block_of(second))])
    assert_right(table.get(slots.at), first + second)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=30))
def test_slots_are_taken_once_and_come_back_empty(steps: list[tuple[bool, int]]) -> None:
    table = SummaryTable(1)
    taken: list[np.ndarray] = []
    for gives, number in steps:
        if gives and taken:
            table.give_back(taken.pop(number % len(taken)))
        else:
            slots = table.take(number)
            assert table.counts(slots) == [0] * number
            assert not table.dirty[slots].any()
            table.put(slots, [reference([(1, 1, (1.0,))], 0)] * number)
            table.dirty[slots] = True
            taken.append(slots)
        everything = np.concatenate([np.empty(0, np.int64), *taken])
        assert len(set(everything.tolist())) == len(everything) == table.taken


def test_room_that_was_given_back_is_used_again() -> None:
    table = SummaryTable(1)
    kept = []
    for _ in range(1000):
        kept.append(table.take(3))
        if len(kept) > 4:
            table.give_back(kept.pop(0))
    assert len(table.dirty) < 64


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
    table = SummaryTable()
    table.fold([])
    empty = Points.of((), np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0)))
    table.fold([(Slots(table.take(0)), empty)])
    assert table.taken == 0
