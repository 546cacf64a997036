"""Fills the tables that searches read, without the server, and runs units on either database."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from runwire.v1 import block_pb2, run_pb2
from runwire_server.storage import schema, search
from runwire_server.storage.sqlite import COMMON_PRAGMAS

T = TypeVar("T")


class Database(Protocol):
    """Runs a unit in a transaction of its own."""

    def run(self, unit: Callable[[sa.Connection], T]) -> T:
        """Returns what the unit does."""


class SqliteMemory:
    """SQLite in memory, with the pragmas that the server sets."""

    def __init__(self) -> None:
        self.engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        with self.engine.connect() as connection:
            for pragma in COMMON_PRAGMAS:
                connection.exec_driver_sql(pragma)
        self.run(schema.metadata.create_all)

    def run(self, unit: Callable[[sa.Connection], T]) -> T:
        with self.engine.begin() as connection:
            return unit(connection)

    def close(self) -> None:
        self.engine.dispose()


class PostgresDatabase:
    """A PostgreSQL database, empty but for the schema."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        host = url.partition("?host=")[2]
        url = url.partition("?")[0].replace("postgresql://", "postgresql+asyncpg://", 1)
        self._engine = create_async_engine(url, connect_args={"host": host})
        self.run(schema.metadata.create_all)

    def run(self, unit: Callable[[sa.Connection], T]) -> T:
        async def call() -> T:
            async with self._engine.begin() as connection:
                return await connection.run_sync(unit)

        return self._runner.run(call())

    def close(self) -> None:
        self._runner.run(self._engine.dispose())
        self._runner.close()


@dataclass(frozen=True)
class StoredRun:
    """A run as stored: its message, and its own lifecycle."""

    run: run_pb2.Run
    lifecycle: int


# The order in which rows go, and the reverse of which they leave.
_TABLES = (
    schema.experiments,
    schema.runs,
    schema.params,
    schema.tags,
    schema.metric_series,
    schema.datasets,
    schema.run_inputs,
)


def refill(
    connection: sa.Connection, experiments: dict[int, int], stored: Iterable[StoredRun]
) -> dict[int, run_pb2.Run]:
    """Replaces everything.

    Args:
        connection: Of the unit.
        experiments: Ids and lifecycles.
        stored: The runs; their row keys count up from 1.

    Returns:
        The runs by row key.
    """
    rows: dict[sa.Table, list[dict[str, Any]]] = {table: [] for table in _TABLES}
    for key, lifecycle in experiments.items():
        rows[schema.experiments].append(
            {"id": key, "name": f"e{key}", "lifecycle": lifecycle, "create_time": 0, "update_time": 0}
        )
    for key, one in enumerate(stored, 1):
        _add_run(rows, key, one)
    for table in reversed(_TABLES):
        connection.execute(table.delete())
    for table in _TABLES:
        if rows[table]:
            connection.execute(table.insert(), rows[table])
    return {key: one.run for key, one in enumerate(stored, 1)}


def _add_run(rows: dict[sa.Table, list[dict[str, Any]]], key: int, one: StoredRun) -> None:
    run = one.run
    start = run.start_time.ToMilliseconds()
    rows[schema.runs].append(
        {
            "id": key,
            "run_id": run.run_id,
            "experiment": int(run.experiment_id),
            "name": run.name,
            "status": run.status,
            "lifecycle": one.lifecycle,
            "start_time": start,
            "end_time": run.end_time.ToMilliseconds() if run.HasField("end_time") else None,
            "parent_run_id": run.parent_run_id or None,
            "create_hash": b"",
        }
    )
    copied = {
        "run": key,
        "experiment": int(run.experiment_id),
        "lifecycle": one.lifecycle,
        "start_time": start,
    }
    rows[schema.params] += [{**copied, "key": p.key, "value": p.value} for p in run.params]
    rows[schema.tags] += [{**copied, "key": t.key, "value": t.value} for t in run.tags]
    rows[schema.metric_series] += [{**copied, **_series(metric)} for metric in run.metrics]
    for position, entry in enumerate(run.inputs):
        dataset = len(rows[schema.datasets]) + 1
        rows[schema.datasets].append(
            {
                "id": dataset,
                "experiment": int(run.experiment_id),
                "content_hash": str(dataset).encode(),
                "name": entry.dataset.name,
                "digest": entry.dataset.digest,
                **dict.fromkeys(("source_type", "source", "schema", "profile"), ""),
            }
        )
        rows[schema.run_inputs].append(
            {"run": key, "position": position, "dataset": dataset, "context": entry.context}
        )


def _series(metric: block_pb2.MetricSummary) -> dict[str, Any]:
    values = {
        "latest": metric.value,
        "min": metric.min_value if metric.HasField("min_value") else math.nan,
        "max": metric.max_value if metric.HasField("max_value") else math.nan,
        "first": metric.first_value,
    }
    steps = dict.fromkeys(
        ("latest_step", "latest_time", "min_step", "max_step", "first_step", "first_time", "nan_count"), 0
    )
    numbers = {name: None if math.isnan(value) else value for name, value in values.items()}
    return {"key": metric.key, "count": metric.count, **numbers, **steps}


def page_of(connection: sa.Connection, request: run_pb2.SearchRunsRequest) -> tuple[list[int], str]:
    """Searches runs; returns the row keys of the page, and the token of the next one."""
    page = search.search_runs(connection, request)
    return page.keys, page.token(len(page.keys))
