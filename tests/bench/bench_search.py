"""How long a page of a search takes among many runs, loading its runs included.

    python -m tests.bench.bench_search [--runs 1000000] [--keep FILE] [--database postgresql://...]

Prints for each query the way it went, and the times of its first page and its 50th, in milliseconds.
`cpu` is this process's part of p50, which a busy machine does not change (with SQLite, all of it); `ids`
is the time of the search alone, without loading the runs.
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
from runwire_server.domain.filters import parse_run_filter
from runwire_server.storage.run_rows import load_runs
from runwire_server.storage.search import explain, search_runs
from runwire_server.storage.search_sql import Statement, condition
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


class _Times:
    """The times of a page, in milliseconds."""

    def __init__(self, connection: sa.Connection, request: run_pb2.SearchRunsRequest, repeat: int) -> None:
        self.whole: list[float] = []
        self.cpu: list[float] = []
        self.ids: list[float] = []
        for attempt in range(repeat + 2):
            began, began_cpu = time.perf_counter(), time.process_time()
            keys = search_runs(connection, request).keys
            middle = time.perf_counter()
            load_runs(connection, keys, None)
            end, end_cpu = time.perf_counter(), time.process_time()
            slow = attempt == 0 and end - began > 2
            # The first two warm the caches.
            if attempt >= 2 or slow:
                self.whole.append((end - began) * 1e3)
                self.cpu.append((end_cpu - began_cpu) * 1e3)
                self.ids.append((middle - began) * 1e3)
            if slow:
                break

    @property
    def p50(self) -> float:
        return statistics.median(self.whole)

    def __str__(self) -> str:
        p95 = sorted(self.whole)[int(len(self.whole) * 0.95)]
        cpu, ids = statistics.median(self.cpu), statistics.median(self.ids)
        return f"{self.p50:8.1f} {p95:8.1f} {cpu:8.1f} {ids:8.1f}"


HEAD = f"{'p50':>8} {'p95':>8} {'cpu':>8} {'ids':>8}"
NO_TIMES = f"{'-':>8} {'-':>8} {'-':>8} {'-':>8}"


def _table(connection: sa.Connection, queries: list[tuple[str, list[str]]], repeat: int) -> None:
    print(f"{'first page':>35} {f'page {PAGE}':>35}\n{HEAD} {HEAD} {'matches':>9}  query; way")
    for number, (text, order) in enumerate(queries):
        request = run_pb2.SearchRunsRequest(experiment_ids=["1"], filter=text, order_by=order)
        first = _Times(connection, request, repeat)
        later = _Times(connection, request, repeat) if _turn_to(connection, request, PAGE) else None
        slowest = max(first.p50, later.p50 if later else 0)
        verdict = "  *** TOO SLOW" if number < len(GOALS) and slowest > GOAL_MS else ""
        matches = f"{_matches(connection, text):9,}"
        query = f"{text or 'all'} | {', '.join(order) or 'newest'}"
        print(f"{first} {later or NO_TIMES} {matches}  {query}{verdict}")
        print(f"{'':83}{'; '.join(explain(connection, request))[:140]}", flush=True)


def _matches(connection: sa.Connection, text: str) -> int:
    statement = Statement(connection)
    node = parse_run_filter(text)
    where = f" WHERE {condition(statement, node, 'r.id')}" if node else ""
    return int(statement.fetch(f"SELECT count(*) FROM runs AS r{where}")[0][0])


def _turn_to(connection: sa.Connection, request: run_pb2.SearchRunsRequest, page: int) -> bool:
    """Turns to a page; whether there is one."""
    began = time.perf_counter()
    for _ in range(page - 1):
        turned = search_runs(connection, request)
        request.page_token = turned.token(len(turned.keys))
        if not request.page_token or time.perf_counter() - began > 20:
            return False
    return True


if __name__ == "__main__":
    main()
