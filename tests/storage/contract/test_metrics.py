"""Metric points, their history and their summaries, on every storage."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
from typing import Any

import pytest
from tests.support.messages import (
    ODD_NAN,
    QUIET_NAN,
    Point,
    bits,
    block,
    column,
    delete_run,
    get_run,
    history,
    log,
    new_run,
    point,
)

from runwire.v1 import block_pb2
from runwire_server.errors import FailedPrecondition, InvalidArgument, NotFound
from runwire_server.storage.base import Stores

UNKNOWN = "0198c0ffee007000800000000000dead"
# What a database is tempted to change.
ODD_VALUES = [
    0.0, -0.0, QUIET_NAN, ODD_NAN, math.inf, -math.inf, 5e-324, -5e-324, 1.7976931348623157e308, 0.1, 1e300
]  # fmt: skip
STEPS = [-(2**63), -1, 0, 1, 2**53 + 1, 2**63 - 1]


@pytest.fixture
async def run(stores: Stores) -> str:
    return (await new_run(stores)).run_id


async def summary(stores: Stores, run: str, key: str) -> block_pb2.MetricSummary:
    (found,) = [m for m in (await get_run(stores, run)).metrics if m.key == key]
    return found


async def test_every_double_comes_back_bit_by_bit(stores: Stores, run: str) -> None:
    await log(stores, run, column("a", *enumerate(ODD_VALUES)))
    assert await history(stores, run) == {run: {"a": [point(s, v) for s, v in enumerate(ODD_VALUES)]}}


@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
async def test_a_summary_of_one_point_is_that_point(stores: Stores, run: str, value: float) -> None:
    await log(stores, run, column("a", (3, value), times=[77]))
    found = await summary(stores, run, "a")
    assert bits(found.value) == bits(found.first_value) == bits(value)
    assert (found.step, found.timestamp_ms, found.first_step, found.first_timestamp_ms) == (3, 77, 3, 77)
    assert (found.count, found.nan_count) == (1, int(math.isnan(value)))
    if math.isnan(value):
        assert not any(found.HasField(f) for f in ("min_value", "max_value", "min_step", "max_step"))
    else:
        assert bits(found.min_value) == bits(found.max_value) == bits(value)
        assert (found.min_step, found.max_step) == (3, 3)


async def test_steps_go_to_the_ends_of_int64(stores: Stores, run: str) -> None:
    await log(stores, run, column("a", *((s, float(i)) for i, s in enumerate(STEPS)), times=[5] * 6))
    assert await history(stores, run) == {
        run: {"a": [Point(s, 5, bits(float(i))) for i, s in enumerate(STEPS)]}
    }
    found = await summary(stores, run, "a")
    assert (found.first_step, found.step) == (STEPS[0], STEPS[-1])


async def test_order_is_step_then_time_then_arrival(stores: Stores, run: str) -> None:
    await log(stores, run, column("a", (2, 1.0), (1, 2.0), (1, 3.0), (1, 4.0), times=[9, 8, 7, 7]))
    await log(stores, run, column("a", (1, 5.0), times=[7]))
    await log(stores, run, column("a", (0, 6.0), (2, 7.0), times=[99, 1]))
    expected = [(0, 99, 6.0), (1, 7, 3.0), (1, 7, 4.0), (1, 7, 5.0), (1, 8, 2.0), (2, 1, 7.0), (2, 9, 1.0)]
    points = [Point(step, time, bits(value)) for step, time, value in expected]
    assert await history(stores, run) == {run: {"a": points}}
    found = await summary(stores, run, "a")
    assert (found.value, found.step, found.timestamp_ms) == (1.0, 2, 9)
    assert (found.first_value, found.first_step, found.first_timestamp_ms) == (6.0, 0, 99)


async def test_of_equal_steps_and_times_the_last_to_arrive_is_latest(stores: Stores, run: str) -> None:
    await log(stores, run, column("a", (1, 1.0), (1, 2.0), times=[5, 5]))
    found = await summary(stores, run, "a")
    assert (found.first_value, found.value) == (1.0, 2.0)
    await log(stores, run, column("a", (1, 3.0), times=[5]))
    found = await summary(stores, run, "a")
    assert (found.first_value, found.value) == (1.0, 3.0)
    # Neither the highest nor the lowest is an exception.
    await log(stores, run, column("a", (1, -1.0), times=[5]), column("a", (1, 0.5), times=[5]))
    found = await summary(stores, run, "a")
    assert (found.first_value, found.value, found.min_value, found.max_value) == (1.0, 0.5, -1.0, 3.0)


async def test_equal_points_are_as_many_points(stores: Stores, run: str) -> None:
    for _ in range(3):
        await log(stores, run, column("a", (1, 1.0), (1, 1.0)))
    assert await history(stores, run) == {run: {"a": [point(1, 1.0)] * 6}}
    assert (await summary(stores, run, "a")).count == 6


async def test_nan_is_counted_and_can_be_latest_but_is_no_bound(stores: Stores, run: str) -> None:
    await log(stores, run, column("a", (1, 2.0), (2, 1.0), (3, 3.0), (4, QUIET_NAN)))
    await log(stores, run, column("a", (0, QUIET_NAN)))
    found = await summary(stores, run, "a")
    assert math.isnan(found.value)
    assert math.isnan(found.first_value)
    assert (found.step, found.first_step, found.count, found.nan_count) == (4, 0, 5, 2)
    assert (found.min_value, found.min_step, found.max_value, found.max_step) == (1.0, 2, 3.0, 3)


async def test_bounds_tie_to_the_lowest_step(stores: Stores, run: str) -> None:
    await log(stores, run, column("a", (5, 1.0), (3, 1.0), (4, 2.0)))
    await log(stores, run, column("a", (2, 1.0), (9, 1.0)))
    await log(stores, run, column("a", (3, 2.0)))
    found = await summary(stores, run, "a")
    assert (found.min_step, found.max_step) == (2, 3)


async def test_blocks_of_all_shapes(stores: Stores, run: str) -> None:
    wide = [f"w{i:02}" for i in range(20)]
    await log(
        stores,
        run,
        block(["b", "a"], [(1, [1.0, 2.0]), (2, [3.0, 4.0])]),
        block(wide, [(1, [float(i) for i in range(20)])]),
        block_pb2.Block(
            keys=["r"],
            range=block_pb2.StepRange(first=10, stride=-3),
            timestamps_ms=[1, 2, 3],
            values=[7, 8, 9],
        ),
        column("a", (3, 5.0)),
    )
    await log(stores, run, block(wide, [(0, [-float(i) for i in range(20)])]))
    assert await history(stores, run) == {
        run: {
            "a": [point(1, 2.0), point(2, 4.0), point(3, 5.0)],
            "b": [point(1, 1.0), point(2, 3.0)],
            "r": [Point(4, 3, bits(9.0)), Point(7, 2, bits(8.0)), Point(10, 1, bits(7.0))],
            **{f"w{i:02}": [point(0, -float(i)), point(1, float(i))] for i in range(20)},
        }
    }


async def test_a_group_names_the_keys_of_an_earlier_block(stores: Stores, run: str) -> None:
    keys = [f"k{i}" for i in range(9)]
    group = hashlib.sha256(b"".join(k.encode() + b"\0" for k in keys)).digest()[:16]
    values = [float(i) for i in range(9)]
    with pytest.raises(FailedPrecondition) as unknown:
        await log(stores, run, block([], [(1, values)], group=group))
    assert unknown.value.reason == "GROUP_UNKNOWN"
    assert unknown.value.metadata == {"run_id": run, "group": group.hex()}
    await log(stores, run, block(keys, [(1, values)]))
    await log(stores, run, block([], [(2, values)], group=group))
    with pytest.raises(InvalidArgument):
        await log(stores, run, block([], [(3, values[:-1])], group=group))
    expected = {key: [point(1, float(i)), point(2, float(i))] for i, key in enumerate(keys)}
    assert await history(stores, run) == {run: expected}
    assert (await summary(stores, run, "k8")).count == 2
    other = (await new_run(stores)).run_id
    with pytest.raises(FailedPrecondition):
        await log(stores, other, block([], [(1, values)], group=group))


async def test_history_of_chosen_keys_runs_and_steps(stores: Stores, run: str) -> None:
    other = (await new_run(stores)).run_id
    for run_id in (run, other):
        await log(stores, run_id, *(column(k, (1, 1.0), (2, 2.0), (3, 3.0)) for k in "abc"))
    found = await history(stores, other, run, keys=["c", "none", "a"], min_step=2, max_step=2)
    assert found == {
        other: {"c": [point(2, 2.0)], "a": [point(2, 2.0)]},
        run: {"c": [point(2, 2.0)], "a": [point(2, 2.0)]},
    }
    # Dicts are equal in any order; the stream has one.
    assert [(r, list(keys)) for r, keys in found.items()] == [(other, ["c", "a"]), (run, ["c", "a"])]
    assert await history(stores, run, keys=["a"], min_step=3) == {run: {"a": [point(3, 3.0)]}}
    assert await history(stores, run, keys=["a"], max_step=0) == {}


async def test_history_of_no_points_and_of_unknown_runs(stores: Stores, run: str) -> None:
    assert await history(stores, run) == {}
    with pytest.raises(NotFound) as unknown:
        await history(stores, run, UNKNOWN)
    assert (unknown.value.reason, unknown.value.metadata) == ("RUN_NOT_FOUND", {"run_id": UNKNOWN})


async def test_a_deleted_run_can_be_read(stores: Stores, run: str) -> None:
    await log(stores, run, column("a", (1, 1.0)))
    await delete_run(stores, run)
    assert await history(stores, run) == {run: {"a": [point(1, 1.0)]}}
    assert (await summary(stores, run, "a")).count == 1


async def test_many_points_in_many_batches(stores: Stores, run: str) -> None:
    # More log rows than a page has, and more points than a message.
    for start in range(0, 60_000, 10_000):
        points = [(s, float(s)) for s in range(start, start + 10_000)]
        await log(stores, run, column("a", *points))
    await asyncio.gather(*(log(stores, run, column("b", (step, 1.0))) for step in range(600)))
    found = (await history(stores, run))[run]
    assert found["a"] == [point(s, float(s)) for s in range(60_000)]
    assert len(found["b"]) == 600
    assert (await summary(stores, run, "a")).count == 60_000


async def test_summaries_are_those_of_the_history(stores: Stores, run: str) -> None:
    chance = random.Random(7)
    sent: list[tuple[int, int, float]] = []
    for _ in range(25):
        rows = [(chance.randrange(3), chance.choice([1.0, 2.0, -0.0, QUIET_NAN, math.inf])) for _ in range(4)]
        times = [chance.randrange(2) for _ in rows]
        sent += [(step, time, value) for (step, value), time in zip(rows, times, strict=True)]
        await log(stores, run, column("a", *rows, times=times))
    ordered = sorted(sent, key=lambda p: p[:2])
    assert await history(stores, run) == {run: {"a": [Point(s, t, bits(v)) for s, t, v in ordered]}}
    assert_summary(await summary(stores, run, "a"), ordered)


def assert_summary(found: block_pb2.MetricSummary, ordered: list[tuple[int, int, float]]) -> None:
    """Compares with what the whole history says."""
    numbers = [(value, step) for step, _, value in ordered if not math.isnan(value)]
    low, high = min(numbers), min((-v, s) for v, s in numbers)
    expected: dict[str, Any] = {
        "count": len(ordered),
        "nan_count": len(ordered) - len(numbers),
        "step": ordered[-1][0],
        "timestamp_ms": ordered[-1][1],
        "first_step": ordered[0][0],
        "first_timestamp_ms": ordered[0][1],
        "min_value": low[0],
        "min_step": low[1],
        "max_value": -high[0],
        "max_step": high[1],
    }
    assert {name: getattr(found, name) for name in expected} == expected
    assert bits(found.value) == bits(ordered[-1][2])
    assert bits(found.first_value) == bits(ordered[0][2])
