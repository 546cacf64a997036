"""Log rows give back the blocks that they were made of, bit by bit."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runwire_server.domain.blocks import (
    FORMAT,
    GROUP_BYTES,
    INLINE_KEYS,
    Points,
    decode,
    encode,
    group_hash,
    joined,
    split,
)

MAX, MIN = 2**63 - 1, -(2**63)
INT64 = st.one_of(st.integers(-3, 3), st.sampled_from([MAX, MIN, MAX - 1, MIN + 1]), st.integers(MIN, MAX))
KEY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=5)


@st.composite
def progressions(draw: st.DrawFn, rows: int) -> list[int]:
    """Regular numbers, which may wrap around, and ones that are nearly regular."""
    first, stride = draw(INT64), draw(INT64)
    numbers = [(first + stride * i - MIN) % 2**64 + MIN for i in range(rows)]
    if draw(st.booleans()):
        numbers[draw(st.integers(0, rows - 1))] = draw(INT64)
    return numbers


def axes(rows: int) -> st.SearchStrategy[list[int]]:
    return st.one_of(st.lists(INT64, min_size=rows, max_size=rows), progressions(rows))


@st.composite
def blocks(draw: st.DrawFn) -> Points:
    rows = draw(st.integers(1, 6))
    keys = draw(st.lists(KEY, min_size=1, max_size=INLINE_KEYS + 3, unique=True))
    size = rows * len(keys)
    bits = draw(st.lists(st.integers(0, 2**64 - 1), min_size=size, max_size=size))
    return points(keys, draw(axes(rows)), draw(axes(rows)), bits)


def points(keys: list[str], steps: list[int], times: list[int], bits: list[int]) -> Points:
    values = np.array(bits, np.uint64).view(np.float64).reshape(len(steps), len(keys))
    return Points.of(tuple(keys), np.array(steps, np.int64), np.array(times, np.int64), values)


def check_same(read: Points, written: Points) -> None:
    if len(written.keys) > INLINE_KEYS:
        assert (read.keys, read.group) == ((), group_hash(joined(written.keys)))
    else:
        assert (read.keys, read.group) == (written.keys, b"")
    assert read.rows == written.rows
    assert read.steps.tolist() == written.steps.tolist()
    assert read.times.tolist() == written.times.tolist()
    assert read.values.shape == written.values.shape
    assert read.values.tobytes() == written.values.tobytes()


@settings(max_examples=120)
@given(st.lists(blocks(), max_size=4))
# Differences that wrap around to one stride, and strides at the edges of int64.
@example([points(["a"], [MIN, MAX, MAX - 2**64 // 2], [0, 0, 0], [0, 0, 0])])
@example([points(["a"], [MIN, 0, MAX], [MAX, 0, -MAX], [0, 0, 0])])
@example([points(["a"], [MAX, 0, -MAX], [MIN, -1, MAX - 1], [0, 0, 0])])
def test_blocks_come_back(written: list[Points]) -> None:
    read = list(decode(encode(written)))
    assert len(read) == len(written)
    for one, other in zip(read, written, strict=True):
        check_same(one, other)


def test_columns_cut_out_of_an_array_come_back() -> None:
    whole = np.arange(60.0).reshape(10, 6)
    steps = np.arange(0, 100, dtype=np.int64)[::10]
    written = Points.of(("a", "b"), steps, steps[::-1], whole[:, 1:3])
    (read,) = decode(encode([written]))
    check_same(read, written)


@pytest.mark.parametrize(("count", "regular"), [(2, False), (3, True), (1_000, True)])
def test_regular_axes_take_no_room(count: int, regular: bool) -> None:
    steps = list(range(0, count * 7, 7))
    size = len(encode([points(["a"], steps, [5] * count, [0] * count)]))
    axes_size = 32 if regular else count * 16
    assert size == 1 + 9 + 4 + 2 + axes_size + count * 8


def test_many_keys_are_named_by_their_group() -> None:
    keys = [f"key {k}" for k in range(INLINE_KEYS + 1)]
    data = encode([points(keys, [1], [2], [0] * len(keys))])
    named = hashlib.sha256(b"".join(k.encode() + b"\0" for k in keys)).digest()[:16]
    assert named in data
    assert b"key 0" not in data
    assert len(named) == GROUP_BYTES


@given(st.lists(KEY, min_size=1, max_size=20))
def test_joined_keys_split(keys: list[str]) -> None:
    assert joined(keys) == b"".join(key.encode() + b"\0" for key in keys)
    assert split(joined(keys)) == tuple(keys)


@given(st.lists(KEY, min_size=1, max_size=5), st.lists(KEY, min_size=1, max_size=5))
def test_groups_differ_as_their_keys_do(first: list[str], second: list[str]) -> None:
    assert (group_hash(joined(first)) == group_hash(joined(second))) == (first == second)


@pytest.mark.parametrize("number", sorted({0, FORMAT + 1, 255}))
def test_other_formats_are_refused(number: int) -> None:
    data = bytes([number]) + encode([points(["a"], [1], [1], [0])])[1:]
    with pytest.raises(ValueError, match=f"format {number}"):
        list(decode(data))


def test_a_row_that_is_cut_off_is_an_error() -> None:
    data = encode([points(["a", "b"], [1, 5], [1, 1], [0] * 4)])
    for end in range(2, len(data)):
        with pytest.raises((ValueError, struct.error)):
            list(decode(data[:end]))
