"""From calls to frames: every point is there, bit for bit, in each key's order and around other records."""

from __future__ import annotations

import array
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwire import _series, errors
from runwire._buffer import Buffer
from runwire._cutter import Begin, Cutter
from runwire._delivery import Lane
from runwire._encoding import payload
from runwire._folding import Fold, Groups, Record
from runwire._records import Records
from runwire.v1 import block_pb2, frame_pb2

RUN = "a" * 32
OTHER = "b" * 32


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def expand(block: block_pb2.Block, groups: dict[bytes, list[str]]) -> list[tuple[str, int, int, bytes]]:
    """Lists the points of a block."""
    keys = groups[block.group] if block.group else list(block.keys)
    rows = len(block.timestamps_ms)
    if block.WhichOneof("axis") == "range":
        steps = [block.range.first + i * block.range.stride for i in range(rows)]
    else:
        steps = list(block.steps.steps)
    assert len(steps) == rows
    assert len(block.values) == rows * len(keys)
    return [
        (key, steps[s], block.timestamps_ms[s], bits(block.values[s * len(keys) + k]))
        for s in range(rows)
        for k, key in enumerate(keys)
    ]


Declared = dict[bytes, list[str]]


def folded(passes: list[list[Any]], names: Groups | None = None) -> tuple[list[frame_pb2.Record], Declared]:
    """Folds what was taken out of a buffer, and reads the records and the groups that they name."""
    groups = names or Groups()
    found: list[Record] = []
    for taken in passes:
        fold = Fold(groups, found.append)
        for item in taken:
            if isinstance(item, Record):
                fold.record(item)
            else:
                fold.columns(item[0])[item[1]].append(item)
        fold.finish()
    read = frame_pb2.FramePayload.FromString(payload([record.data for record in found])).records
    declared: Declared = {group.hash: list(group.keys) for record in found for group in record.groups}
    for record, one in zip(found, read, strict=True):
        for block in one.batch.blocks:
            assert not block.group or block.group in {group.hash for group in record.groups}
        points = sum(len(expand(block, declared)) for block in one.batch.blocks)
        assert record.points == points
    return list(read), declared


values = st.floats(width=64) | st.sampled_from([math.nan, -0.0, 5e-324, math.inf])
keys = st.sampled_from("abcd")
points = st.tuples(st.just("point"), st.sampled_from([RUN, OTHER]), keys, values, st.integers(-3, 3))
wide = st.sampled_from(["ab", "ba", "abc", "".join(map(chr, range(97, 97 + 12)))])
rows = st.tuples(st.just("row"), st.sampled_from([RUN, OTHER]), wide, values, st.integers(-3, 3))
marks = st.tuples(st.just("tag"), st.sampled_from([RUN, OTHER]), keys, values, st.just(0))


@settings(max_examples=200)
@given(st.lists(st.lists(points | rows | marks, max_size=25), max_size=4))
def test_folding_keeps_each_run_in_its_order(passes: list[list[tuple[str, str, str, float, int]]]) -> None:
    records = Records(now=lambda: 5)
    buffer = Buffer()
    buffer.on_wake = None
    expected: dict[tuple[str, str], list[Any]] = {}
    taken = []
    for calls in passes:
        for kind, run, key, value, step in calls:
            if kind == "point":
                buffer.point(run, key, value, 7, step)
                expected.setdefault((run, key), []).append((step, 7, bits(value)))
            elif kind == "row":
                buffer.row(run, {one: value + i for i, one in enumerate(key)}, 7, step)
                for i, one in enumerate(key):
                    expected.setdefault((run, one), []).append((step, 7, bits(value + i)))
            else:
                buffer.record(records.batch(run, None, None, {"t": "x"}))
                for one in "abcdefghijkl":
                    expected.setdefault((run, one), []).append("tag")
        taken.append(buffer.drain())
    found: dict[tuple[str, str], list[Any]] = {}
    read, declared = folded(taken)
    for record in read:
        run = record.batch.run_id
        if record.batch.tags:
            for one in "abcdefghijkl":
                found.setdefault((run, one), []).append("tag")
        for block in record.batch.blocks:
            for key, step, time, value in expand(block, declared):
                found.setdefault((run, key), []).append((step, time, value))
    assert found == expected


def test_a_set_of_keys_is_named_by_a_group_from_its_second_use_on() -> None:
    names = Groups()
    ten = {f"k{i}": float(i) for i in range(10)}
    buffer = Buffer()
    seen = []
    for step in range(3):
        buffer.row(RUN, ten, 1, step)
        block = folded([buffer.drain()], names)[0][0].batch.blocks[0]
        seen.append((len(block.keys), len(block.group)))
    assert seen == [(10, 0), (0, 16), (0, 16)]


