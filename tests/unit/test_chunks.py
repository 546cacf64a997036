"""Chunks: what goes in comes out bit by bit, whatever is asked for of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwire_server.domain import chunks
from runwire_server.domain.blocks import Placed, Points
from runwire_server.domain.chunks import MAX_KEYS, MAX_POINTS, Axis, Chunk, Section, StoredChunk
from runwire_server.domain.stripes import chunks_of

INT64 = st.integers(-(2**63), 2**63 - 1)
BITS = st.integers(0, 2**64 - 1)
KEYS = [f"key {k}" for k in range(6)]

Series = dict[str, list[tuple[int, int, int, int]]]


def double(bits: Sequence[int]) -> np.ndarray:
    """Makes doubles of their bits: NaN payloads, subnormals and -0.0 among them."""
    return np.array(bits, "<u8").view("<f8")


@st.composite
def placed_blocks(draw: st.DrawFn) -> list[Placed]:
    """Blocks of few keys, in any combination, at ascending positions with holes."""
    blocks, position = [], draw(st.integers(0, 2**40))
    for _ in range(draw(st.integers(1, 8))):
        keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=6, unique=True))
        rows = draw(st.integers(1, 5))
        steps = draw(st.lists(INT64, min_size=rows, max_size=rows))
        times = draw(st.lists(st.integers(0, 2**62), min_size=rows, max_size=rows))
        values = draw(st.lists(BITS, min_size=rows * len(keys), max_size=rows * len(keys)))
        points = Points.of(keys, np.array(steps), np.array(times), double(values))
        blocks.append(Placed(points, np.arange(position, position + rows)))
        position += rows + draw(st.integers(0, 3))
    return blocks


def series_of(blocks: Sequence[Placed]) -> Series:
    """Returns position, step, time and bits of each key's points."""
    found: Series = defaultdict(list)
    for placed in blocks:
        block = placed.points
        bits = np.frombuffer(block.packed_values, "<u8").reshape(block.rows, -1)
        for k, key in enumerate(block.keys):
            found[key] += zip(
                placed.positions.tolist(),
                block.steps.tolist(),
                block.times.tolist(),
                bits[:, k].tolist(),
                strict=True,
            )
    return dict(found)


def stored(blocks: Sequence[Placed]) -> list[StoredChunk]:
    return [StoredChunk(chunks.encode(chunk)) for chunk in chunks_of(blocks)]


@given(placed_blocks())
def test_blocks_come_back_by_key(blocks: list[Placed]) -> None:
    found = [placed for chunk in stored(blocks) for placed in chunk.placed()]
    assert series_of(found) == series_of(blocks)
    assert all((np.diff(placed.positions) > 0).all() for placed in found)


@given(placed_blocks(), st.sets(st.sampled_from([*KEYS, "none"]), min_size=1), st.data())
def test_some_keys_and_positions_come_back_alone(
    blocks: list[Placed], keys: set[str], data: st.DataObject
) -> None:
    last = int(blocks[-1].positions[-1]) + 1
    first = data.draw(st.integers(int(blocks[0].positions[0]) - 1, last + 1))
    end = data.draw(st.integers(first, last + 1))
    expected = {
        key: kept
        for key, points in series_of(blocks).items()
        if key in keys and (kept := [p for p in points if first <= p[0] < end])
    }
    found = [placed for chunk in stored(blocks) for placed in chunk.placed(keys, first, end)]
    assert series_of(found) == expected


@pytest.mark.parametrize(("keys", "rows"), [(1, 1), (700, 3), (3, 65_536), (9, 40_000), (300, 1_000)])
def test_chunks_keep_their_bounds_and_the_order_of_keys(keys: int, rows: int) -> None:
    values = np.random.default_rng(1).standard_normal((rows, keys))
    names = [f"{k:03}" for k in reversed(range(keys))]
    block = Points.of(names, np.arange(rows), np.arange(rows) * 7, values)
    made = list(chunks_of([Placed(block, np.arange(rows))]))
    assert [key for chunk in made for key in chunk.keys] == sorted(names)
    assert all(len(chunk.keys) <= MAX_KEYS and len(chunk.values) <= MAX_POINTS for chunk in made)
    (found,) = StoredChunk(chunks.encode(made[-1])).placed([names[0]])
    assert found.points.packed_values == values[:, 0].tobytes()


def test_a_progression_takes_no_room() -> None:
    axis = Axis(np.arange(65_536), np.arange(65_536) * -3, np.full(65_536, 17))
    data = chunks.encode(Chunk(("a",), (axis,), np.array([0]), np.ones(65_536)))
    assert len(data) < 250


@given(st.lists(INT64, min_size=1, max_size=40))
def test_sections_give_any_part(numbers: list[int]) -> None:
    data = memoryview(b"".join(chunks.pack(np.array(numbers, np.int64))))
    section = Section(data, 0, len(numbers), "<i8")
    assert section.end == len(data)
    for first in range(len(numbers)):
        assert section.read(first, len(numbers)).tolist() == numbers[first:]
        assert section.read(0, first + 1).tolist() == numbers[: first + 1]


def test_parts_over_pages_come_whole() -> None:
    numbers = np.random.default_rng(2).standard_normal(3 * chunks.PAGE + 5)
    section = Section(memoryview(b"".join(chunks.pack(numbers))), 0, len(numbers), "<f8")
    size, page = len(numbers), chunks.PAGE
    for first, end in [(0, size), (page - 1, page + 1), (size - 5, size)]:
        assert section.read(first, end).tobytes() == numbers[first:end].tobytes()


@given(placed_blocks(), st.data())
def test_what_is_cut_off_is_told(blocks: list[Placed], data: st.DataObject) -> None:
    whole = chunks.encode(next(chunks_of(blocks)))
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError):  # noqa: PT011
        StoredChunk(whole[:length]).placed()


def test_a_format_of_a_later_version_is_told() -> None:
    with pytest.raises(ValueError, match="unknown format 2"):
        StoredChunk(b"\x02rest")


def test_a_series_longer_than_a_chunk_is_refused() -> None:
    rows = chunks.MAX_ROWS + 1
    block = Points.of(["a"], np.arange(rows), np.arange(rows), np.zeros(rows))
    with pytest.raises(ValueError, match="at most 65536"):
        list(chunks_of([Placed(block, np.arange(rows))]))
