"""Histories: order, ranges, many runs and keys, and points in every form that the wire allows."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from tests.rpc.asking import Api, column, failure_of
from tests.rpc.requests import encoded, row

from runwire.v1 import block_pb2
from runwire.v1 import metric_pb2 as metrics
from runwire.v1 import run_pb2 as runs

LOG_BATCH = "/runwire.v1.RunService/LogBatch"

# (step, time, value), in order of arrival.
Point = tuple[int, int, float]


@pytest.fixture
def run(api: Api) -> str:
    return api.new_run()


def block_of(key: str, points: Sequence[Point]) -> block_pb2.Block:
    steps, times, values = zip(*points, strict=True)
    return block_pb2.Block(keys=[key], steps={"steps": steps}, timestamps_ms=times, values=values)


def points_of(blocks: Sequence[block_pb2.RunBlock]) -> list[Point]:
    return [
        point
        for b in blocks
        for point in zip(b.block.steps.steps, b.block.timestamps_ms, b.block.values, strict=True)
    ]


def split(points: Sequence[Any], chance: random.Random) -> list[Sequence[Any]]:
    """Cuts a list into parts of 1 to 60."""
    parts = []
    while points:
        size = chance.randint(1, 60)
        parts.append(points[:size])
        points = points[size:]
    return parts


@pytest.mark.parametrize("seed", range(3))
def test_points_are_ordered_by_step_time_arrival(api: Api, run: str, seed: int) -> None:
    chance = random.Random(seed)
    # Few steps and times, so that many points share both; the value tells the arrival.
    points = [(chance.randint(-3, 3), chance.randint(0, 3), float(i)) for i in range(600)]
    for part in split(points, chance):
        api.log(run, *(block_of("m", some) for some in split(part, chance)))
    expected = sorted(points, key=lambda p: p[:2])
    assert points_of(api.history(run)) == expected
    (summary,) = api.run(run).metrics
    assert (summary.step, summary.timestamp_ms, summary.value) == expected[-1]
    assert (summary.first_step, summary.first_timestamp_ms, summary.first_value) == expected[0]
    assert (summary.count, summary.min_value, summary.max_value) == (600, 0.0, 599.0)


def test_equal_points_are_as_many_as_sent(api: Api, run: str) -> None:
    point = (7, 5, 0.5)
    api.log(run, block_of("m", [point, point]), block_of("m", [point]))
    api.log(run, block_of("m", [point]))
    assert points_of(api.history(run)) == [point] * 4
    assert api.run(run).metrics[0].count == 4


@pytest.mark.parametrize(
    ("low", "high"),
    [(None, None), (3, None), (None, 3), (3, 5), (4, 4), (-(2**63), 2**63 - 1), (100, None), (None, -100)],
)
def test_ranges(api: Api, run: str, low: int | None, high: int | None) -> None:
    api.log(run, column("a", [float(i) for i in range(-5, 10)], -5), row({"a": 0.5, "b": 1.0}, step=4))
    api.log(run, column("b", [1.0, 2.0], 3))
    asked = {name: step for name, step in (("min_step", low), ("max_step", high)) if step is not None}
    everything = api.history(run)
    wanted = [
        (b.block.keys[0], p)
        for b in everything
        for p in points_of([b])
        if (low is None or p[0] >= low) and (high is None or p[0] <= high)
    ]
    found = [(b.block.keys[0], p) for b in api.history(run, **asked) for p in points_of([b])]
    assert found == wanted
    assert len(points_of(everything)) == 19


def test_many_runs_and_keys(api: Api) -> None:
    ids = [api.new_run() for _ in range(30)]
    for i, run in enumerate(ids):
        api.log(run, row({"common": float(i), f"own {i}": -float(i), "b": 0.0}))
        api.log(run, column("common", [100.0 + i], first=1))
    api(runs.DeleteRunRequest(run_id=ids[3]))
    asked = ids[::-1]
    # Each run's keys in order, runs in the order asked for; deleted ones are read, too.
    everything = api.history(*asked)
    assert [b.run_id for b in everything] == [run for run in asked for _ in range(3)]
    keys = [b.block.keys[0] for b in everything]
    assert keys == [k for i in reversed(range(30)) for k in ("b", "common", f"own {i}")]
    # Keys in the order asked for; those that a run does not have add nothing.
    some = api.history(*asked, keys=["own 7", "nobody has it", "common"])
    assert [(b.run_id, b.block.keys[0]) for b in some] == [
        (run, key) for run in asked for key in (["own 7"] if run == ids[7] else []) + ["common"]
    ]
    assert [list(b.block.values) for b in some if b.block.keys[0] == "common"] == [
        [float(i), 100.0 + i] for i in reversed(range(30))
    ]
    assert api(metrics.GetMetricHistoryRequest(run_ids=asked, keys=["nobody has it"])) == []
    assert api(metrics.GetMetricHistoryRequest(run_ids=[api.new_run()])) == []


def test_long_histories_come_in_messages_of_bounded_size(api: Api) -> None:
    first, second = api.new_run(), api.new_run()
    count = 100_000
    for start in range(0, count, 10_000):
        api.log(first, column("m", [float(i) for i in range(start, start + 10_000)], start))
    api.log(second, column("m", [1.0] * 10))
    answers = api(metrics.GetMetricHistoryRequest(run_ids=[first, second]))
    assert len(answers) > 2
    assert max(answer.ByteSize() for answer in answers) < 1.1 * 2**20
    blocks = [b for answer in answers for b in answer.blocks]
    steps = [s for b in blocks if b.run_id == first for s in b.block.steps.steps]
    assert steps == list(range(count))
    assert [v for b in blocks if b.run_id == first for v in b.block.values] == [float(s) for s in steps]
    assert blocks[-1].run_id == second


def test_wide_blocks(api: Api, run: str) -> None:
    keys = [f"layer.{k:04}/weight" for k in range(2_000)]
    for step in range(0, 15, 5):
        values = [float(s * 10_000 + k) for s in range(step, step + 5) for k in range(2_000)]
        whole = block_pb2.Block(
            keys=keys, range={"first": step, "stride": 1}, timestamps_ms=[1] * 5, values=values
        )
        api.log(run, whole)
    blocks = api.history(run)
    assert [b.block.keys[0] for b in blocks] == keys
    assert all(
        list(b.block.values) == [float(s * 10_000 + k) for s in range(15)] for k, b in enumerate(blocks)
    )
    assert {(m.count, m.step) for m in api.run(run).metrics} == {(15, 14)}
    (block,) = api.history(run, keys=[keys[1_234]], min_step=14)
    assert list(block.block.values) == [141_234.0]


def test_long_keys_do_not_make_messages_that_are_too_large(api: Api, run: str) -> None:
    # 4.4 MB of keys; a client takes messages of 4 MiB by default.
    stem = "😀" * 245
    for part in range(2):
        api.log(run, row({f"{stem}{part}{k:04}": 0.0 for k in range(2_200)}))
    answers = api(metrics.GetMetricHistoryRequest(run_ids=[run]))
    assert sum(len(answer.blocks) for answer in answers) == 4_400
    assert max(answer.ByteSize() for answer in answers) < 1.3 * 2**20


def fixed(number: int, form: str, *values: float) -> bytes:
    """Encodes a field of 8-byte numbers one by one, each with its tag."""
    return b"".join(bytes([number << 3 | 1]) + struct.pack(f"<{form}", v) for v in values)


def packed(number: int, form: str, *values: float) -> bytes:
    """Encodes a field of 8-byte numbers as one."""
    return encoded(number, struct.pack(f"<{len(values)}{form}", *values))


STEPS, TIMES, VALUES = [3, -1, 2], [10, 20, 30], [0.5, float("-inf"), -0.0]
KEYS = encoded(1, b"m")
PACKED_STEPS = encoded(3, packed(1, "q", *STEPS))
PACKED_TIMES, PACKED_VALUES = packed(5, "q", *TIMES), packed(6, "d", *VALUES)
# Everything that means the same block.
WRITERS = {
    "packed": KEYS + PACKED_STEPS + PACKED_TIMES + PACKED_VALUES,
    "in another order": PACKED_VALUES + PACKED_STEPS + KEYS + PACKED_TIMES,
    "unpacked values": KEYS + PACKED_STEPS + PACKED_TIMES + fixed(6, "d", *VALUES),
    "unpacked times": KEYS + PACKED_STEPS + fixed(5, "q", *TIMES) + PACKED_VALUES,
    "unpacked steps": KEYS + encoded(3, fixed(1, "q", *STEPS)) + PACKED_TIMES + PACKED_VALUES,
    "unpacked": KEYS + encoded(3, fixed(1, "q", *STEPS)) + fixed(5, "q", *TIMES) + fixed(6, "d", *VALUES),
    "interleaved": KEYS
    + encoded(3, fixed(1, "q", *STEPS))
    + b"".join(fixed(5, "q", t) + fixed(6, "d", v) for t, v in zip(TIMES, VALUES, strict=True)),
    "several segments": KEYS
    + encoded(3, packed(1, "q", *STEPS[:1]) + packed(1, "q", *STEPS[1:]))
    + packed(5, "q", *TIMES[:2])
    + packed(5, "q")
    + packed(5, "q", *TIMES[2:])
    + b"".join(packed(6, "d", v) for v in VALUES),
    "a merged axis": KEYS
    + encoded(3, packed(1, "q", *STEPS[:2]))
    + PACKED_TIMES
    + encoded(3, packed(1, "q", *STEPS[2:]))
    + PACKED_VALUES,
    "the last axis": KEYS + encoded(4, b"\x09" + b"\x07" * 8) + PACKED_STEPS + PACKED_TIMES + PACKED_VALUES,
    "fields of the future": KEYS
    + PACKED_STEPS
    + encoded(77, b"later")
    + PACKED_TIMES
    + fixed(15, "q", 5)
    + PACKED_VALUES,
    "unpacked, with the future": KEYS
    + encoded(3, fixed(1, "q", *STEPS) + encoded(9, b"later"))
    + fixed(5, "q", *TIMES)
    + encoded(77, b"later")
    + fixed(6, "d", *VALUES),
}
PARTLY_PACKED = {
    "values": KEYS + PACKED_STEPS + PACKED_TIMES + fixed(6, "d", VALUES[0]) + packed(6, "d", *VALUES[1:]),
    "times": KEYS + PACKED_STEPS + packed(5, "q", *TIMES[:2]) + fixed(5, "q", TIMES[2]) + PACKED_VALUES,
    "steps": KEYS
    + encoded(3, fixed(1, "q", *STEPS[:2]) + packed(1, "q", *STEPS[2:]))
    + PACKED_TIMES
    + PACKED_VALUES,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_is_understood(api: Api, run: str, writer: str) -> None:
    # The public class reads it alike, so the test's own bytes are right.
    public = block_pb2.Block.FromString(WRITERS[writer])
    public_points = list(zip(public.steps.steps, public.timestamps_ms, public.values, strict=True))
    assert public_points == list(zip(STEPS, TIMES, VALUES, strict=True))
    api.raw(LOG_BATCH, encoded(1, run.encode()) + encoded(2, WRITERS[writer]))
    found = points_of(api.history(run))
    assert found == sorted(zip(STEPS, TIMES, VALUES, strict=True))
    assert struct.pack("<d", found[1][2]) == struct.pack("<d", -0.0)
    (summary,) = api.run(run).metrics
    assert (summary.count, summary.step, summary.value) == (3, 3, 0.5)


@pytest.mark.parametrize("what", PARTLY_PACKED)
def test_partly_packed_numbers_are_refused_not_mixed_up(api: Api, run: str, what: str) -> None:
    with api.unchanged(run):
        with pytest.raises(grpc.RpcError) as caught:
            api.raw(LOG_BATCH, encoded(1, run.encode()) + encoded(2, PARTLY_PACKED[what]))
        failure = failure_of(caught.value)
        assert (failure.reason, failure.metadata) == ("INVALID_FIELD", {"field": "blocks[0]"})


def test_points_logged_while_a_history_streams_are_left_out(api: Api) -> None:
    first, second = api.new_run(), api.new_run()
    for start in range(0, 90_000, 10_000):
        api.log(first, column("m", [1.0] * 10_000, start))
    api.log(second, column("m", [1.0]))
    stream = api.method("GetMetricHistory")(metrics.GetMetricHistoryRequest(run_ids=[first]), timeout=120)
    blocks = list(next(stream).blocks)
    api.log(first, column("m", [1.0] * 10_000, 90_000))
    blocks += [b for message in stream for b in message.blocks]
    assert sum(len(b.block.values) for b in blocks) == 90_000
    assert len(points_of(api.history(first))) == 100_000
