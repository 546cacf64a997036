"""Points cut into the messages of a watch, against plain rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwire.v1 import metric_pb2
from runwire_server.domain import watch_messages
from runwire_server.domain.blocks import Placed, Points
from runwire_server.domain.watch_messages import chosen, cut, encoded, message, windows

KEYS = tuple(f"k{i}" for i in range(6))
Row = tuple[int, str, int, int, float]


def placed(keys: tuple[str, ...], positions: list[int]) -> Placed:
    """Makes points whose numbers tell their position."""
    where = np.array(positions, np.int64)
    values = np.array([[p + KEYS.index(k) / 8 for k in keys] for p in positions])
    return Placed(Points.of(keys, where * 2, where * 3, values), where)


def rows_of(points: Points) -> list[Row]:
    """Returns each point, with the position that its numbers tell."""
    return [
        (step // 2, key, step, time, value)
        for step, time, row in zip(
            points.steps.tolist(), points.times.tolist(), points.values.tolist(), strict=True
        )
        for key, value in zip(points.keys, row, strict=True)
    ]


@st.composite
def logged(draw: st.DrawFn) -> list[Placed]:
    """Blocks as they are in the log: one after the other, with holes."""
    blocks, position = [], 0
    for _ in range(draw(st.integers(0, 6))):
        position += draw(st.integers(0, 3))
        keys = tuple(draw(st.lists(st.sampled_from(KEYS), min_size=1, unique=True)))
        count = draw(st.integers(1, 5))
        blocks.append(placed(keys, list(range(position, position + count))))
        position += count
    return blocks


@st.composite
def compacted(draw: st.DrawFn) -> list[Placed]:
    """Blocks as compaction leaves them: each key in one of them, keys of the same rows together or not."""
    sets = draw(st.lists(st.sets(st.integers(0, 30), min_size=1, max_size=12), min_size=1, max_size=3))
    blocks = []
    for number, positions in enumerate(sets):
        blocks += [placed((key,), sorted(positions)) for key in KEYS[number::3]]
    return draw(st.permutations(blocks))


@given(st.one_of(logged(), compacted()), st.sampled_from([1, 64, 300, 2**20]))
def test_windows_have_every_point_once_and_follow_each_other(blocks: list[Placed], size: int) -> None:
    end = max((int(block.positions[-1]) + 1 for block in blocks), default=0) + 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch_messages, "MESSAGE_BYTES", size)
        found = list(windows(blocks, end))
    assert not blocks or found[-1][1] == end
    begin = 0
    got: list[Row] = []
    for points, until in found:
        rows = [row for part in points for row in rows_of(part)]
        assert rows
        assert all(begin <= row[0] < until for row in rows)
        by_key = {key: [row[0] for row in rows if row[1] == key] for key in KEYS}
        assert all(positions == sorted(positions) for positions in by_key.values())
        if size == 1:
            assert len({row[0] for row in rows}) == 1
        got += rows
        begin = until
    assert sorted(got) == sorted(row for block in blocks for row in rows_of(block.points))


@given(logged())
def test_what_was_logged_one_after_the_other_stays_so(blocks: list[Placed]) -> None:
    found = [row for points, _ in windows(blocks, 10**6) for part in points for row in rows_of(part)]
    assert found == [row for block in blocks for row in rows_of(block.points)]


def test_neighbours_of_the_same_keys_are_one_block() -> None:
    blocks = [placed(("k0",), [n]) for n in range(100)] + [placed(("k1",), [100]), placed(("k0",), [101])]
    ((points, _),) = windows(blocks, 102)
    assert [(part.keys, part.rows) for part in points] == [(("k0",), 100), (("k1",), 1), (("k0",), 1)]


@given(logged(), st.integers(0, 40), st.integers(0, 40))
def test_a_cut_has_the_rows_of_its_positions(blocks: list[Placed], first: int, end: int) -> None:
    for block in blocks:
        kept = [row for row in rows_of(block.points) if first <= row[0] < end]
        part = cut(block, first, end).points
        assert (rows_of(part) if part.rows else []) == kept


@given(st.sets(st.sampled_from([*KEYS, "other"])))
def test_chosen_keys_are_the_columns_left(keys: set[str]) -> None:
    points = placed(KEYS, [1, 2, 3]).points
    wanted = [row for row in rows_of(points) if not keys or row[1] in keys]
    left = chosen(points, frozenset(keys))
    assert (rows_of(left) if left.size else []) == wanted


def test_a_message_reads_as_the_public_class() -> None:
    points = placed(("k0", "k1"), [5, 6]).points
    made = message(encoded("0" * 32, [points]), "cursor", ["f" * 32])
    public = metric_pb2.WatchMetricsResponse.FromString(made.SerializeToString())
    (block,) = public.blocks
    assert (block.run_id, list(block.block.keys)) == ("0" * 32, ["k0", "k1"])
    assert list(block.block.steps.steps) == [10, 12]
    assert list(block.block.timestamps_ms) == [15, 18]
    assert list(block.block.values) == list(itertools.chain(*points.values.tolist()))
    assert (public.cursor, list(public.resync_run_ids)) == ("cursor", ["f" * 32])
