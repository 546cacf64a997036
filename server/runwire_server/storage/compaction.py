"""The steps of compaction, each a transaction of some ms; `metrics.compactor` puts them in order.

New rows are inserted where they do not count, a mark of the run is moved, and the rows that do not count any
more are removed. Whatever an interrupted compaction leaves does not count either, and is removed before
the next one. On PostgreSQL two servers may compact one run at once: they spoil each other's rows, not the
points, since the mark moves only if exactly the rows are there that its mover inserted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import astuple, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire.v1 import run_pb2
from runwire_server.domain.blocks import Placed
from runwire_server.domain.compaction import Backlog, LogSize, Made, Marks, Span, Stripe, Subset
from runwire_server.domain.selection import Selection
from runwire_server.failpoints import reach
from runwire_server.storage.engine import Engine, HotStatement
from runwire_server.storage.point_rows import marks_of
from runwire_server.storage.points import SqlPoints
from runwire_server.storage.purge import remove_some
from runwire_server.storage.schema import PURGED, SEALED, STRIPE, metric_chunk, metric_log, runs

# Log rows, step rows and bytes that are compacted at once: what is in memory meanwhile is some times this.
LOG_ROWS = 16_384
LOG_STEPS = 65_536
LOG_BYTES = 8 * 1024 * 1024
# Runs looked at in one snapshot.
SCANNED_RUNS = 200

_MADE = ("run", "level", *(field.name for field in fields(Made)))
_INSERT = HotStatement(
    lambda _: sa.insert(metric_chunk).values(
        {name: bindparam(name, type_=metric_chunk.c[name].type) for name in _MADE}
    )
)


class SqlCompaction:
    """See `base.CompactionStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._points = SqlPoints(engine)

    async def scan(self, after: int) -> tuple[list[Backlog], int | None]:
        """See `base.CompactionStore.scan`."""
        return await self._engine.read(lambda c: _scan(c, after))

    async def marks(self, run: int) -> Marks | None:
        """See `base.CompactionStore.marks`."""
        return await self._engine.read(lambda c: marks_of(c, run))

    async def log_size(self, run: int, marks: Marks) -> LogSize | None:
        """See `base.CompactionStore.log_size`."""
        return await self._engine.read(lambda c: _log_size(c, run, marks))

    async def stripes(self, run: int, marks: Marks) -> list[Stripe]:
        """See `base.CompactionStore.stripes`."""
        return await self._engine.read(lambda c: _stripes(c, run, marks))

    def read(self, run: int, subset: Subset) -> AsyncIterator[Placed]:
        """See `base.CompactionStore.read`."""
        selection = Selection(low=subset.low, below=subset.below)
        return self._points.selected(run, subset.span.first, subset.span.end, selection)

    async def insert(self, run: int, marks: Marks, sealed: bool, rows: Sequence[Made]) -> bool:
        """See `base.CompactionStore.insert`."""
        level = SEALED if sealed else STRIPE

        def unit(connection: sa.Connection) -> bool:
            # Under the lock: a purge waits, and then finds what was inserted.
            if not _still(connection, run, marks) or _taken(connection, run, level, rows):
                return False
            _INSERT.many(connection, [(run, level, *astuple(row)) for row in rows], _MADE)
            return True

        done = await self._engine.write(unit)
        reach("seal-insert" if sealed else "compact-insert")
        return done

    async def flip(self, run: int, marks: Marks, after: Marks, inserted: Sequence[tuple[Any, ...]]) -> bool:
        """See `base.CompactionStore.flip`."""
        sealed = after.sealed != marks.sealed
        level, low = (SEALED, marks.sealed) if sealed else (STRIPE, marks.compacted)

        def unit(connection: sa.Connection) -> bool:
            if not _still(connection, run, marks) or _waiting(connection, run, level, low) != set(inserted):
                return False
            moved = {"compacted_position": after.compacted, "sealed_position": after.sealed}
            connection.execute(sa.update(runs).where(runs.c.id == run).values(moved))
            return True

        done = await self._engine.write(unit)
        reach("seal-flip" if sealed else "compact-flip")
        return done

    async def trim(self, run: int) -> bool:
        """See `base.CompactionStore.trim`."""
        place = await self._engine.write(lambda c: _trim(c, run))
        if place:
            reach(place)
        return bool(place)


def _still(connection: sa.Connection, run: int, marks: Marks) -> bool:
    """Locks a run, and tells whether its marks are as they were; not when it is purged."""
    query = sa.select(runs.c.compacted_position, runs.c.sealed_position).where(
        runs.c.id == run, runs.c.lifecycle != PURGED
    )
    found = connection.execute(query.with_for_update(key_share=True)).first()
    return found is not None and tuple(found) == (marks.compacted, marks.sealed)


def _taken(connection: sa.Connection, run: int, level: int, rows: Sequence[Made]) -> bool:
    """Tells whether another compactor has put rows where these go."""
    places = [(row.first, row.ordinal) for row in rows]
    c = metric_chunk.c
    query = sa.select(sa.literal(1)).where(
        c.run == run, c.level == level, sa.tuple_(c.first, c.ordinal).in_(places)
    )
    return connection.execute(query.limit(1)).first() is not None


def _waiting(connection: sa.Connection, run: int, level: int, low: int) -> set[tuple[Any, ...]]:
    """Returns what tells the rows of a level from others, for those that do not count yet."""
    c = metric_chunk.c
    query = sa.select(c.first, c.ordinal, c.end, c.points, sa.func.length(c.data)).where(
        c.run == run, c.level == level, c.first >= low
    )
    return {tuple(row) for row in connection.execute(query)}


def _log_size(connection: sa.Connection, run: int, marks: Marks) -> LogSize | None:
    c = metric_log.c
    query = (
        sa.select(c.first, c.rows, sa.func.length(c.data).label("bytes"))
        .where(c.run == run, c.first >= marks.compacted)
        .order_by(c.first)
        .limit(LOG_ROWS)
    )
    rows, steps, size, end = 0, 0, 0, marks.compacted
    fits = True
    for row in connection.execute(query):
        fits = fits and not (rows and (size + row.bytes > LOG_BYTES or steps + row.rows > LOG_STEPS))
        rows, steps, size = rows + 1, steps + row.rows, size + row.bytes
        if fits:
            end = row.first + row.rows
    return LogSize(Span(marks.compacted, end), Backlog(run, rows, steps, size)) if rows else None


def _stripes(connection: sa.Connection, run: int, marks: Marks) -> list[Stripe]:
    c = metric_chunk.c
    query = (
        sa.select(c.first, c.end, c.first_key, c.rows, c.points)
        .where(c.run == run, c.level == STRIPE, c.first >= marks.sealed, c.first < marks.compacted)
        .order_by(c.first, c.ordinal)
    )
    return [Stripe(*row) for row in connection.execute(query)]


def _trim(connection: sa.Connection, run: int) -> str:
    """Removes some rows of a run that do not count; returns the failpoint's name, "" if there were none."""
    # The lock keeps others from flipping a mark meanwhile. A purged run is the purge's.
    query = sa.select(runs.c.compacted_position, runs.c.sealed_position).where(
        runs.c.id == run, runs.c.lifecycle != PURGED
    )
    found = connection.execute(query.with_for_update(key_share=True)).first()
    if found is None:
        return ""
    compacted, sealed = found
    log, chunk = metric_log.c, metric_chunk.c
    if remove_some(connection, metric_log, (log.run == run) & (log.first < compacted), "data")[0]:
        return "compact-trim"
    for level, where in _uncounted(compacted, sealed):
        chosen = (chunk.run == run) & (chunk.level == level) & where
        if remove_some(connection, metric_chunk, chosen, "data")[0]:
            return "seal-trim"
    return ""


def _uncounted(compacted: int, sealed: int) -> Sequence[tuple[int, sa.ColumnElement[bool]]]:
    """Returns which chunk rows of which level do not count, given a run's marks."""
    first = metric_chunk.c.first
    return ((STRIPE, first < sealed), (STRIPE, first >= compacted), (SEALED, first >= sealed))


def _scan(connection: sa.Connection, after: int) -> tuple[list[Backlog], int | None]:
    c = runs.c
    query = (
        sa.select(c.id, c.status, c.compacted_position, c.sealed_position, c.next_position)
        .where(c.id > after, c.next_position > 0, c.lifecycle != PURGED)
        .order_by(c.id)
        .limit(SCANNED_RUNS)
    )
    rows = connection.execute(query).all()
    found = []
    for row in rows:
        log = metric_log.c
        size = sa.select(sa.func.count(), sa.func.sum(log.rows), sa.func.sum(sa.func.length(log.data))).where(
            log.run == row.id, log.first >= row.compacted_position
        )
        count, steps, data = connection.execute(size).one()
        found.append(
            Backlog(
                run=row.id,
                rows=count,
                steps=int(steps or 0),
                bytes=int(data or 0),
                ended=row.status not in (run_pb2.RUN_STATUS_RUNNING, run_pb2.RUN_STATUS_SCHEDULED),
                untidy=row.sealed_position < row.compacted_position or _garbage(connection, row),
            )
        )
    return found, rows[-1].id if len(rows) == SCANNED_RUNS else None


def _garbage(connection: sa.Connection, run: Any) -> bool:
    """Tells whether an interrupted compaction has left rows."""
    log, chunk = metric_log.c, metric_chunk.c
    some = [
        sa.select(sa.literal(1)).where(log.run == run.id, log.first < run.compacted_position).exists(),
        *(
            sa.select(sa.literal(1)).where(chunk.run == run.id, chunk.level == level, where).exists()
            for level, where in _uncounted(run.compacted_position, run.sealed_position)
        ),
    ]
    return bool(connection.scalar(sa.select(sa.or_(*some))))
