"""A million made-up runs, quickly: rows go in sorted, indexes are made afterwards."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from runwire_server.storage import schema

TABLES = (schema.experiments, schema.runs, schema.params, schema.tags, schema.metric_series)
START = 1_700_000_000_000
CHUNK = 50_000

Row = tuple[Any, ...]

COLUMNS = {
    "experiments": ("id", "name", "lifecycle", "create_time", "update_time"),
    "runs": (
        *("id", "run_id", "experiment", "name", "status", "lifecycle"),
        *("start_time", "end_time", "create_hash"),
    ),
    "params": ("run", "key", "value", "experiment", "lifecycle", "start_time"),
    "tags": ("run", "key", "value", "experiment", "lifecycle", "start_time"),
    "metric_series": (
        *("run", "key", "experiment", "lifecycle", "start_time", "count", "nan_count"),
        *("latest", "latest_step", "latest_time", "min", "min_step", "max", "max_step"),
        *("first", "first_step", "first_time"),
    ),
}


def rows(first: int, last: int) -> dict[str, list[Row]]:
    """Makes the rows of the runs [first, last), each table's in the order of its primary key."""
    chance = random.Random(first)
    made: dict[str, list[Row]] = {name: [] for name in COLUMNS}
    for i in range(first, last):
        run, start = i + 1, START + 1000 * i
        status = chance.choices((3, 1, 4, 5), (90, 5, 3, 2))[0]
        run_id = f"{start:012x}7{chance.getrandbits(76):019x}"
        made["runs"].append((run, run_id, 1, f"bold-fox-{i}", status, 0, start, start + 500, b""))
        copied = (1, 0, start)
        params = {
            "batch": str(32 << chance.randrange(5)),
            "lr": chance.choice(("0.1", "0.01", "0.001", "3e-4", "1e-4")),
            "model": chance.choices("abcd", (50, 30, 15, 5))[0],
            "optimizer": chance.choice(("adam", "sgd")),
            "seed": str(i),
        }
        made["params"] += [(run, key, value, *copied) for key, value in params.items()]
        tags = {
            # Every 200,000th run is golden: 5 of a million.
            "stage": "golden" if i % 200_000 == 777 else chance.choice(("dev", "prod")),
            "team": f"t{chance.randrange(20)}",
            "user": f"u{chance.randrange(1000)}",
        }
        made["tags"] += [(run, key, value, *copied) for key, value in tags.items()]
        metrics = {
            "accuracy": chance.random(),
            "epoch": 10.0,
            "f1": chance.random(),
            "loss": None if i % 1000 == 0 else chance.random(),
            "time": float(chance.randrange(10_000)),
        }
        made["metric_series"] += [
            (run, key, *copied, 10, 0, value, 9, start, value, 3, value, 9, value, 0, start)
            for key, value in metrics.items()
        ]
    return made


def chunks(runs: int) -> Iterator[dict[str, list[Row]]]:
    """Makes the rows of all runs, some at a time."""
    experiment = (1, "bench", 0, START, START)
    yield {"experiments": [experiment]}
    for first in range(0, runs, CHUNK):
        yield rows(first, min(first + CHUNK, runs))


def _ddl(dialect: Any) -> tuple[list[str], list[str]]:
    """CREATE TABLE and CREATE INDEX for all tables."""
    tables, indexes = [], []
    for table in schema.metadata.sorted_tables:
        tables.append(str(sa.schema.CreateTable(table).compile(dialect=dialect)))
        indexes += [str(sa.schema.CreateIndex(index).compile(dialect=dialect)) for index in table.indexes]
    return tables, indexes


def fill_sqlite(path: Path, runs: int, report: Callable[[str], None]) -> None:
    """Makes an SQLite file with so many runs."""
    began = time.perf_counter()
    tables, indexes = _ddl(sqlite.dialect())  # type: ignore[attr-defined]
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    for statement in tables:
        connection.execute(statement)
    connection.execute("BEGIN")
    for chunk in chunks(runs):
        for name, some in chunk.items():
            columns = COLUMNS[name]
            marks = ", ".join("?" * len(columns))
            quoted = ", ".join(f'"{column}"' for column in columns)
            connection.executemany(f"INSERT INTO {name} ({quoted}) VALUES ({marks})", some)
    connection.execute("COMMIT")
    report(f"rows after {time.perf_counter() - began:.0f} s")
    for statement in indexes:
        connection.execute(statement)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    report(f"filled in {time.perf_counter() - began:.0f} s, {path.stat().st_size / 1e6:,.0f} MB")


async def fill_postgresql(connection: asyncpg.Connection, runs: int, report: Callable[[str], None]) -> None:
    """Fills an empty PostgreSQL database with so many runs."""
    began = time.perf_counter()
    tables, indexes = _ddl(postgresql.dialect())  # type: ignore[attr-defined]
    for statement in tables:
        await connection.execute(statement)
    for chunk in chunks(runs):
        for name, some in chunk.items():
            await connection.copy_records_to_table(name, records=some, columns=COLUMNS[name])
    report(f"rows after {time.perf_counter() - began:.0f} s")
    for statement in indexes:
        await connection.execute(statement)
    await connection.execute("VACUUM ANALYZE")
    size = await connection.fetchval("SELECT pg_database_size(current_database())")
    report(f"filled in {time.perf_counter() - began:.0f} s, {size / 1e6:,.0f} MB")
