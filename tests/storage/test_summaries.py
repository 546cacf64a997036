"""Summaries in memory and in SQL: whatever is flushed, dropped, lost or overtaken, each point counts once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.support.messages import QUIET_NAN, block, column, delete_run, find, get_run, log, new_run
from tests.support.model import summary, summary_of
from tests.support.postgres import Postgres

from runwire.v1 import run_pb2, server_pb2
from runwire_server.app import clock
from runwire_server.errors import NotFound, Unavailable
from runwire_server.metrics import flusher, series
from runwire_server.metrics import summaries as memory
from runwire_server.metrics.flusher import Flusher
from runwire_server.metrics.overlaid import OverlaidRuns
from runwire_server.metrics.pace import Pace
from runwire_server.metrics.summaries import Summaries
from runwire_server.storage.appended import Appended
from runwire_server.storage.base import Page, Stores
from runwire_server.storage.engine import Engine
from runwire_server.storage.schema import metric_series, runs
from runwire_server.storage.stores import open_engine, stores_on
from runwire_server.storage.summaries import SqlSummaries
from runwire_server.storage.summary_base import Flushed, SeriesRows

KEYS = ("a", "b", "c", "é")
# Key, step, time, value.
Logged = tuple[str, int, int, float]


class UnreliableSummaries(SqlSummaries):
    """Stores a number of times, and is away then."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.left = 10**9

    async def flush(self, batch: Sequence[SeriesRows]) -> Flushed:
        if self.left <= 0:
            raise Unavailable("STORAGE_UNAVAILABLE", "the database can not be reached at present")
        self.left -= 1
        return await super().flush(batch)


class Server:
    """What one server process has in memory, over a database that others may use, too.

    Attributes:
        stores: With its summaries laid over.
        summaries: What it has in memory.
        store: Where it flushes to.
        acked: For each run, how many of its batches were acknowledged.
        held: What commits have added while `holding`.
    """

    def __init__(self, engine: Engine) -> None:
        self.store = UnreliableSummaries(engine)
        self.holding = False
        self.held: list[Appended] = []
        stores = stores_on(engine, clock, random.Random(1), self._absorb)
        self.summaries = Summaries(self.store, stores.metrics)
        self.flusher = Flusher(self.summaries, self.store, shared=False)
        self.stores = replace(
            stores, runs=OverlaidRuns(stores.runs, self.summaries, self.flusher, Pace(lambda: 0.0))
        )

    async def _absorb(self, appended: Sequence[Appended]) -> None:
        if self.holding:
            self.held += appended
        else:
            await self.summaries.absorb(appended)

    @classmethod
    async def start(cls, engine: Engine) -> Server:
        """Begins as a process does, with what others have left."""
        server = cls(engine)
        server.summaries.note_unfolded(await server.store.unfolded())
        return server

    async def flush(self, transactions: int = 10**9) -> None:
        """Flushes, at most a number of transactions long."""
        self.store.left = transactions
        await self.flusher.drain(60)
        self.store.left = 10**9

    async def close(self) -> None:
        """Ends without a flush, as a killed process does."""
        await self.summaries.close()


