"""What the metric store is said to hold is what it holds, each point once."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa
from tests.support.messages import delete_run, new_run

from runwire.v1 import run_pb2, server_pb2
from runwire_server.domain.blocks import Points
from runwire_server.metrics.compactor import Compactor
from runwire_server.storage import stats
from runwire_server.storage.base import Stores
from runwire_server.storage.engine import Engine
from runwire_server.storage.schema import metric_chunk, metric_log

KEYS = [f"k{i}" for i in range(20)]


async def log(stores: Stores, run: str, rows: int, *keys: str) -> None:
    at = np.arange(rows)
    block = Points.of(keys, at, at, np.random.default_rng(1).random((rows, len(keys))))
    await stores.runs.log_batch(run_pb2.LogBatchRequest(run_id=run), [block])


async def parts(stores: Stores) -> dict[str, tuple[int, int]]:
    """Reads rows and points of each part."""
    found = await stores.stats.storage()
    assert found.points == sum(p.points for p in found.parts if p.name in {"log", "stripes", "chunks"})
    assert all((part.bytes > 0) == (part.rows > 0) for part in found.parts)
    return {part.name: (part.rows, part.points) for part in found.parts}


async def test_an_empty_store(stores: Stores) -> None:
    assert set((await parts(stores)).values()) == {(0, 0)}
    found = await stores.stats.storage()
    assert (found.points, found.backlog_bytes) == (0, 0)
    assert found.database_bytes > 0


async def test_points_are_counted_where_they_are(stores: Stores, engine: Engine) -> None:
    runs = [(await new_run(stores)).run_id for _ in range(4)]
    for run in runs:
        await log(stores, run, 10, *KEYS)
        await log(stores, run, 7, "a")
    assert (await parts(stores))["log"] == (8, 4 * 207)
    assert (await parts(stores))["groups"] == (4, 80)
    backlog = (await stores.stats.storage()).backlog_bytes
    keys = await stores.metrics.find(runs)
    compactor = Compactor(stores.compaction)
    await compactor.compact(keys[0])
    await log(stores, runs[1], 5_000, "a")
    await compactor.compact(keys[1])
    found = await parts(stores)
    assert found["log"] == (4, 2 * 207)
    assert found["stripes"] == (1, 207)
    assert found["chunks"] == (1, 5_207)
    assert (await stores.stats.storage()).backlog_bytes == backlog // 2
    # What does not count takes room, but has no points.
    await engine.write(lambda c: c.execute(sa.text("UPDATE runs SET compacted_position = 17")) and None)
    found = await parts(stores)
    assert found["log"] == (4, 0)
    assert (await stores.stats.storage()).backlog_bytes == 0


async def test_purged_runs_count_no_more(stores: Stores) -> None:
    run = (await new_run(stores)).run_id
    await log(stores, run, 5_000, "a")
    (key,) = await stores.metrics.find([run])
    await Compactor(stores.compaction).compact(key)
    await log(stores, run, 1, *KEYS)
    await delete_run(stores, run)
    assert (await stores.stats.storage()).points == 5_020
    await stores.maintenance.purge(server_pb2.PurgeRequest())
    assert set((await parts(stores)).values()) == {(0, 0)}


async def test_many_pages(stores: Stores, engine: Engine, monkeypatch) -> None:
    monkeypatch.setattr(stats, "PAGE_ROWS", 3)
    run = (await new_run(stores)).run_id
    for _ in range(10):
        await log(stores, run, 2, "a", "b")
    (key,) = await stores.metrics.find([run])
    await Compactor(stores.compaction).compact(key)
    for _ in range(10):
        await log(stores, run, 2, "a", "b")
    assert (await stores.stats.storage()).points == 80
    monkeypatch.setattr(stats, "PAGE_BYTES", 1)
    assert (await stores.stats.storage()).points == 80

    def sizes(connection: sa.Connection) -> list[int]:
        tables = (metric_log, metric_chunk)
        return [connection.scalar(sa.select(sa.func.sum(sa.func.length(t.c.data)))) for t in tables]

    found = await stores.stats.storage()
    assert [part.bytes for part in found.parts[:2]] == await engine.read(sizes)
