"""Curves of stored series: each bucket says what its points say, wherever they are stored by now."""

from __future__ import annotations

import itertools
import math
import struct
from dataclasses import dataclass

import numpy as np
import pytest
from tests.support.messages import bits, delete_run, history, new_run

from runwire.v1 import metric_pb2, run_pb2
from runwire_server.domain.blocks import Points
from runwire_server.errors import NotFound
from runwire_server.metrics.compactor import Compactor
from runwire_server.storage.base import Stores

UNKNOWN = "0198c0ffee007000800000000000dead"
BY_TIME = metric_pb2.CURVE_AXIS_TIME


@dataclass(frozen=True)
class Point:
    """A point, at x of an axis; those at one x are ordered by their place on the other."""

    x: int
    other: int
    value: float


async def log(stores: Stores, run: str, points: Points) -> None:
    await stores.runs.log_batch(run_pb2.LogBatchRequest(run_id=run), [points])


async def curves(stores: Stores, *series: tuple[str, str], **fields: int) -> list[metric_pb2.Curve]:
    """Reads curves, through the wire's bytes."""
    request = metric_pb2.GetMetricCurveRequest(
        series=[metric_pb2.Series(run_id=run, key=key) for run, key in series], **fields
    )
    found = []
    async for message in stores.metrics.curve(request):
        found += metric_pb2.GetMetricCurveResponse.FromString(message.SerializeToString()).curves
    assert [(c.series.run_id, c.series.key) for c in found] == list(series)
    return found


async def points_of(stores: Stores, run: str, key: str) -> list[Point]:
    """Reads all points of a series, in order of steps."""
    found = (await history(stores, run, keys=[key])).get(run, {}).get(key, [])
    return [Point(p.step, p.time, struct.unpack("<d", p.bits)[0]) for p in found]


def assert_true(curve: metric_pb2.Curve, points: list[Point]) -> None:
    """Compares each bucket with its points: buckets hold neighbours, so counts tell which."""
    assert curve.points == len(points) == sum(curve.count)
    at = 0
    for i, count in enumerate(curve.count):
        own = points[at : at + count]
        at += count
        numbers = [p for p in own if not math.isnan(p.value)]
        low = min(numbers, key=lambda p: p.value, default=own[0])
        high = max(numbers, key=lambda p: p.value, default=own[0])
        assert curve.nan_count[i] == count - len(numbers)
        for name, point in (("first", own[0]), ("last", own[-1]), ("min", low), ("max", high)):
            assert bits(getattr(curve, name)[i]) == bits(point.value), (name, i)
            assert getattr(curve, f"{name}_x")[i] == point.x, (name, i)
    assert all(a < b for a, b in itertools.pairwise(curve.first_x)) or len(points) == len(curve.count)


async def assert_right(
    stores: Stores, run: str, key: str, points: list[Point], **fields: int
) -> metric_pb2.Curve:
    """Reads a curve, and compares it with the points of its series."""
    (curve,) = await curves(stores, (run, key), **fields)
    low, high = fields.get("min_x", -(2**63)), fields.get("max_x", 2**63 - 1)
    if fields.get("axis", 0) == BY_TIME:
        turned = (Point(p.other, p.x, p.value) for p in points)
        points = sorted(turned, key=lambda p: (p.x, p.other))
    shown = [p for p in points if low <= p.x <= high]
    assert_true(curve, shown)
    assert len(curve.count) <= fields.get("max_points", 1_000) or len(shown) == len(curve.count)
    return curve


def noise(rng: np.random.Generator, rows: int) -> np.ndarray:
    values = rng.standard_normal(rows)
    values[rng.random(rows) < 0.01] = math.nan
    values[rng.random(rows) < 0.01] = -0.0
    return values


@pytest.mark.parametrize("compacted", [0, 1, 3])
async def test_a_long_series(stores: Stores, compacted: int) -> None:
    run, rng = (await new_run(stores)).run_id, np.random.default_rng(1)
    (row,) = await stores.metrics.find([run])
    for part in range(3):
        rows = 30_000
        steps = np.arange(part * rows, (part + 1) * rows)
        values = noise(rng, rows)
        if part == 1:
            values[12_345] = 1e9
        await log(stores, run, Points.of(["a", "b"], steps, steps * 5, np.stack((values, -values), 1)))
        if part < compacted:
            await Compactor(stores.compaction).compact(row)
    for key in "ab":
        points = await points_of(stores, run, key)
        for fields in ({}, {"max_points": 50}, {"max_points": 50, "axis": BY_TIME}, {"max_points": 3}):
            curve = await assert_right(stores, run, key, points, **fields)
            # The spike of one point among 90,000.
            assert 1e9 in [abs(v) for v in (*curve.min, *curve.max)]
            assert 42_345 * (5 if "axis" in fields else 1) in (*curve.min_x, *curve.max_x)
        for low, high in ((0, 89_999), (29_990, 30_020), (64, 70_000), (100_000, 200_000), (-5, 0)):
            for most in (5, 40, 1_000):
                await assert_right(stores, run, key, points, max_points=most, min_x=low, max_x=high)