@pytest.fixture(autouse=True)
def small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a run takes several."""
    monkeypatch.setattr(flusher, "ROWS_ALONE", 2)


@pytest.fixture
async def server(engine: Engine) -> AsyncIterator[Server]:
    """A server with an empty database."""
    started = await Server.start(engine)
    yield started
    await started.close()


@pytest.fixture
def stores(server: Server) -> Stores:
    """Its stores."""
    return server.stores


async def counts(stores: Stores, run: str) -> dict[str, int]:
    return {metric.key: metric.count for metric in (await get_run(stores, run)).metrics}


async def marks(engine: Engine) -> list[tuple[int, int]]:
    """Returns (folded, next) of each run."""
    query = sa.select(runs.c.folded_position, runs.c.next_position).order_by(runs.c.id)
    return [tuple(row) for row in await engine.read(lambda c: c.execute(query).all())]


async def stored_counts(engine: Engine, key: str) -> list[int]:
    """Returns the stored counts of a key, in all runs."""
    query = sa.select(metric_series.c.count).where(metric_series.c.key == key)
    return list(await engine.read(lambda c: c.scalars(query).all()))


async def rows(engine: Engine) -> dict[str, int]:
    """Returns the stored counts by key."""
    query = sa.select(metric_series.c.key, metric_series.c.count)
    found = await engine.read(lambda c: c.execute(query).all())
    return {row.key: row[1] for row in found}


async def test_what_was_logged_is_read_before_it_is_stored(server: Server, engine: Engine) -> None:
    run = (await new_run(server.stores)).run_id
    await log(server.stores, run, column("b", (1, 1.0)), column("a", (1, 2.0), (2, 3.0)))
    assert await rows(engine) == {}
    assert await counts(server.stores, run) == {"a": 2, "b": 1}
    (found,) = (await server.stores.runs.search(run_pb2.SearchRunsRequest(experiment_ids=["0"]))).runs
    assert [metric.key for metric in found.metrics] == ["a", "b"]
    mask = run_pb2.RunMask(metric_keys=["b", "c"])
    assert [m.key for m in (await get_run(server.stores, run, mask=mask)).metrics] == ["b"]
    mask = run_pb2.RunMask()
    mask.fields.paths.append("name")
    assert not (await get_run(server.stores, run, mask=mask)).metrics
    again = run_pb2.CreateRunRequest(run_id=run, experiment_id="0", allow_existing=True)
    assert [m.count for m in (await server.stores.runs.create(again)).run.metrics] == [2, 1]
    assert await rows(engine) == {}


async def test_a_search_stores_the_metrics_that_it_names(server: Server, engine: Engine) -> None:
    ids = [(await new_run(server.stores)).run_id for _ in range(3)]
    for number, run in enumerate(ids):
        await log(server.stores, run, block(["a", "b", "c"], [(1, [number, -number, 0.0])]))
    assert await find(server.stores, "0", filter="metrics.a >= 1", order_by=["metrics.a"]) == ids[1:]
    assert await rows(engine) == {"a": 1}
    assert await find(server.stores, "0", order_by=["metrics.b"]) == ids[::-1]
    assert set(await rows(engine)) == {"a", "b"}
    assert await find(server.stores, "0", filter="NOT (metrics.a < 1 OR metrics.b.min = -1)") == [ids[2]]
    # All but c were stored already.
    await server.flush()
    assert await rows(engine) == {"a": 1, "b": 1, "c": 1}
    assert await marks(engine) == [(1, 1)] * 3


async def test_a_server_that_dies_leaves_nothing_unfolded(server: Server, engine: Engine) -> None:
    run = (await new_run(server.stores)).run_id
    await log(server.stores, run, block(KEYS, [(1, [1.0] * 4), (2, [2.0] * 4)]))
    await server.flush(1)
    assert len(await rows(engine)) == 2
    assert await marks(engine) == [(0, 2)]
    await log(server.stores, run, column("a", (3, 3.0)))
    for read in (counts, find_a):
        other = await Server.start(engine)
        assert await read(other.stores, run) in ({"a": 3, "b": 2, "c": 2, "é": 2}, [run])
        await other.close()
    other = await Server.start(engine)
    await other.summaries.fold_rest()
    await other.flush()
    assert await rows(engine) == {"a": 3, "b": 2, "c": 2, "é": 2}
    assert await marks(engine) == [(3, 3)]
    assert await other.store.unfolded() == []
    await other.close()


async def find_a(stores: Stores, run: str) -> list[str]:
    return await find(stores, "0", filter="metrics.a.count = 3")


async def test_a_stale_row_never_replaces_a_newer_one(server: Server, engine: Engine) -> None:
    run = (await new_run(server.stores)).run_id
    await log(server.stores, run, column("a", (1, 1.0)))
    other = await Server.start(engine)
    await log(other.stores, run, column("a", (2, 2.0)))
    await other.summaries.settle([run])
    await other.flush()
    assert await rows(engine) == {"a": 2}
    await server.flush()
    assert await rows(engine) == {"a": 2}
    assert await marks(engine) == [(2, 2)]
    # What the one has not heard of, it reads.
    assert await counts(server.stores, run) == {"a": 2}
    await log(server.stores, run, column("a", (3, 3.0)))
    assert await counts(server.stores, run) == {"a": 3}
    await other.close()


async def test_a_run_of_a_server_that_is_gone_is_taken_over(server: Server, engine: Engine) -> None:
    other = await Server.start(engine)
    run = (await new_run(other.stores)).run_id
    await log(other.stores, run, column("a", (1, 1.0)))
    await other.close()
    for left in await server.store.unfolded():
        await server.summaries.take_over(left)
    await server.flush()
    assert await rows(engine) == {"a": 1}
    # In memory, but behind again.
    other = await Server.start(engine)
    await log(other.stores, run, column("a", (2, 1.0)))
    await other.close()
    for left in await server.store.unfolded():
        await server.summaries.take_over(left)
    assert await counts(server.stores, run) == {"a": 2}


async def test_answers_may_overtake_each_other(server: Server) -> None:
    run = (await new_run(server.stores)).run_id
    server.holding = True
    for number in range(20):
        await log(server.stores, run, column("a", (number, float(number))))
    pieces = [*server.held]
    random.Random(3).shuffle(pieces)
    for piece in pieces:
        await server.summaries.absorb([piece])
    assert await counts(server.stores, run) == {"a": 20}


async def test_points_that_came_too_fast_are_read_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "MAX_PENDING", 3)
    run = (await new_run(server.stores)).run_id
    server.holding = True
    for number in range(20):
        await log(server.stores, run, column("a", (number, float(number))))
    await server.summaries.absorb(server.held[5:])
    await server.summaries.absorb(server.held[:5])
    assert await counts(server.stores, run) == {"a": 20}


async def test_points_are_acknowledged_while_the_log_is_read(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = (await new_run(server.stores)).run_id
    await log(server.stores, run, column("a", (1, 1.0)))
    (left,) = await server.store.unfolded()
    await server.flush()
    server.holding = True
    await log(server.stores, run, column("a", (2, 1.0)))
    pages = server.stores.metrics.pages

    async def slow(*place: Any) -> AsyncIterator[Page]:
        async for page in pages(*place):
            await server.summaries.absorb(server.held)
            yield page

    monkeypatch.setattr(server.stores.metrics, "pages", slow)
    await server.summaries.take_over(left)
    assert await counts(server.stores, run) == {"a": 2}


async def test_memory_is_let_go_of_and_filled_again(server: Server, engine: Engine) -> None:
    run, last = [(await new_run(server.stores)).run_id for _ in range(2)]
    for one in (run, last):
        await log(server.stores, one, block(KEYS, [(1, [1.0] * 4)]))
    server.summaries.make_room(0)
    assert server.summaries.table.taken == 8
    await server.flush()
    server.summaries.make_room(0)
    assert server.summaries.find(run) is None
    assert server.summaries.table.taken == 4
    assert set((await counts(server.stores, run)).values()) == {1}
    await log(server.stores, run, column("a", (2, 1.0)))
    assert await counts(server.stores, run) == {"a": 2, "b": 1, "c": 1, "é": 1}
    await server.flush()
    assert sorted(await stored_counts(engine, "a")) == [1, 2]


async def test_points_come_no_faster_than_they_are_stored(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_UNSTORED", 3)
    monkeypatch.setattr(memory, "HELD_SECONDS", 600)
    run = (await new_run(server.stores)).run_id
    await log(server.stores, run, block(KEYS[:3], [(1, [1.0] * 3)]))
    held = asyncio.create_task(log(server.stores, run, block(KEYS, [(2, [1.0] * 4)])))
    while server.summaries.unstored <= 3:  # noqa: ASYNC110 - it is folded before it is held
        await asyncio.sleep(0)
    await counts(server.stores, run)
    assert not held.done()
    await server.flush()
    await held
    monkeypatch.setattr(memory, "HELD_SECONDS", 0.01)
    await log(server.stores, run, block(KEYS, [(3, [1.0] * 4)]))


async def test_a_run_dropped_while_it_is_read_is_read_again(server: Server) -> None:
    run, other = [(await new_run(server.stores)).run_id for _ in range(2)]
    await log(server.stores, run, column("a", (1, 1.0)))
    answers: list[run_pb2.GetRunResponse] = []
    below = server.stores.runs._runs  # type: ignore[attr-defined]
    get = below.get

    async def slow(request: run_pb2.GetRunRequest) -> run_pb2.GetRunResponse:
        answers.append(await get(request))
        if len(answers) == 1:
            await server.flush()
            await log(server.stores, other, column("a", (1, 1.0)))
            server.summaries.make_room(0)
        return answers[-1]

    below.get = slow
    assert await counts(server.stores, run) == {"a": 1}
    assert len(answers) == 2


async def test_a_purged_run_is_not_brought_back(server: Server, engine: Engine) -> None:
    run, kept = [(await new_run(server.stores)).run_id for _ in range(2)]
    for one in (run, kept):
        await log(server.stores, one, block(KEYS, [(1, [1.0] * 4)]))
    await delete_run(server.stores, run)
    await server.stores.maintenance.purge(server_pb2.PurgeRequest())
    await server.flush()
    assert await rows(engine) == dict.fromkeys(KEYS, 1)
    assert len(await rows(engine)) == server.summaries.table.taken
    assert await marks(engine) == [(1, 1)] * 2
    with pytest.raises(NotFound):
        await get_run(server.stores, run)


async def test_a_deleted_run_keeps_its_summaries_and_its_place(server: Server) -> None:
    run = (await new_run(server.stores)).run_id
    await log(server.stores, run, column("a", (1, 1.0)))
    await delete_run(server.stores, run)
    assert await find(server.stores, "0", filter="metrics.a = 1") == []
    assert await counts(server.stores, run) == {"a": 1}
    await server.stores.runs.restore(run_pb2.RestoreRunRequest(run_id=run))
    assert await find(server.stores, "0", filter="metrics.a = 1") == [run]


class Away(SqlSummaries):
    """Can not be reached for a while."""

    failures = 2

    async def load(self, run: int) -> Any:
        if self.failures:
            self.failures -= 1
            raise Unavailable("STORAGE_UNAVAILABLE", "the database can not be reached at present")
        return await super().load(run)


async def test_what_could_not_be_read_is_read_later(server: Server, engine: Engine) -> None:
    run = (await new_run(server.stores)).run_id
    await log(server.stores, run, column("a", (1, 1.0)))
    stores = stores_on(engine, clock, random.Random(1))
    summaries = Summaries(Away(engine), stores.metrics)
    server.holding = True
    await log(server.stores, run, column("a", (2, 1.0)))
    await summaries.absorb(server.held)
    with pytest.raises(Unavailable):
        await summaries.settle([run])
    with pytest.raises(Unavailable):
        await summaries.settle_experiments({0})
    await summaries.fold_rest()
    found = summaries.find(run)
    assert found is not None
    assert summaries.table.counts(found.order().slots) == [2]


async def test_a_bug_in_a_fold_loses_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    run = (await new_run(server.stores)).run_id
    await log(server.stores, run, column("a", (1, 1.0)))
    with monkeypatch.context() as patch:
        patch.setattr(server.summaries.table, "fold", lambda parts: 1 / 0)
        await log(server.stores, run, column("a", (2, 1.0)))
    assert await counts(server.stores, run) == {"a": 2}


# Any history of two servers over one database.

values = st.sampled_from([0.0, -0.0, 1.0, -1.0, QUIET_NAN, float("inf")])
batch = st.lists(
    st.tuples(st.sampled_from(KEYS), st.integers(0, 2), st.integers(0, 1), values), min_size=1, max_size=4
)
which = st.integers(0, 1)
steps = st.one_of(
    st.tuples(st.just("log"), which, which, st.lists(batch, min_size=1, max_size=3)),
    st.tuples(st.just("log"), which, which, st.lists(batch, min_size=1, max_size=3)),
    st.tuples(st.just("overtake"), which, which, st.lists(batch, min_size=2, max_size=4)),
    st.tuples(st.just("flush"), which, st.integers(1, 3), st.none()),
    st.tuples(st.just("search"), which, st.sampled_from(KEYS), st.none()),
    st.tuples(st.just("let go"), which, st.none(), st.none()),
    st.tuples(st.just("kill"), which, st.none(), st.none()),
)


class History:
    """Two servers, two runs, and what was logged to them in order of arrival."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.servers: list[Server] = []
        self.run_ids: list[str] = []
        self.logged: list[list[Logged]] = [[], []]
        # By server and run: how many of the points each server must show.
        self.acked = [[0, 0], [0, 0]]

    async def begin(self) -> None:
        self.servers = [await Server.start(self.engine) for _ in range(2)]
        self.run_ids = [(await new_run(self.servers[0].stores)).run_id for _ in range(2)]

    async def close(self) -> None:
        for server in self.servers:
            await server.close()

    async def do(self, step: Any) -> None:
        name, number, what, sent = step
        server = self.servers[number]
        match name:
            case "log":
                for points in sent:
                    await self.log(number, what, points)
            case "overtake":
                server.holding = True
                for points in sent:
                    await self.log(number, what, points)
                server.holding = False
                for piece in reversed(server.held):
                    await server.summaries.absorb([piece])
                server.held.clear()
            case "flush":
                await server.flush(what)
            case "search":
                await self.search(number, what)
            case "let go":
                server.summaries.make_room(0)
            case "kill":
                await server.close()
                self.servers[number] = await Server.start(self.engine)
                self.acked[number] = [len(points) for points in self.logged]

    async def log(self, number: int, run: int, points: Sequence[Logged]) -> None:
        sent = [column(key, (step, value), times=[time]) for key, step, time, value in points]
        await log(self.servers[number].stores, self.run_ids[run], *sent)
        self.logged[run] += points
        self.acked[number][run] = len(self.logged[run])

    async def check(self) -> None:
        """Each key's summary is that of all points up to some place, behind what the server has taken in."""
        for number, server in enumerate(self.servers):
            for run in range(2):
                found = {
                    m.key: summary_of(m) for m in (await get_run(server.stores, self.run_ids[run])).metrics
                }
                logged, least = self.logged[run], self.acked[number][run]
                for key in KEYS:
                    legal = [of_key(logged[:end], key) for end in range(least, len(logged) + 1)]
                    assert found.get(key) in legal, (number, run, key)

    async def search(self, number: int, key: str) -> None:
        """A search sees at least what the server has taken in."""
        for run in range(2):
            least, most = (
                len([p for p in self.logged[run][:end] if p[0] == key])
                for end in (self.acked[number][run], None)
            )
            quoted = f"metrics.`{key}`.count"
            text = f"{quoted} >= {least} AND {quoted} <= {most} AND run_id = '{self.run_ids[run]}'"
            found = await find(self.servers[number].stores, "0", filter=text)
            assert found == ([self.run_ids[run]] if least else found)

    async def finish(self) -> None:
        """In the end everything is stored, once."""
        for server in self.servers:
            await server.flush()
            await server.close()
        last = await Server.start(self.engine)
        await last.summaries.fold_rest()
        await last.flush()
        await last.close()
        bare = stores_on(self.engine, clock, random.Random(1))
        for run, run_id in enumerate(self.run_ids):
            found = {m.key: summary_of(m) for m in (await get_run(bare, run_id)).metrics}
            expected = {key: of_key(self.logged[run], key) for key in KEYS}
            assert found == {key: one for key, one in expected.items() if one}
        assert await last.store.unfolded() == []