@pytest.mark.parametrize("count", [10_001, 10_008, 10_009, 20_001])
def test_a_very_wide_set_is_declared_once_however_narrow_its_last_piece(count: int) -> None:
    names = Groups()
    keys = tuple(f"layer/{i}" for i in range(count))
    uses = [[part.group for part in names.parts(keys)] for _ in range(3)]
    assert uses[0][0] is not None
    # The very same: none is made anew, and counted anew against what one stream declares.
    assert [list(map(id, use)) for use in uses] == [list(map(id, uses[0]))] * 3


def test_very_wide_rows_are_divided_and_stay_in_one_record() -> None:
    names = [f"layer/{i}" for i in range(25_000)]
    buffer = Buffer()
    buffer.row(RUN, dict(zip(names, map(float, range(25_000)), strict=True)), 1, 4)
    (record,), declared = folded([buffer.drain()])
    assert len(record.batch.blocks) == 3
    found = [point for block in record.batch.blocks for point in expand(block, declared)]
    assert [point[0] for point in found] == names
    assert [point[3] for point in found] == [bits(float(i)) for i in range(25_000)]
    with pytest.raises(ValueError, match="200000"):
        buffer.row(RUN, dict.fromkeys(map(str, range(200_001)), 1.0), 1, 4)


def test_records_stay_below_the_size_of_a_frame() -> None:
    buffer = Buffer()
    for step in range(90_000):
        buffer.point(RUN, "m", float(step), 1, step * step)
    sizes = [len(record.SerializeToString()) for record in folded([buffer.drain()])[0]]
    assert sum(sizes) > 2_000_000
    assert max(sizes) < 1_000_000


@pytest.mark.parametrize(
    ("given", "steps", "times"),
    [
        (np.arange(5.0), None, None),
        (np.arange(5, dtype=np.float32) / 3, np.arange(5) * 2, None),
        (np.arange(10.0)[::2], [5, 4, 3, 2, 1], 77),
        (array.array("d", [1, 2, 3, 4, 5]), range(0, 50, 10), [1, 2, 3, 4, 5]),
        ([1, 2.5, np.float64(3), True + 0.0, 5], [9, 9, 1, 0, -4], np.full(5, 3)),
        (np.arange(5), array.array("q", [1, 2, 4, 8, 16]), None),
    ],
)
def test_a_series_is_taken_as_it_is(given: Any, steps: Any, times: Any) -> None:
    ((block, count),) = _series.blocks("m", given, steps, times, 9)
    found = expand(block_pb2.Block.FromString(block), {})
    stamps = [9] * 5 if times is None else [times] * 5 if isinstance(times, int) else list(times)
    expected = zip(range(5) if steps is None else steps, stamps, given, strict=True)
    assert found == [("m", int(s), int(t), bits(float(v))) for s, t, v in expected]
    assert count == 5


def test_a_long_series_comes_in_pieces() -> None:
    found = list(_series.blocks("m", np.arange(100_000.0), np.arange(100_000) * 3, None, 9))
    assert [count for _, count in found] == [32_768, 32_768, 32_768, 1696]
    points = [point for block, _ in found for point in expand(block_pb2.Block.FromString(block), {})]
    assert [point[1] for point in points] == list(range(0, 300_000, 3))
    assert all(block_pb2.Block.FromString(block).WhichOneof("axis") == "range" for block, _ in found)


_LOW, _HIGH = -(1 << 63), (1 << 63) - 1