@pytest.mark.parametrize("shape", ["repeated", "shuffled", "one step", "backwards", "late", "clock set back"])
async def test_steps_and_times_in_any_order(stores: Stores, shape: str) -> None:
    run, rng = (await new_run(stores)).run_id, np.random.default_rng(2)
    (row,) = await stores.metrics.find([run])
    for part in range(4):
        at = np.arange(part * 6_000, (part + 1) * 6_000)
        steps, times = {
            # A job that began again from an older checkpoint.
            "repeated": (at - 4_500 * part, at * 3),
            "shuffled": (rng.integers(0, 9_000, 6_000), rng.integers(0, 9_000, 6_000)),
            "one step": (np.zeros(6_000, np.int64), at // 7),
            "backwards": (-at, at),
            "late": (np.where(at % 6_000 == 5_999, 17, at), at),
            "clock set back": (at, at % 6_000),
        }[shape]
        await log(stores, run, Points.of(["a"], steps, times, noise(rng, 6_000)))
        if part < 3:
            await Compactor(stores.compaction).compact(row)
    points = await points_of(stores, run, "a")
    for axis in (0, BY_TIME):
        for most in (4, 11, 1_000):
            await assert_right(stores, run, "a", points, max_points=most, axis=axis)
            await assert_right(stores, run, "a", points, max_points=most, axis=axis, min_x=1_500, max_x=7_000)


async def test_short_series_come_point_by_point(stores: Stores) -> None:
    run, rng = (await new_run(stores)).run_id, np.random.default_rng(3)
    (row,) = await stores.metrics.find([run])
    keys = [f"k{i:03}" for i in range(300)]
    for part in range(5):
        at = np.arange(part * 20, part * 20 + 20)
        await log(stores, run, Points.of(keys, at, at, rng.standard_normal((20, 300))))
        await log(stores, run, Points.of(["sparse"], at[:1], at[:1], np.ones(1)))
    await Compactor(stores.compaction).compact(row)
    for key in ("k000", "k299", "sparse"):
        curve = await assert_right(stores, run, key, await points_of(stores, run, key))
        assert list(curve.count) == [1] * (5 if key == "sparse" else 100)
    await assert_right(stores, run, "k150", await points_of(stores, run, "k150"), max_points=9)


async def test_a_series_that_is_sparse_among_dense_ones(stores: Stores) -> None:
    run, rng = (await new_run(stores)).run_id, np.random.default_rng(4)
    (row,) = await stores.metrics.find([run])
    for part in range(3):
        at = np.arange(part * 9_000, (part + 1) * 9_000)
        await log(stores, run, Points.of(["dense"], at, at, noise(rng, 9_000)))
        await log(stores, run, Points.of(["sparse"], at[::30], at[::30], noise(rng, 300)))
        await Compactor(stores.compaction).compact(row)
    for key in ("dense", "sparse"):
        points = await points_of(stores, run, key)
        for most in (1, 10, 1_000):
            await assert_right(stores, run, key, points, max_points=most)


async def test_many_series_of_many_runs_come_in_the_order_asked_for(stores: Stores) -> None:
    rng = np.random.default_rng(5)
    run_ids = [(await new_run(stores)).run_id for _ in range(3)]
    at = np.arange(500)
    for run in run_ids:
        await log(stores, run, Points.of([f"k{i}" for i in range(40)], at, at, rng.random((500, 40))))
    asked = [(run, f"k{i}") for i in (3, 1, 39) for run in run_ids]
    asked += [(run_ids[0], f"k{i}") for i in range(4, 30)] + [(run_ids[1], "none")]
    found = await curves(stores, *asked, max_points=20)
    for (run, key), curve in zip(asked, found, strict=True):
        assert_true(curve, await points_of(stores, run, key))
    assert (found[-1].points, list(found[-1].count)) == (0, [])


async def test_the_ends_of_int64(stores: Stores) -> None:
    run = (await new_run(stores)).run_id
    steps = np.array([2**63 - 1, -(2**63), 0, -1, 2**62])
    await log(stores, run, Points.of(["a"], steps, np.arange(5), np.arange(5) * 1.0))
    points = await points_of(stores, run, "a")
    for most in (1, 2, 3, 5):
        await assert_right(stores, run, "a", points, max_points=most)
    await assert_right(stores, run, "a", points, max_points=1, min_x=-(2**63), max_x=-1)


async def test_runs_that_are_deleted_or_unknown(stores: Stores) -> None:
    run = (await new_run(stores)).run_id
    await log(stores, run, Points.of(["a"], np.arange(3), np.arange(3), np.ones(3)))
    await delete_run(stores, run)
    await assert_right(stores, run, "a", await points_of(stores, run, "a"))
    with pytest.raises(NotFound) as unknown:
        await curves(stores, (run, "a"), (UNKNOWN, "a"))
    assert unknown.value.metadata == {"run_id": UNKNOWN}


async def test_messages_are_not_larger_than_needed(stores: Stores) -> None:
    run, rng = (await new_run(stores)).run_id, np.random.default_rng(6)
    at = np.arange(10_000)
    keys = [f"k{i}" for i in range(8)]
    await log(stores, run, Points.of(keys, at, at, rng.random((10_000, 8))))
    request = metric_pb2.GetMetricCurveRequest(
        series=[metric_pb2.Series(run_id=run, key=key) for key in keys], max_points=10_000
    )
    sizes = [message.ByteSize() async for message in stores.metrics.curve(request)]
    assert len(sizes) == 4
    assert max(sizes) < 2 * 1024 * 1024
