"""Databases of earlier versions are brought up to date and read right."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import struct
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from tests.support.messages import column, log

from runwire.v1 import experiment_pb2, metric_pb2, run_pb2
from runwire_server.app import clock, working
from runwire_server.errors import StartupError
from runwire_server.storage.base import Stores
from runwire_server.storage.engine import Engine
from runwire_server.storage.schema import metadata
from runwire_server.storage.stores import open_engine

OLD = Path(__file__).parent / "databases"
RUN = "01900000000070008000000000000001"
EXPECTED_COUNTS = {"loss": 5, "new": 1, "odd": 1, **{f"layer{i}": 1 for i in range(12)}}


async def test_the_migrations_make_what_the_schema_says(engine: Engine) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert await engine.write(differences) == []


async def test_a_database_that_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    for _ in range(2):
        engine = await open_engine(tmp_path / "runwire.db")
        await engine.close()
    with sqlite3.connect(tmp_path / "runwire.db") as raw:
        assert raw.execute("SELECT count(*) FROM experiments").fetchone() == (1,)


async def test_a_newer_schema_is_refused(database: str | Path) -> None:
    engine = await open_engine(database)
    await engine.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    await engine.close()
    with pytest.raises(StartupError, match=r"9999.*newer"):
        await open_engine(database)


@pytest.mark.parametrize("dump", sorted(OLD.glob("*.sql")), ids=lambda p: p.stem)
def test_an_old_database_is_upgraded_and_read(dump: Path, tmp_path: Path) -> None:
    """Each dump holds the same run; see `databases/README.md`."""
    path = tmp_path / "runwire.db"
    with sqlite3.connect(path) as raw:
        raw.executescript(dump.read_text())
    raw.close()
    asyncio.run(_check(path))


async def _check(path: Path) -> None:
    engine = await open_engine(path)
    try:
        async with working(engine, clock, random.Random(1)) as metrics:
            await _read(metrics.stores)
            await _write(metrics.stores)
        # Stored by now, beside what an old server has folded in its own way.
        async with working(engine, clock, random.Random(1)) as metrics:
            assert await _counts(metrics.stores) == EXPECTED_COUNTS
    finally:
        await engine.close()


async def _read(stores: Stores) -> None:
    search = run_pb2.SearchRunsRequest(
        experiment_ids=["1"], filter="params.alpha = '0.1' AND metrics.loss.min < 0.3"
    )
    (run,) = (await stores.runs.search(search)).runs
    assert run.run_id == RUN
    assert [(p.key, p.value) for p in run.params] == [("alpha", "0.1")]
    assert [(t.key, t.value) for t in run.tags] == [("team", "blue")]
    assert [(i.dataset.name, i.context) for i in run.inputs] == [("wine", "training")]
    loss, odd = run.metrics[-2:]
    assert (loss.key, loss.value, loss.count, loss.min_value, loss.max_step) == ("loss", 0.25, 3, 0.25, 0)
    assert struct.pack("<d", odd.value) == struct.pack("<Q", 0x7FF8000000000001)
    asked = metric_pb2.GetMetricHistoryRequest(run_ids=[run.run_id], keys=["loss"])
    (message,) = [m async for m in stores.metrics.history(asked)]
    history = metric_pb2.GetMetricHistoryResponse.FromString(message.SerializeToString())
    assert list(history.blocks[0].block.values) == [1.0, 0.5, 0.25]
    found = await stores.experiments.get(experiment_pb2.GetExperimentRequest(name="wine"))
    assert found.experiment.experiment_id == "1"


async def _write(stores: Stores) -> None:
    """Goes on with the old run: its new points count beside the old ones."""
    await log(stores, RUN, column("loss", (3, 0.125), (4, float("nan"))), column("new", (1, 1.0)))
    assert await _counts(stores) == EXPECTED_COUNTS
    (run,) = (
        await stores.runs.search(
            run_pb2.SearchRunsRequest(experiment_ids=["1"], filter="metrics.loss.min < 0.2")
        )
    ).runs
    (loss,) = [metric for metric in run.metrics if metric.key == "loss"]
    assert (loss.first_value, loss.max_value, loss.nan_count) == (1.0, 1.0, 1)


async def _counts(stores: Stores) -> dict[str, int]:
    found = (await stores.runs.get(run_pb2.GetRunRequest(run_id=RUN))).run
    return {metric.key: metric.count for metric in found.metrics}