@given(
    first=st.integers(_LOW, _HIGH),
    last=st.integers(_LOW, _HIGH),
    count=st.integers(1, 40),
    odd=st.none() | st.tuples(st.integers(0, 39), st.integers(_LOW, _HIGH)),
    as_array=st.booleans(),
)
def test_steps_are_what_they_were_regular_or_not(
    first: int, last: int, count: int, odd: tuple[int, int] | None, as_array: bool
) -> None:
    steps = [first + (last - first) // count * i for i in range(count)]
    if odd is not None:
        steps[odd[0] % count] = odd[1]
    given = np.array(steps) if as_array else steps
    ((data, _),) = _series.blocks("m", [0.0] * count, given, None, 9)
    assert [step for _, step, _, _ in expand(block_pb2.Block.FromString(data), {})] == steps


@pytest.mark.parametrize(
    ("values", "steps", "times", "error", "match"),
    [
        ("text", None, None, TypeError, "array or a list"),
        ([1, "2"], None, None, TypeError, "number"),
        (np.array(["a"]), None, None, TypeError, "numbers"),
        (np.zeros((2, 2)), None, None, ValueError, "dimension"),
        ([1, 2], [1], None, ValueError, "as many steps"),
        ([1, 2], [1.5, 2], None, TypeError, "int"),
        ([1, 2], np.array([1.5, 2]), None, TypeError, "ints"),
        ([1], np.array([2**63], dtype=np.uint64), None, ValueError, "64 bits"),
        ([1, 2], None, [1, 2, 3], ValueError, "as many timestamps"),
        ([1], None, [-1], errors.InvalidArgument, "0 or later"),
        ([1, 2, 3], None, np.array([5, -(2**63), 7]), errors.InvalidArgument, "0 or later"),
        ([1], None, -1, errors.InvalidArgument, "0 or later"),
    ],
)
def test_a_wrong_series_is_refused(
    values: Any, steps: Any, times: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        list(_series.blocks("m", values, steps, times, 9))


class _Frames:
    """Takes frames; a new segment or a new writer on demand."""

    def __init__(self) -> None:
        self.segment = 0
        self.lane: Any = object()
        self.refusals = 0
        self.frames: list[list[frame_pb2.Record]] = []

    def open_lane(self, size: int) -> tuple[Lane, int]:
        return self.lane, self.segment

    def target(self, lane: Lane) -> int:
        return 1000

    def write(self, lane: Lane, data: bytes, groups: dict[bytes, frame_pb2.Group]) -> bool:
        if self.refusals:
            self.refusals -= 1
            self.lane = object()
            return False
        self.frames.append(list(frame_pb2.FramePayload.FromString(data).records))
        return True


def _kinds(frames: list[list[frame_pb2.Record]]) -> list[list[str]]:
    return [[str(record.WhichOneof("kind")) for record in frame] for frame in frames]


def test_each_segment_begins_the_runs_that_it_names() -> None:
    out, begins = _Frames(), dict[str, Begin]()
    cutter, records = Cutter(out, begins), Records()
    given: dict[str, Any] = {"run_name": None, "start_time": None, "params": None, "tags": None}
    parent, first = records.begin("0", None, run_id=RUN, parent_run_id=None, **given)
    child, second = records.begin("0", None, run_id=OTHER, parent_run_id=RUN, **given)
    begins.update({RUN: parent, OTHER: child})
    for record in [*first, *second, records.batch(OTHER, {"m": 1}, None, None)]:
        cutter.add(record)
    cutter.cut()
    cutter.add(records.batch(OTHER, {"m": 1}, None, None))
    cutter.cut()
    out.segment = 1
    cutter.add(records.batch(OTHER, {"m": 1}, None, None))
    cutter.cut()
    # The writer ends while a frame is cut: its successor begins the runs again.
    out.refusals = 1
    cutter.add(records.finish(OTHER, None, None))
    cutter.cut()
    assert _kinds(out.frames) == [
        ["begin", "begin", "batch"],
        ["batch"],
        ["begin", "begin", "batch"],
        ["begin", "begin", "finish"],
    ]
    begun = [record.begin.run.run_id for record in out.frames[2][:2]]
    assert begun == [RUN, OTHER]
    # A run that has ended is not begun again.
    assert list(begins) == [RUN]


def test_many_params_begin_a_run_in_a_record_of_their_own() -> None:
    given: dict[str, Any] = {"run_name": None, "start_time": None, "tags": None, "parent_run_id": None}
    params = {f"p{i}": "x" * 1000 for i in range(500)}
    begin, (named, batch) = Records().begin(None, "wine", run_id=None, params=params, **given)
    assert len(begin.message.run.params) == 0
    assert begin.message.experiment_name == "wine"
    assert named.data == b""
    assert len(frame_pb2.Record.FromString(batch.data).batch.params) == 500
    with pytest.raises(errors.InvalidArgument, match="one frame"):
        Records().batch(RUN, None, {f"p{i}": "x" * 6000 for i in range(400)}, None)


@pytest.mark.parametrize("key", ["", "a//b", "/a", "../a", ".", "a\x00", "x" * 251])
def test_bad_keys_are_refused_at_the_call(key: str) -> None:
    buffer, records = Buffer(), Records()
    for call in (
        lambda: buffer.point(RUN, key, 1.0, None, None),
        lambda: buffer.row(RUN, {"fine": 1.0, key: 1.0}, None, None),
        lambda: records.series(RUN, key, [1.0], None, None),
        lambda: records.batch(RUN, None, {key: 1}, None),
        lambda: records.batch(RUN, {key: 1}, None, None),
        lambda: records.delete_tag(RUN, key),
    ):
        with pytest.raises(errors.InvalidArgument) as caught:
            call()
        assert caught.value.reason == "INVALID_FIELD"
        assert caught.value.violations
    assert not buffer.items


def test_wrong_arguments_leave_nothing_behind() -> None:
    buffer = Buffer()
    with pytest.raises(errors.InvalidArgument, match="hex"):
        buffer.point("run", "m", 1.0, None, None)
    with pytest.raises(errors.InvalidArgument, match="UTF-8"):
        buffer.point(RUN, "\ud800", 1.0, None, None)
    with pytest.raises(errors.InvalidArgument, match="0 or later"):
        buffer.point(RUN, "m", 1.0, -1, None)
    with pytest.raises(TypeError, match="step"):
        buffer.point(RUN, "m", 1.0, None, 1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="64 bits"):
        buffer.point(RUN, "m", 1.0, None, 2**63)
    with pytest.raises(TypeError, match="number"):
        buffer.row(RUN, {"m": 1.0, "n": None}, None, None)
    assert not buffer.items
