"""All reads of metric points: by position, by key in order, and as curves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire.v1 import metric_pb2
from runwire_server.domain.blocks import Placed, Points, decode, split
from runwire_server.domain.histories import Columns, Messages
from runwire_server.errors import run_not_found
from runwire_server.storage.base import Page
from runwire_server.storage.engine import Engine, HotStatement, one_of
from runwire_server.storage.run_rows import key_of
from runwire_server.storage.schema import PURGED, metric_group, metric_log, runs

# Log rows in a page, and bytes of them; one row may be larger.
PAGE_ROWS = 512
PAGE_BYTES = 4 * 1024 * 1024

_MARKS = HotStatement(
    lambda _: sa.select(runs.c.next_position).where(
        runs.c.id == bindparam("run"), runs.c.lifecycle != bindparam("purged")
    )
)
_ENDS = HotStatement(
    lambda d: sa.select(runs.c.id, runs.c.next_position).where(
        one_of(d, runs.c.id, "runs"), runs.c.lifecycle != bindparam("purged")
    )
)
_LOG_SIZES = HotStatement(
    lambda _: (
        sa.select(metric_log.c.first, metric_log.c.rows, sa.func.length(metric_log.c.data))
        .where(
            metric_log.c.run == bindparam("run"),
            metric_log.c.first + metric_log.c.rows > bindparam("position"),
            metric_log.c.first >= bindparam("low"),
            metric_log.c.first < bindparam("end"),
        )
        .order_by(metric_log.c.first)
        .limit(bindparam("most"))
    )
)
_LOG_ROWS = HotStatement(
    lambda _: (
        sa.select(metric_log.c.first, metric_log.c.data)
        .where(
            metric_log.c.run == bindparam("run"),
            metric_log.c.first >= bindparam("low"),
            metric_log.c.first <= bindparam("high"),
        )
        .order_by(metric_log.c.first)
    )
)
_LOG_ROW_BEFORE = HotStatement(
    lambda _: sa.select(sa.func.max(metric_log.c.first)).where(
        metric_log.c.run == bindparam("run"), metric_log.c.first <= bindparam("position")
    )
)
_GROUP_KEYS = HotStatement(
    lambda _: sa.select(metric_group.c["keys"]).where(
        metric_group.c.run == bindparam("run"), metric_group.c.hash == bindparam("hash")
    )
)


@dataclass
class _Reading:
    """Where a read of one run's points is.

    Attributes:
        run: The run.
        position: Everything below it was read.
        end: The position at which the read ends; None before the first page.
        keys: The wanted keys; empty for all.
        groups: The keys of groups seen so far.
    """

    run: int
    position: int
    end: int | None
    keys: frozenset[str]
    groups: dict[bytes, tuple[str, ...]] = field(default_factory=dict)


class SqlPoints:
    """See `base.PointStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find(self, run_ids: Sequence[str]) -> list[int]:
        """See `base.PointStore.find`."""

        def unit(connection: sa.Connection) -> list[int]:
            found = []
            for run_id in run_ids:
                key = key_of(connection, run_id)
                if key is None:
                    raise run_not_found(run_id)
                found.append(key)
            return found

        return await self._engine.read(unit)

    async def ends(self, runs: Sequence[int]) -> dict[int, int]:
        """See `base.PointStore.ends`."""
        rows = await self._engine.read(lambda c: _ENDS.rows(c, runs=list(runs), purged=PURGED))
        return {row[0]: row[1] for row in rows}

    async def blocks(
        self, run: int, first: int = 0, end: int | None = None, keys: Collection[str] = ()
    ) -> AsyncIterator[Placed]:
        """See `base.PointStore.blocks`."""
        async for page in self.pages(run, first, end, keys):
            for block in page.blocks:
                yield block

    async def pages(
        self, run: int, first: int = 0, end: int | None = None, keys: Collection[str] = ()
    ) -> AsyncIterator[Page]:
        """See `base.PointStore.pages`."""
        reading = _Reading(run, first, end, frozenset(keys))
        while reading.end is None or reading.position < reading.end:
            found = await self._engine.read(lambda c: _page(c, reading))
            if found is None:
                return
            page, end = found
            reading.position, reading.end = page.end, end
            if page.first < page.end:
                yield page

    async def history(
        self, request: metric_pb2.GetMetricHistoryRequest
    ) -> AsyncIterator[metric_pb2.GetMetricHistoryResponse]:
        """See `base.PointStore.history`."""
        runs_asked = await self.find(request.run_ids)
        messages = Messages()
        for run_id, run in zip(request.run_ids, runs_asked, strict=True):
            columns = Columns(request)
            async for placed in self.blocks(run, keys=request.keys):
                columns.add(placed)
            for block in columns.blocks():
                for message in messages.add(run_id, block):
                    yield message
        for message in messages.rest():
            yield message


def _page(connection: sa.Connection, reading: _Reading) -> tuple[Page, int] | None:
    """Reads what comes next, and says where the whole read ends; None when the run is purged."""
    marks = _MARKS.rows(connection, run=reading.run, purged=PURGED)
    if not marks:
        return None
    end = marks[0][0] if reading.end is None else min(reading.end, marks[0][0])
    position = reading.position
    if position >= end:
        return Page(position, position, ()), end
    # The row that holds the position may begin before it.
    before = _LOG_ROW_BEFORE.rows(connection, run=reading.run, position=position)[0][0]
    low = position if before is None else before
    sizes = _LOG_SIZES.rows(connection, run=reading.run, position=position, low=low, end=end, most=PAGE_ROWS)
    taken, total = 0, 0
    for _, _, size in sizes:
        if taken and total + size > PAGE_BYTES:
            break
        taken, total = taken + 1, total + size
    # Positions without rows are holes; where no row is left, they go on to the end.
    until = min(end, sizes[taken][0] if taken < len(sizes) else end)
    if taken == len(sizes) == PAGE_ROWS:
        until = min(end, sizes[-1][0] + sizes[-1][1])
    found: list[Placed] = []
    if taken:
        rows = _LOG_ROWS.rows(connection, run=reading.run, low=sizes[0][0], high=sizes[taken - 1][0])
        for first, data in rows:
            found += _placed(connection, reading, first, bytes(data), end)
    return Page(position, until, tuple(found)), end


def _placed(
    connection: sa.Connection, reading: _Reading, first: int, data: bytes, end: int
) -> Iterator[Placed]:
    """Yields the wanted points of a log row."""
    for block in decode(data):
        resolved = _resolved(connection, reading, block)
        positions = np.arange(first, first + block.rows, dtype=np.int64)
        first += block.rows
        placed = _cut(Placed(_wanted(resolved, reading.keys), positions), reading.position, end)
        if placed.points.size:
            yield placed


def _resolved(connection: sa.Connection, reading: _Reading, block: Points) -> Points:
    if not block.group:
        return block
    if block.group not in reading.groups:
        rows = _GROUP_KEYS.rows(connection, run=reading.run, hash=block.group)
        reading.groups[block.group] = split(bytes(rows[0][0]))
    return replace(block, keys=reading.groups[block.group], group=b"")


def _wanted(block: Points, keys: Collection[str]) -> Points:
    if not keys or all(key in keys for key in block.keys):
        return block
    columns = [k for k, key in enumerate(block.keys) if key in keys]
    return replace(
        block,
        keys=tuple(block.keys[k] for k in columns),
        packed_values=block.values[:, columns].tobytes(),
    )


def _cut(placed: Placed, first: int, end: int) -> Placed:
    """Returns what lies at positions [first, end)."""
    positions: Any = placed.positions
    if positions[0] >= first and positions[-1] < end:
        return placed
    low, high = np.searchsorted(positions, [first, end])
    part, block = slice(int(low), int(high)), placed.points
    points = Points.of(block.keys, block.steps[part], block.times[part], block.values[part])
    return Placed(points, positions[part])
