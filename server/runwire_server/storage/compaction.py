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
from runwire_server.domain.compaction import Backlog, Made, Marks, Span, Stripe, Subset
from runwire_server.domain.selection import Selection
from runwire_server.failpoints import reach
from runwire_server.storage.engine import Engine, HotStatement
from runwire_server.storage.point_rows import marks_of
from runwire_server.storage.points import SqlPoints
from runwire_server.storage.schema import PURGED, SEALED, STRIPE, metric_chunk, metric_log, runs

# Log rows, and bytes of them, that are compacted at once: what is in memory meanwhile is some times this.
LOG_ROWS = 16_384
LOG_BYTES = 8 * 1024 * 1024
# Rows removed in one step, and bytes of them.
STEP_ROWS = 50
STEP_BYTES = 4 * 1024 * 1024
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

    async def log_span(self, run: int, marks: Marks) -> Span | None:
        """See `base.CompactionStore.log_span`."""
        return await self._engine.read(lambda c: _log_span(c, run, marks))

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
            # Shared: a purge, which wants the row for itself, waits, and then finds what was inserted.
            if not _still(connection, run, marks, read=True) or _taken(connection, run, level, rows):
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


def _still(connection: sa.Connection, run: int, marks: Marks, read: bool = False) -> bool:
    """Locks a run, and tells whether its marks are as they were; not when it is purged."""
    query = sa.select(runs.c.compacted_position, runs.c.sealed_position).where(
        runs.c.id == run, runs.c.lifecycle != PURGED
    )
    found = connection.execute(query.with_for_update(read=read)).first()
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


def _log_span(connection: sa.Connection, run: int, marks: Marks) -> Span | None:
    c = metric_log.c
    query = (
        sa.select(c.first, c.rows, sa.func.length(c.data))
        .where(c.run == run, c.first >= marks.compacted)
        .order_by(c.first)
        .limit(LOG_ROWS)
    )
    rows = connection.execute(query).all()
    if not rows:
        return None
    taken, total = 0, 0
    for row in rows:
        if taken and total + row[2] > LOG_BYTES:
            break
        taken, total = taken + 1, total + row[2]
    # Up to the next row that stays.
    return Span(marks.compacted, rows[taken - 1].first + rows[taken - 1].rows)


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
    found = connection.execute(query.with_for_update()).first()
    if found is None:
        return ""
    compacted, sealed = found
    log, chunk = metric_log.c, metric_chunk.c
    if _removed(connection, metric_log, (log.first,), (log.run == run, log.first < compacted)):
        return "compact-trim"
    key = (chunk.level, chunk.first, chunk.ordinal)
    striped = (chunk.run == run, chunk.level == STRIPE)
    merged = (chunk.run == run, chunk.level == SEALED)
    for where in (
        (*striped, chunk.first < sealed),
        (*striped, chunk.first >= compacted),
        (*merged, chunk.first >= sealed),
    ):
        if _removed(connection, metric_chunk, key, where):
            return "seal-trim"
    return ""


def _removed(
    connection: sa.Connection,
    table: sa.Table,
    key: tuple[sa.Column[Any], ...],
    where: tuple[sa.ColumnElement[bool], ...],
) -> bool:
    """Removes some rows, not too many bytes of them; returns whether there were any."""
    # `where` is of the run, so that what is left of the primary key tells rows apart.
    size = sa.func.length(table.c.data)
    rows = connection.execute(sa.select(*key, size).where(*where).limit(STEP_ROWS)).all()
    taken, total = 0, 0
    for row in rows:
        if taken and total + row[-1] > STEP_BYTES:
            break
        taken, total = taken + 1, total + row[-1]
    if not taken:
        return False
    chosen = [tuple(row[:-1]) for row in rows[:taken]]
    connection.execute(sa.delete(table).where(where[0], sa.tuple_(*key).in_(chosen)))
    return True


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
            for level, where in (
                (STRIPE, chunk.first < run.sealed_position),
                (STRIPE, chunk.first >= run.compacted_position),
                (SEALED, chunk.first >= run.sealed_position),
            )
        ),
    ]
    return bool(connection.scalar(sa.select(sa.or_(*some))))