def of_key(logged: Sequence[Logged], key: str) -> tuple[Any, ...] | None:
    points = sorted(((s, t, v) for k, s, t, v in logged if k == key), key=lambda point: point[:2])
    return summary(points) if points else None


@pytest.fixture(params=["sqlite", "postgresql"])
def history(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres
) -> Iterator[tuple[asyncio.Runner, Engine]]:
    """A database that many examples use, each with runs of its own."""
    with asyncio.Runner() as runner:
        where: str | Path = tmp_path / "runwire.db"
        if request.param == "postgresql":
            where = runner.run(postgres.create_database())
        engine = runner.run(open_engine(where))
        yield runner, engine
        runner.run(engine.close())


def test_any_history_counts_each_point_once(history: tuple[asyncio.Runner, Engine]) -> None:
    runner, engine = history

    async def play(script: list[Any]) -> None:
        played = History(engine)
        await played.begin()
        try:
            for step in script:
                await played.do(step)
                await played.check()
            await played.finish()
        finally:
            await played.close()

    @settings(
        max_examples=60 if engine.dialect == "sqlite" else 30,
        suppress_health_check=list(HealthCheck),
        phases=[p for p in Phase if p is not Phase.explain],
    )
    @given(st.lists(steps, max_size=12))
    def examples(script: list[Any]) -> None:
        runner.run(play(script))

    examples()
