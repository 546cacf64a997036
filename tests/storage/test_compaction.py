"""Compaction moves points, and no read notices: whatever is interleaved, interrupted or done twice."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.messages import delete_run, history, new_run
from tests.support.postgres import Postgres

from runwire.v1 import run_pb2, server_pb2
from runwire_server.app import clock
from runwire_server.domain import chunks, compaction, pyramids, stripes
from runwire_server.domain.blocks import Placed, Points
from runwire_server.metrics import compactor
from runwire_server.metrics.compactor import Compactor
from runwire_server.storage import compaction as steps
from runwire_server.storage import point_rows, purge
from runwire_server.storage.base import Stores
from runwire_server.storage.engine import Engine
from runwire_server.storage.schema import metric_chunk, metric_group, metric_log, runs
from runwire_server.storage.stores import open_engine, stores_on

KEYS = [f"k{i:02}" for i in range(12)]
# Position, step, time and bits of a key's points, in order of arrival.
Series = dict[str, list[tuple[int, int, int, int]]]


class CrashError(Exception):
    """The compactor is gone."""


class Crashing:
    """The steps of compaction, until a crash."""

    def __init__(self, store: Any, left: int) -> None:
        self._store = store
        self._left = left

    def __getattr__(self, name: str) -> Any:
        step = getattr(self._store, name)
        if name not in {"insert", "flip", "trim"}:
            return step

        async def counted(*arguments: Any) -> Any:
            if self._left == 0:
                raise CrashError
            self._left -= 1
            return await step(*arguments)

        return counted


@dataclass
class World:
    """A database with one run at a time, and the loop that it lives in."""

    runner: asyncio.Runner
    engine: Engine
    stores: Stores
    run_id: str = ""
    run: int = 0
    model: Series = field(default_factory=dict)
    position: int = 0

    async def begin(self) -> None:
        self.run_id = (await new_run(self.stores)).run_id
        (self.run,) = await self.stores.metrics.find([self.run_id])
        self.model, self.position = defaultdict(list), 0

    async def append(self, *blocks: Points) -> None:
        """Logs blocks, and has the model know them."""
        request = run_pb2.LogBatchRequest(run_id=self.run_id)
        await self.stores.runs.log_batch(request, blocks)
        for block in blocks:
            bits = np.frombuffer(block.packed_values, "<u8").reshape(block.rows, -1)
            for s, (step, time) in enumerate(zip(block.steps.tolist(), block.times.tolist(), strict=True)):
                for k, key in enumerate(block.keys):
                    self.model[key].append((self.position + s, step, time, int(bits[s, k])))
            self.position += block.rows

    def expected(self, first: int, end: int, keys: Sequence[str]) -> Series:
        found = {
            key: [p for p in points if first <= p[0] < end]
            for key, points in self.model.items()
            if not keys or key in keys
        }
        return {key: points for key, points in found.items() if points}

    async def rows(self) -> dict[str, int]:
        """Counts what is stored, visible or not."""

        def unit(connection: sa.Connection) -> dict[str, int]:
            found = {
                "log": sa.select(sa.func.count()).where(metric_log.c.run == self.run),
                "stripes": sa.select(sa.func.count()).where(
                    metric_chunk.c.run == self.run, metric_chunk.c.level == 1
                ),
                "sealed": sa.select(sa.func.count()).where(
                    metric_chunk.c.run == self.run, metric_chunk.c.level == 2
                ),
            }
            return {name: connection.scalar(query) or 0 for name, query in found.items()}

        return await self.engine.read(unit)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A database of each kind."""
    where: str | Path = tmp_path / "runwire.db"
    with asyncio.Runner() as runner:
        if request.param == "postgresql":
            postgres: Postgres = request.getfixturevalue("postgres")
            where = runner.run(postgres.create_database())
        engine = runner.run(open_engine(where))
        made = World(runner, engine, stores_on(engine, clock, random.Random(1)))
        runner.run(made.begin())
        yield made
        runner.run(engine.close())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds so low that few points fill pages, chunks and steps."""
    for module in (stripes, compaction, chunks):
        for name, value in (("MAX_KEYS", 3), ("MAX_ROWS", 16), ("MAX_POINTS", 40)):
            monkeypatch.setattr(module, name, value, raising=False)
    for module in (compaction, compactor):
        monkeypatch.setattr(module, "SEALED_ROWS", 20, raising=False)
    monkeypatch.setattr(compaction, "SUBSET_POINTS", 30)
    monkeypatch.setattr(compactor, "STEP_BYTES", 2_000)
    monkeypatch.setattr(steps, "LOG_STEPS", 12)
    monkeypatch.setattr(purge, "LARGE_STEP", 5)
    monkeypatch.setattr(point_rows, "LOG_ROWS", 2)
    monkeypatch.setattr(point_rows, "CHUNK_ROWS", 3)
    monkeypatch.setattr(point_rows, "CHUNK_POINTS", 45)
    monkeypatch.setattr(pyramids, "LEAST_ROWS", 8)


def blocks_of(rng: random.Random) -> list[Points]:
    """Makes a batch of blocks, of any keys in any order, with steps out of order."""
    made = []
    for _ in range(rng.randint(1, 3)):
        # Few sets of keys come again and again, as they do in a run.
        keys = rng.choice([KEYS[:1], KEYS[1:4], KEYS, KEYS[::-2], rng.sample(KEYS, rng.randint(1, 12))])
        rows = rng.choice([1, 1, 2, 5, 20])
        values = np.array([rng.getrandbits(64) for _ in range(rows * len(keys))], "<u8").view("<f8")
        numbers = [np.array([rng.randint(0, 9) for _ in range(rows)]) for _ in range(2)]
        made.append(Points.of(keys, numbers[0], numbers[1], values))
    return made


def series_of(found: Sequence[Placed]) -> Series:
    series: Series = defaultdict(list)
    for placed in found:
        block = placed.points
        bits = np.frombuffer(block.packed_values, "<u8").reshape(block.rows, -1)
        for k, key in enumerate(block.keys):
            series[key] += zip(
                placed.positions.tolist(),
                block.steps.tolist(),
                block.times.tolist(),
                bits[:, k].tolist(),
                strict=True,
            )
    return dict(series)


@dataclass
class Reader:
    """A read that has begun, and what it has found."""

    pieces: AsyncIterator[Placed]
    first: int
    end: int
    keys: list[str]
    found: list[Placed] = field(default_factory=list)

    async def go_on(self, most: int) -> bool:
        """Reads some pieces; returns whether there may be more."""
        for _ in range(most):
            try:
                self.found.append(await anext(self.pieces))
            except StopAsyncIteration:
                return False
        return True


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 2**32)),
        st.tuples(st.just("compact"), st.one_of(st.just(1000), st.integers(0, 12))),
        st.tuples(st.just("seal"), st.one_of(st.just(1000), st.integers(0, 12))),
        st.tuples(st.just("begin"), st.integers(0, 2**32)),
        st.tuples(st.just("read"), st.integers(1, 6)),
        st.tuples(st.just("pages"), st.integers(0, 2**32)),
        st.tuples(st.just("history"), st.integers(0, 2**32)),
    ),
    min_size=3,
    max_size=25,
)


async def play(world: World, actions: Sequence[tuple[str, int]]) -> None:
    await world.begin()
    readers: list[Reader] = []
    for action, number in actions:
        rng = random.Random(number)
        if action == "append":
            await world.append(*blocks_of(rng))
        elif action in {"compact", "seal"}:
            working = Compactor(Crashing(world.stores.compaction, number))
            try:
                await (working.compact(world.run) if action == "compact" else working.seal(world.run))
            except CrashError:
                continue
        elif action == "begin":
            readers.append(a_reader(world, rng))
        elif action == "read":
            for reader in readers:
                await reader.go_on(number)
        elif action == "pages":
            await check_pages(world, rng)
        else:
            await check_history(world, rng)
    for reader in readers:
        while await reader.go_on(10):
            pass
        assert series_of(reader.found) == world.expected(reader.first, reader.end, reader.keys)
    await check_history(world, random.Random(1))


def a_reader(world: World, rng: random.Random) -> Reader:
    first = rng.choice([0, rng.randint(0, world.position)])
    end = rng.choice([world.position, rng.randint(first, world.position)])
    keys = rng.choice([[], rng.sample([*KEYS, "none"], rng.randint(1, 5))])
    pieces = world.stores.metrics.blocks(world.run, first, end, keys)
    return Reader(pieces, first, end, keys)


async def check_pages(world: World, rng: random.Random) -> None:
    reader = a_reader(world, rng)
    at, found = reader.first, []
    async for page in world.stores.metrics.pages(world.run, reader.first, reader.end, reader.keys):
        assert page.first == at < page.end
        assert all(page.first <= p < page.end for b in page.blocks for p in b.positions.tolist())
        at = page.end
        found += page.blocks
    assert at == reader.end
    assert series_of(found) == world.expected(reader.first, reader.end, reader.keys)


async def check_history(world: World, rng: random.Random) -> None:
    keys = rng.choice([[], rng.sample(KEYS, 3)])
    found = (await history(world.stores, world.run_id, keys=keys)).get(world.run_id, {})
    expected = {
        key: [(s, t, b) for _, s, t, b in sorted(points, key=lambda p: (p[1], p[2], p[0]))]
        for key, points in world.expected(0, world.position, keys).items()
    }
    assert {
        key: [(p.step, p.time, int.from_bytes(p.bits, "little")) for p in points]
        for key, points in found.items()
    } == expected
    assert list(found) == [key for key in keys or sorted(expected) if key in expected]


@pytest.mark.usefixtures("small")
def test_reads_see_each_point_once_whatever_compaction_does(world: World) -> None:
    @settings(
        max_examples=150 if world.engine.dialect == "sqlite" else 30,
        suppress_health_check=list(HealthCheck),
    )
    @given(ACTIONS)
    def played(actions: list[tuple[str, int]]) -> None:
        world.runner.run(play(world, actions))

    played()


@pytest.mark.usefixtures("small")
def test_every_crash_is_mended_by_the_next_compaction(world: World) -> None:
    async def crashes() -> None:
        for left in range(0, 100, 1 if world.engine.dialect == "sqlite" else 5):
            await world.begin()
            rng = random.Random(5)
            for _ in range(6):
                await world.append(*blocks_of(rng))
            try:
                await Compactor(Crashing(world.stores.compaction, left)).compact(world.run)
            except CrashError:
                found = [b async for b in world.stores.metrics.blocks(world.run)]
                assert series_of(found) == world.expected(0, world.position, [])
                assert await Compactor(world.stores.compaction).compact(world.run)
                continue
            rows = await world.rows()
            assert rows["log"] == rows["stripes"] == 0
            assert rows["sealed"] > 10
            return
        pytest.fail("compaction has too many steps")

    world.runner.run(crashes())


@pytest.mark.usefixtures("small")
def test_nothing_is_left_behind(world: World) -> None:
    async def compacted() -> None:
        rng = random.Random(3)
        for _ in range(8):
            await world.append(*blocks_of(rng))
            await Compactor(world.stores.compaction).compact(world.run)
        rows = await world.rows()
        assert rows["log"] == 0
        visible = [b async for b in world.stores.metrics.blocks(world.run)]
        assert series_of(visible) == world.expected(0, world.position, [])
        # Once more changes nothing.
        await Compactor(world.stores.compaction).compact(world.run)
        assert await world.rows() == rows

    world.runner.run(compacted())


@pytest.mark.usefixtures("small")
def test_two_compactors_of_one_run_harm_each_other_not_the_points(world: World) -> None:
    async def both() -> None:
        rng = random.Random(11)
        for _ in range(12):
            for _ in range(3):
                await world.append(*blocks_of(rng))
            workers = [Compactor(world.stores.compaction) for _ in range(3)]
            await asyncio.gather(*(worker.compact(world.run) for worker in workers))
            found = [b async for b in world.stores.metrics.blocks(world.run)]
            assert series_of(found) == world.expected(0, world.position, [])

    world.runner.run(both())


@pytest.mark.usefixtures("small")
def test_a_purge_in_the_middle_leaves_nothing(world: World) -> None:
    async def purged(left: int) -> bool:
        await world.begin()
        rng = random.Random(2)
        for _ in range(8):
            await world.append(*blocks_of(rng))
        ended = True
        try:
            await Compactor(Crashing(world.stores.compaction, left)).compact(world.run)
        except CrashError:
            ended = False
        await delete_run(world.stores, world.run_id)
        going_on = Compactor(world.stores.compaction)
        reader = world.stores.metrics.blocks(world.run)
        await asyncio.gather(
            world.stores.maintenance.purge(server_pb2.PurgeRequest()), going_on.compact(world.run)
        )
        assert [b async for b in reader] == []
        assert await world.rows() == {"log": 0, "stripes": 0, "sealed": 0}
        return ended

    async def all_of_them() -> None:
        for left in range(0, 100, 1 if world.engine.dialect == "sqlite" else 5):
            if await purged(left):
                return

    world.runner.run(all_of_them())


def test_a_compactor_finds_what_an_earlier_one_has_left(world: World) -> None:
    async def found() -> None:
        for _ in range(70):
            await world.append(Points.of(["a"], np.arange(300), np.arange(300), np.arange(300) * 0.5))
        second = Compactor(world.stores.compaction)
        await second.scan()
        assert await second.compact_next()
        assert not await second.compact_next()
        rows = await world.rows()
        assert (rows["stripes"], rows["sealed"]) == (0, 1)

    # 21,000 step rows in 70 rows are not due before their run has ended.
    async def ended() -> None:
        await world.stores.runs.finish(run_pb2.FinishRunRequest(run_id=world.run_id))

    world.runner.run(ended())
    world.runner.run(found())


LOSSES = 2.5 * np.exp(-np.arange(200_000) / 40_000) + 0.3


def losses(rng: np.random.Generator, rows: int, keys: int) -> np.ndarray:
    """Losses as a training has them: float32, noisy."""
    noise = 1 + 0.05 * rng.standard_normal((rows, keys))
    return (LOSSES[:rows, None] * noise).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize(
    ("keys", "rows", "frame", "goal"),
    [(1, 150_000, 10_000, 4.5), (10, 20_000, 1_000, 3.8), (20_000, 20, 2, 9.0)],
)
def test_compacted_points_take_few_bytes(world: World, keys: int, rows: int, frame: int, goal: float) -> None:
    async def measured() -> float:
        rng = np.random.default_rng(keys)
        values = losses(rng, rows, keys)
        times = 1_750_000_000_000 + np.cumsum(rng.gamma(20, 5, rows)).astype(np.int64)
        names = [f"layer{k // 50}/weight/gradient/{k % 50}" for k in range(keys)]
        for at in range(0, rows, frame):
            part = slice(at, at + frame)
            await world.stores.runs.log_batch(
                run_pb2.LogBatchRequest(run_id=world.run_id),
                [Points.of(names, np.arange(rows)[part], times[part], values[part])],
            )
        await Compactor(world.stores.compaction).compact(world.run)

        def unit(connection: sa.Connection) -> int:
            size = sa.func.length
            parts = (
                sa.select(
                    sa.func.sum(size(metric_chunk.c.data) + sa.func.coalesce(size(metric_chunk.c.pyramid), 0))
                ),
                sa.select(sa.func.sum(size(metric_log.c.data))),
                sa.select(sa.func.sum(size(metric_group.c["keys"]))),
            )
            return sum(int(connection.scalar(part) or 0) for part in parts)

        return await world.engine.read(unit) / (rows * keys)

    assert world.runner.run(measured()) <= goal


def test_marks_stay_in_order(world: World) -> None:
    async def marks() -> None:
        for _ in range(3):
            await world.append(Points.of(["a"], np.arange(2_000), np.arange(2_000), np.zeros(2_000)))
            await Compactor(world.stores.compaction).compact(world.run)
        row = await world.engine.read(
            lambda c: c.execute(
                sa.select(runs.c.sealed_position, runs.c.compacted_position, runs.c.next_position)
            ).one()
        )
        # 2,000 are too few to seal at once, and three times 2,000 are enough.
        assert tuple(row) == (6_000, 6_000, 6_000)

    world.runner.run(marks())
