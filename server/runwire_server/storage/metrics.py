"""Metric points in SQL: the log, the summaries, and histories read from the log.

A write appends one log row, whatever the number of keys and steps, and folds its points into the
summaries in the same transaction; so `folded_position` moves with `next_position`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire.v1 import metric_pb2
from runwire_server.domain import packed
from runwire_server.domain.blocks import (
    INLINE_KEYS,
    NUMBER,
    Doubles,
    Int64s,
    Points,
    decode,
    encode,
    group_hash,
    joined,
    split,
)
from runwire_server.domain.folding import Summary, bits, exact, fold
from runwire_server.errors import FailedPrecondition, InvalidArgument, run_not_found
from runwire_server.storage.engine import Engine, HotStatement, insert, one_of
from runwire_server.storage.run_rows import SUMMARY_COLUMNS, key_of
from runwire_server.storage.schema import metric_group, metric_log, metric_series, runs

# Log rows in a page of a history; a row holds 10,000 points at most.
PAGE_ROWS = 512
# Points in a message of a history, and the bytes of each.
MESSAGE_POINTS = 40_000
POINT_BYTES = 24

HistoryMessage = packed.message_class("GetMetricHistoryResponse")


class Owner(Protocol):
    """What is known of the run that points are added to."""

    @property
    def id(self) -> int: ...
    @property
    def experiment(self) -> int: ...
    @property
    def lifecycle(self) -> int: ...
    @property
    def start_time(self) -> int: ...
    @property
    def next_position(self) -> int: ...


_APPEND = HotStatement(
    lambda _: sa.insert(metric_log).values({c.name: bindparam(c.name, type_=c.type) for c in metric_log.c})
)
_GROUP_KEYS = HotStatement(
    lambda _: sa.select(metric_group.c["keys"]).where(
        metric_group.c.run == bindparam("run"), metric_group.c.hash == bindparam("hash")
    )
)
_ADD_GROUP = HotStatement(
    lambda _: (
        insert(metric_group)
        .values({n: bindparam(n, type_=metric_group.c[n].type) for n in ("run", "hash", "keys")})
        .on_conflict_do_nothing(index_elements=["run", "hash"])
    )
)
_STORED = HotStatement(
    lambda d: sa.select(metric_series.c.key, *SUMMARY_COLUMNS, metric_series.c.bits).where(
        metric_series.c.run == bindparam("run"), one_of(d, metric_series.c.key, "keys")
    )
)
_SERIES_NAMES = tuple(c.name for c in metric_series.c if c.name != "through")


def _upsert_series(_: str) -> sa.Executable:
    statement = insert(metric_series).values(
        {name: bindparam(name, type_=metric_series.c[name].type) for name in _SERIES_NAMES}
    )
    changing = (*Summary._fields, "bits")
    return statement.on_conflict_do_update(
        index_elements=["run", "key"], set_={name: statement.excluded[name] for name in changing}
    )


_UPSERT_SERIES = HotStatement(_upsert_series)


def append(connection: sa.Connection, run_id: str, run: Owner, sent: Sequence[Points]) -> None:
    """Adds blocks to a run that the unit has locked, at the log positions that it took for them.

    Raises:
        FailedPrecondition: GROUP_UNKNOWN.
        InvalidArgument: if a block's values do not fit the keys of its group.
    """
    blocks = [_with_keys(connection, run_id, run, block, i) for i, block in enumerate(sent)]
    for block in blocks:
        if len(block.keys) > INLINE_KEYS and not block.group:
            keys = joined(block.keys)
            _ADD_GROUP.count(connection, run=run.id, hash=group_hash(keys), keys=keys)
    rows = sum(block.rows for block in blocks)
    _APPEND.count(connection, run=run.id, first=run.next_position, rows=rows, data=encode(blocks))
    keys_sent = list(dict.fromkeys(key for block in blocks for key in block.keys))
    stored = {
        row[0]: exact(Summary._make(row[1:-1]), row[-1])
        for row in _STORED.rows(connection, run=run.id, keys=keys_sent)
    }
    folded = fold(blocks, stored)
    copies = (run.experiment, run.lifecycle, run.start_time)
    # Sorted, so that the index is walked, not jumped about in.
    rows_of_series = [(run.id, key, *copies, *_sortable(folded[key])) for key in sorted(folded)]
    _UPSERT_SERIES.many(connection, rows_of_series, _SERIES_NAMES)


def _sortable(summary: Summary) -> tuple[Any, ...]:
    """Returns what is stored of a summary: NULL for NaN, which PostgreSQL would sort above all numbers."""
    kept = bits(summary)
    if kept is None:
        return (*summary, None)
    return (*(number if number == number else None for number in summary), kept)


def _with_keys(connection: sa.Connection, run_id: str, run: Owner, block: Points, index: int) -> Points:
    if not block.group:
        return block
    found = _GROUP_KEYS.rows(connection, run=run.id, hash=block.group)
    if not found:
        name = block.group.hex()
        raise FailedPrecondition(
            "GROUP_UNKNOWN", f"the run has no group {name}; send its keys", {"run_id": run_id, "group": name}
        )
    keys = split(bytes(found[0][0]))
    if len(keys) * block.rows != block.size:
        raise InvalidArgument.field(
            f"blocks[{index}].values", f"must be {block.rows} steps x {len(keys)} keys numbers"
        )
    return replace(block, keys=keys)


class SqlMetrics:
    """See `base.MetricStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def history(
        self, request: metric_pb2.GetMetricHistoryRequest
    ) -> AsyncIterator[metric_pb2.GetMetricHistoryResponse]:
        """See `base.MetricStore.history`."""

        def find(connection: sa.Connection) -> list[int]:
            found = []
            for run_id in request.run_ids:
                key = key_of(connection, run_id)
                if key is None:
                    raise run_not_found(run_id)
                found.append(key)
            return found

        runs_asked = await self._engine.read(find)
        messages = _Messages()
        for run_id, run in zip(request.run_ids, runs_asked, strict=True):
            columns = _Columns(request)
            async for block in self._blocks(run):
                columns.add(block)
            for block in columns.blocks():
                for message in messages.add(run_id, block):
                    yield message
        for message in messages.rest():
            yield message

    async def _blocks(self, run: int) -> AsyncIterator[Points]:
        """Yields the logged blocks of a run as of now, page by page, in order of arrival."""
        groups: dict[bytes, tuple[str, ...]] = {}
        until = await self._engine.read(
            lambda c: c.scalar(sa.select(runs.c.next_position).where(runs.c.id == run))
        )
        position = 0
        while position < (until or 0):
            query = (
                sa.select(metric_log.c.first, metric_log.c.rows, metric_log.c.data)
                .where(metric_log.c.run == run, metric_log.c.first >= position, metric_log.c.first < until)
                .order_by(metric_log.c.first)
                .limit(PAGE_ROWS)
            )
            page = await self._engine.read(partial(_all, query))
            if not page:
                return
            position = page[-1].first + page[-1].rows
            for row in page:
                for block in decode(row.data):
                    yield await self._resolved(run, block, groups)

    async def _resolved(self, run: int, block: Points, groups: dict[bytes, tuple[str, ...]]) -> Points:
        if not block.group:
            return block
        if block.group not in groups:
            rows = await self._engine.read(lambda c: _GROUP_KEYS.rows(c, run=run, hash=block.group))
            if not rows:
                # Purged since the page was read.
                return replace(block, keys=(), packed_values=b"")
            groups[block.group] = split(bytes(rows[0][0]))
        return replace(block, keys=groups[block.group])


def _all(query: sa.Select[Any], connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    return connection.execute(query).all()


class _Columns:
    """Collects the points of one run by key, and puts each key's in order."""

    def __init__(self, request: metric_pb2.GetMetricHistoryRequest) -> None:
        self._wanted = dict.fromkeys(request.keys)
        self._low = request.min_step if request.HasField("min_step") else None
        self._high = request.max_step if request.HasField("max_step") else None
        self._parts: dict[str, list[tuple[Int64s, Int64s, Doubles]]] = {}

    def add(self, block: Points) -> None:
        """Takes the wanted points of a block."""
        columns = [(k, key) for k, key in enumerate(block.keys) if not self._wanted or key in self._wanted]
        if not columns:
            return
        steps, times, values = block.steps, block.times, block.values
        if self._low is not None or self._high is not None:
            kept = np.ones(len(steps), bool)
            if self._low is not None:
                kept &= steps >= self._low
            if self._high is not None:
                kept &= steps <= self._high
            steps, times, values = steps[kept], times[kept], values[kept]
        if len(steps):
            for k, key in columns:
                self._parts.setdefault(key, []).append((steps, times, values[:, k]))

    def blocks(self) -> Iterator[Points]:
        """Yields a column of each key, in the order asked for, else by key."""
        for key in self._wanted or sorted(self._parts):
            if key in self._parts:
                steps, times, values = (
                    np.concatenate(part) for part in zip(*self._parts.pop(key), strict=True)
                )
                # Stable, so that equal steps and times stay in order of arrival.
                order = np.lexsort((times, steps))
                yield Points.of((key,), steps[order], times[order], values[order])


class _Messages:
    """Packs blocks into messages of about 1 MiB."""

    def __init__(self) -> None:
        self._message: Any = HistoryMessage()
        self._points = 0

    def add(self, run_id: str, block: Points) -> Iterator[Any]:
        """Adds a block, in parts if it is large; yields the messages that this fills."""
        for start in range(0, block.rows, MESSAGE_POINTS):
            rows = min(block.rows - start, MESSAGE_POINTS)
            if self._points and self._points + rows > MESSAGE_POINTS:
                yield from self.rest()
            part = slice(start * NUMBER, (start + rows) * NUMBER)
            target = self._message.blocks.add(run_id=run_id).block
            target.keys.append(block.keys[0])
            target.steps.steps.append(block.packed_steps[part])
            target.timestamps_ms.append(block.packed_times[part])
            target.values.append(block.packed_values[part])
            # A block of one point weighs as much as a few: its id and key count too.
            self._points += rows + 4 + len(block.keys[0].encode()) // POINT_BYTES

    def rest(self) -> Iterator[Any]:
        """Yields what is left, if anything is."""
        if self._points:
            yield self._message
            self._message, self._points = HistoryMessage(), 0
