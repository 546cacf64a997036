"""How long a page of a search takes among many runs, loading its runs included.

    python -m tests.bench.bench_search [--runs 1000000] [--keep FILE] [--database postgresql://...]

Prints for each query the way it went, and the times of its first page and its 50th. `ids` is the part
of the search alone, without loading the runs.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from tests.bench.search_fill import START, fill_postgresql, fill_sqlite

from runwire.v1 import run_pb2
from runwire_server.storage.run_rows import load_runs
from runwire_server.storage.search import explain, search_runs
from runwire_server.storage.sqlite import COMMON_PRAGMAS, READER_PRAGMAS

PAGE = 50

# The goal holds for these; each p50 at most so many milliseconds.
GOAL_MS = 15.0
GOALS: list[tuple[str, list[str]]] = [
    ("", []),
    ("metrics.loss < 0.5 AND params.model = 'b'", ["metrics.loss"]),
    ("tags.team = 't3' OR tags.team = 't7'", []),
    ("attributes.status = 'FAILED'", []),
    ("tags.stage = 'golden'", []),
    ("params.model = 'none'", []),
]
OTHERS: list[tuple[str, list[str]]] = [
    ("metrics.loss < 0.001 AND params.model = 'b'", ["metrics.loss"]),
    ("metrics.loss < 0.01 AND params.model = 'b'", ["metrics.loss DESC"]),
    ("params.model = 'd'", ["metrics.accuracy DESC"]),
    ("tags.user = 'u7'", ["metrics.accuracy DESC"]),
    ("tags.team = 't3' OR tags.user = 'u17'", []),
    ("tags.team = 't3' AND tags.user = 'u17'", []),
    ("tags.team = 't3' AND params.model = 'd'", []),
    ("tags.team = 't3' AND params.model = 'd' AND params.lr = '0.1' AND params.batch = '32'", []),
    ("params.seed IN ('5', '500', '5000', '50000', '500000')", []),
    ("metrics.loss < 0.000005", []),
    ("metrics.loss < 0.001", []),
    ("metrics.loss < 0.01", []),
    ("metrics.loss < 0.1", []),
    ("metrics.loss < 0.01 AND metrics.accuracy > 0.99", []),
    ("metrics.loss < 0 AND params.model = 'b'", []),
    ("", ["metrics.epoch DESC"]),
    ("", ["metrics.time"]),
    ("", ["metrics.time DESC", "metrics.loss"]),
    ("", ["params.lr"]),
    ("", ["attributes.run_name"]),
    ("", ["attributes.status"]),
    ("", ["start_time ASC"]),
    ("run_name = 'bold-fox-4711'", []),
    ("params.model != 'a' AND NOT tags.stage = 'prod'", []),
    ("status IN ('FAILED', 'KILLED')", []),
    (f"start_time > {START + 500_000_000} AND tags.user = 'u3'", []),
    ("run_name LIKE 'bold-fox-999%'", []),
    ("tags.user LIKE 'u99%'", []),
    # No index helps these: they read all runs.
    ("params.seed LIKE '%99999'", []),
    ("metrics.loss.max > 2", []),
    ("", ["metrics.loss.min"]),
]


def main() -> None:
    """Fills, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="an SQLite file to fill, or to use if it is there")
    parser.add_argument("--database", help="a PostgreSQL database to fill, or to use if it is filled")
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--goals", action="store_true", help="only the queries with a goal")
    arguments = parser.parse_args()
    queries = GOALS if arguments.goals else GOALS + OTHERS
    if arguments.database:
        asyncio.run(_on_postgresql(arguments.database, arguments.runs, queries, arguments.repeat))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.keep or Path(folder) / "bench.db"
        if not path.exists():
            fill_sqlite(path, arguments.runs, print)
        _on_sqlite(path, queries, arguments.repeat)


def _on_sqlite(path: Path, queries: list[tuple[str, list[str]]], repeat: int) -> None:
    engine = sa.create_engine(f"sqlite:///{path}")
    print(f"SQLite, {path.stat().st_size / 1e6:,.0f} MB")
    with engine.connect() as connection:
        for pragma in (*READER_PRAGMAS, *COMMON_PRAGMAS):
            connection.exec_driver_sql(pragma)
        _table(connection, queries, repeat)


async def _on_postgresql(url: str, runs: int, queries: list[tuple[str, list[str]]], repeat: int) -> None:
    raw = await asyncpg.connect(url)
    if not await raw.fetchval("SELECT to_regclass('runs') IS NOT NULL"):
        await fill_postgresql(raw, runs, print)
    size = await raw.fetchval("SELECT pg_database_size(current_database())")
    print(f"PostgreSQL, {size / 1e6:,.0f} MB")
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
    async with engine.connect() as connection:
        await connection.run_sync(_table, queries, repeat)
    await engine.dispose()
    await raw.close()


def _table(connection: sa.Connection, queries: list[tuple[str, list[str]]], repeat: int) -> None:
    print(f"{'p50':>8} {'p95':>8} {'ids':>8} {f'page {PAGE}':>8} {'p95':>8} {'ids':>8}  query; way")
    for number, (text, order) in enumerate(queries):
        request = run_pb2.SearchRunsRequest(experiment_ids=["1"], filter=text, order_by=order)
        first = _measure(connection, request, repeat)
        cells = _cells(*first)
        if _turn_to(connection, request, PAGE):
            later = _measure(connection, request, repeat)
            cells += _cells(*later)
        else:
            later, cells = first, cells + f" {'-':>8} {'-':>8} {'-':>8}"
        slow = number < len(GOALS) and max(_p(first[0], 50), _p(later[0], 50)) > GOAL_MS
        print(f"{cells}  {text or 'all'} | {', '.join(order) or 'newest'}{'  *** TOO SLOW' if slow else ''}")
        print(f"{'':54}{'; '.join(explain(connection, request))[:140]}", flush=True)


def _measure(
    connection: sa.Connection, request: run_pb2.SearchRunsRequest, repeat: int
) -> tuple[list[float], list[float]]:
    """Times of whole pages, and of their ids alone, in milliseconds."""
    whole, ids = [], []
    for attempt in range(repeat + 2):
        began = time.perf_counter()
        keys, _ = search_runs(connection, request)
        middle = time.perf_counter()
        load_runs(connection, keys, None)
        end = time.perf_counter()
        if attempt >= 2:
            whole.append((end - began) * 1e3)
            ids.append((middle - began) * 1e3)
        elif end - began > 2:
            return [(end - began) * 1e3], [(middle - began) * 1e3]
    return whole, ids


def _turn_to(connection: sa.Connection, request: run_pb2.SearchRunsRequest, page: int) -> bool:
    """Turns to a page; whether there is one."""
    began = time.perf_counter()
    for _ in range(page - 1):
        _, request.page_token = search_runs(connection, request)
        if not request.page_token or time.perf_counter() - began > 20:
            return False
    return True


def _cells(whole: list[float], ids: list[float]) -> str:
    return f"{_p(whole, 50):8.1f} {_p(whole, 95):8.1f} {_p(ids, 50):8.1f} "[:-1]


def _p(times: list[float], percent: int) -> float:
    if len(times) == 1:
        return times[0]
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
