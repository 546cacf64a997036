"""What the metric points take on disk, by part.

Counted page by page, so that no snapshot is held for long: what moves from part to part meanwhile may be
counted twice, or not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa

from runwire.v1 import server_pb2
from runwire_server.domain.blocks import points_in
from runwire_server.storage.engine import Engine
from runwire_server.storage.schema import (
    PURGED,
    SEALED,
    STRIPE,
    metric_chunk,
    metric_group,
    metric_log,
    metric_series,
    runs,
)

# Rows of a page, and bytes of one whose rows' contents are looked at.
PAGE_ROWS = 1_000
PAGE_BYTES = 8 * 1024 * 1024
# What a summary takes besides its key: its other columns are numbers.
SUMMARY_BYTES = 8 * (len(metric_series.columns) - 1)


class Tally(NamedTuple):
    """Rows of one part."""

    part: str
    rows: int
    points: int
    bytes: int
    # Of those that wait to be compacted.
    waiting: int = 0


# The primary key of the last row that was counted; None before the first, and behind the last.
Place = tuple[Any, ...] | None
Counted = tuple[list[Tally], Place]
Count = Callable[..., Counted]


class SqlStats:
    """See `base.StatsStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def storage(self) -> server_pb2.GetStorageStatsResponse:
        """See `base.StatsStore.storage`."""
        parts = {
            name: server_pb2.StoragePart(name=name)
            for name in ("log", "stripes", "chunks", "groups", "summaries")
        }
        answer = server_pb2.GetStorageStatsResponse()
        for count in (_count_log, _count_chunks, _count_groups, _count_summaries):
            await self._add(count, parts, answer)
        answer.parts.extend(parts.values())
        answer.points = sum(parts[name].points for name in ("log", "stripes", "chunks"))
        answer.database_bytes = await self._engine.read(_database_bytes)
        answer.wal_bytes = self._engine.wal_bytes
        return answer

    async def _add(
        self,
        count: Count,
        parts: dict[str, server_pb2.StoragePart],
        answer: server_pb2.GetStorageStatsResponse,
    ) -> None:
        """Counts one table, page by page."""
        place: Place = None
        while True:
            tallies, place = await self._engine.read(partial(count, place=place))
            for tally in tallies:
                part = parts[tally.part]
                part.rows += tally.rows
                part.points += tally.points
                part.bytes += tally.bytes
                answer.backlog_bytes += tally.waiting
            if place is None:
                return


def _behind(key: tuple[sa.Column[Any], ...], place: Place) -> sa.ColumnElement[bool]:
    return sa.true() if place is None else sa.tuple_(*key) > sa.tuple_(*(sa.literal(v) for v in place))


def _count_log(connection: sa.Connection, place: Place) -> Counted:
    c = metric_log.c
    query = (
        sa.select(c.run, c.first, sa.func.length(c.data).label("bytes"))
        .where(_behind((c.run, c.first), place))
        .order_by(c.run, c.first)
        .limit(PAGE_ROWS)
    )
    rows = connection.execute(query).all()
    taken, size = 0, 0
    for row in rows:
        if taken and size + row.bytes > PAGE_BYTES:
            break
        taken, size = taken + 1, size + row.bytes
    if not taken:
        return [], None
    last = (rows[taken - 1].run, rows[taken - 1].first)
    visible = (
        sa.select(c.data)
        .join(runs, runs.c.id == c.run)
        .where(
            _behind((c.run, c.first), place), sa.tuple_(c.run, c.first) <= sa.tuple_(*map(sa.literal, last))
        )
        .where(c.first >= runs.c.compacted_position, runs.c.lifecycle != PURGED)
    )
    points = waiting = 0
    for data in connection.scalars(visible):
        points += points_in(data)
        waiting += len(data)
    more = taken < len(rows) or len(rows) == PAGE_ROWS
    return [Tally("log", taken, points, size, waiting)], last if more else None


def _count_chunks(connection: sa.Connection, place: Place) -> Counted:
    c = metric_chunk.c
    key = (c.run, c.level, c.first, c.ordinal)
    size = sa.func.length(c.data) + sa.func.coalesce(sa.func.length(c.pyramid), 0)
    visible = sa.and_(
        runs.c.lifecycle != PURGED,
        sa.or_(
            sa.and_(c.level == SEALED, c.first < runs.c.sealed_position),
            sa.and_(
                c.level == STRIPE,
                c.first >= runs.c.sealed_position,
                c.first < runs.c.compacted_position,
            ),
        ),
    )
    query = (
        sa.select(*key, c.points, size.label("bytes"), visible.label("visible"))
        .join(runs, runs.c.id == c.run)
        .where(_behind(key, place))
        .order_by(*key)
        .limit(PAGE_ROWS)
    )
    rows = connection.execute(query).all()
    names = {STRIPE: "stripes", SEALED: "chunks"}
    tallies = [Tally(names[row.level], 1, row.points if row.visible else 0, row.bytes) for row in rows]
    return tallies, tuple(rows[-1][:4]) if len(rows) == PAGE_ROWS else None


def _count_groups(connection: sa.Connection, place: Place) -> Counted:
    # Up to 2.5 MB each.
    c, most = metric_group.c, max(1, PAGE_ROWS // 100)
    query = sa.select(c.id, c["keys"]).where(_behind((c.id,), place)).order_by(c.id).limit(most)
    rows = connection.execute(query).all()
    tallies = [Tally("groups", 1, bytes(row[1]).count(b"\0"), len(row[1])) for row in rows]
    return tallies, (rows[-1].id,) if len(rows) == most else None


def _count_summaries(connection: sa.Connection, place: Place) -> Counted:
    # The keys alone are read: a page may have many rows.
    c, most = metric_series.c, PAGE_ROWS * 20
    query = sa.select(c.run, c.key).where(_behind((c.run, c.key), place)).order_by(c.run, c.key).limit(most)
    rows = connection.execute(query).all()
    size = sum(len(row.key.encode()) for row in rows) + SUMMARY_BYTES * len(rows)
    return [Tally("summaries", len(rows), len(rows), size)], tuple(rows[-1]) if len(rows) == most else None


def _database_bytes(connection: sa.Connection) -> int:
    if connection.dialect.name == "sqlite":
        pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        return int(connection.scalar(sa.text(pages)) or 0)
    return int(connection.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)
