"""Rows of the metric store, read in one snapshot each: which of them count, and what they hold.

A run's points below `sealed_position` are in its sealed chunks, those from there to `compacted_position` in
its stripes, those beyond in its log. Rows elsewhere do not count: compaction has yet to flip the mark, or to
remove them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire_server.domain.blocks import Placed, Points, decode, split
from runwire_server.domain.chunks import StoredChunk
from runwire_server.domain.compaction import Marks
from runwire_server.domain.selection import Selection
from runwire_server.storage.engine import HotStatement
from runwire_server.storage.schema import (
    PURGED,
    SEALED,
    STRIPE,
    metric_chunk,
    metric_group,
    metric_log,
    runs,
)

# Log rows in a piece, and bytes of them; one row may be larger.
LOG_ROWS = 512
LOG_BYTES = 4 * 1024 * 1024
# Chunk rows in a piece, and points of them; one row has fewer.
CHUNK_ROWS = 256
CHUNK_POINTS = 512 * 1024
# Above all keys, which have at most 250 characters.
HIGHEST_KEY = "\U0010ffff" * 251

_MARKS = HotStatement(
    lambda _: sa.select(runs.c.next_position, runs.c.compacted_position, runs.c.sealed_position).where(
        runs.c.id == bindparam("run"), runs.c.lifecycle != bindparam("purged")
    )
)
_LOG_BEFORE = HotStatement(
    lambda _: sa.select(sa.func.max(metric_log.c.first)).where(
        metric_log.c.run == bindparam("run"),
        metric_log.c.first >= bindparam("low"),
        metric_log.c.first <= bindparam("position"),
    )
)
_LOG_SIZES = HotStatement(
    lambda _: (
        sa.select(metric_log.c.first, metric_log.c.rows, sa.func.length(metric_log.c.data))
        .where(
            metric_log.c.run == bindparam("run"),
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
_CHUNKS = HotStatement(
    lambda _: (
        sa.select(
            metric_chunk.c.first,
            metric_chunk.c.ordinal,
            metric_chunk.c.end,
            metric_chunk.c.first_key,
            metric_chunk.c.last_key,
            metric_chunk.c.rows,
            metric_chunk.c.points,
        )
        .where(
            metric_chunk.c.run == bindparam("run"),
            metric_chunk.c.level == bindparam("level"),
            metric_chunk.c.first_key <= bindparam("high_key"),
            metric_chunk.c.last_key >= bindparam("low_key"),
            metric_chunk.c.first < bindparam("limit"),
            metric_chunk.c.end > bindparam("position"),
        )
        # Not as the primary key has it: SQLite would walk that, and visit each row for it.
        .order_by(metric_chunk.c.first + 0, metric_chunk.c.ordinal)
        .limit(bindparam("most"))
    )
)
_CHUNK_DATA = HotStatement(
    lambda _: sa.select(metric_chunk.c.data).where(
        metric_chunk.c.run == bindparam("run"),
        metric_chunk.c.level == bindparam("level"),
        metric_chunk.c.first == bindparam("first"),
        metric_chunk.c.ordinal == bindparam("ordinal"),
    )
)
_GROUP_KEYS = HotStatement(
    lambda _: sa.select(metric_group.c["keys"]).where(
        metric_group.c.run == bindparam("run"), metric_group.c.hash == bindparam("hash")
    )
)


class ChunkRow(NamedTuple):
    """A chunk row without its blobs."""

    first: int
    ordinal: int
    end: int
    first_key: str
    last_key: str
    rows: int
    points: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a read is: all points below `position` were read.

    Attributes:
        position: See above.
        window: When set, keys up to `after` were read up to this position too.
        after: See above.
    """

    position: int
    window: int | None = None
    after: str = ""


@dataclass
class Reading:
    """A read of one run's points.

    Attributes:
        run: The run.
        selection: The wanted keys.
        place: Where it is.
        end: The position at which it ends; None until the first piece fixes it.
        groups: The keys of groups seen so far.
    """

    run: int
    selection: Selection
    place: Place
    end: int | None = None
    groups: dict[bytes, tuple[str, ...]] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether all was read."""
        return self.end is not None and self.place.position >= self.end


@dataclass(frozen=True)
class Piece:
    """What one snapshot gave.

    Attributes:
        blocks: Points of log rows.
        chunks: Chunks, still compressed, each with the positions [first, end) that are wanted of it.
        place: Where the read is behind it.
        end: Where the whole read ends.
        after: Of the chunks' keys only those behind this one are wanted.
    """

    blocks: list[Placed]
    chunks: list[tuple[bytes, int, int]]
    place: Place
    end: int
    after: str = ""

    def decoded(self, selection: Selection) -> list[Placed]:
        """Returns its points; takes milliseconds for large chunks."""
        found = list(self.blocks)
        for data, first, end in self.chunks:
            chunk = StoredChunk(data)
            keys = frozenset(key for key in chunk.keys if key > self.after and key in selection)
            if keys:
                found += chunk.placed(keys, first, end)
        return found


def marks_of(connection: sa.Connection, run: int) -> Marks | None:
    """Returns a run's marks; None when it is purged."""
    rows = _MARKS.rows(connection, run=run, purged=PURGED)
    return Marks(*rows[0]) if rows else None


def piece_of(connection: sa.Connection, reading: Reading) -> Piece | None:
    """Reads what comes next; None when the run is purged."""
    marks = marks_of(connection, reading.run)
    if marks is None:
        return None
    end = marks.next if reading.end is None else min(reading.end, marks.next)
    place = reading.place
    if place.position >= end:
        return Piece([], [], place, end)
    if place.position >= marks.compacted:
        return _log_piece(connection, reading, marks, end)
    return _chunk_piece(connection, reading, marks, end)


def _log_piece(connection: sa.Connection, reading: Reading, marks: Marks, end: int) -> Piece:
    run, position = reading.run, reading.place.position
    # The row that holds the position may begin before it.
    before = _LOG_BEFORE.rows(connection, run=run, low=marks.compacted, position=position)[0][0]
    low = position if before is None else before
    sizes = _LOG_SIZES.rows(connection, run=run, low=low, end=end, most=LOG_ROWS)
    taken, total = 0, 0
    for _, _, size in sizes:
        if taken and total + size > LOG_BYTES:
            break
        taken, total = taken + 1, total + size
    if not taken:
        # Positions without rows are holes.
        return Piece([], [], Place(end), end)
    high = sizes[taken - 1]
    until = end if taken == len(sizes) < LOG_ROWS else max(position, high[0] + high[1])
    blocks: list[Placed] = []
    for first, data in _LOG_ROWS.rows(connection, run=run, low=sizes[0][0], high=high[0]):
        blocks += _placed(connection, reading, first, data, end)
    return Piece(blocks, [], Place(min(until, end)), end)


def _placed(
    connection: sa.Connection, reading: Reading, first: int, data: bytes, end: int
) -> Iterator[Placed]:
    """Yields the wanted points of a log row."""
    for block in decode(memoryview(data)):
        rows = block.rows
        if first < end and first + rows > reading.place.position:
            points = reading.selection.cut(_resolved(connection, reading, block))
            if points.keys:
                positions = np.arange(first, first + rows, dtype=np.int64)
                yield Placed(points, positions).between(reading.place.position, end)
        first += rows


def _resolved(connection: sa.Connection, reading: Reading, block: Points) -> Points:
    if not block.group:
        return block
    if block.group not in reading.groups:
        rows = _GROUP_KEYS.rows(connection, run=reading.run, hash=block.group)
        reading.groups[block.group] = split(bytes(rows[0][0]))
    return replace(block, keys=reading.groups[block.group], group=b"")


def chunk_rows(
    connection: sa.Connection,
    run: int,
    level: int,
    position: int,
    limit: int,
    selection: Selection,
    most: int,
    after: str = "",
) -> list[ChunkRow]:
    """Returns rows of a level that may have wanted keys behind `after` at positions [position, limit)."""
    low, high = selection.bounds
    found = _CHUNKS.rows(
        connection,
        run=run,
        level=level,
        low_key=max(low or "", after),
        high_key=HIGHEST_KEY if high is None else high,
        position=position,
        limit=limit,
        most=most,
    )
    return [ChunkRow(*row) for row in found]


def chunk_data(connection: sa.Connection, run: int, level: int, row: ChunkRow) -> bytes:
    """Returns a chunk row's data."""
    found = _CHUNK_DATA.rows(connection, run=run, level=level, first=row.first, ordinal=row.ordinal)
    return bytes(found[0][0])


def _chunk_piece(connection: sa.Connection, reading: Reading, marks: Marks, end: int) -> Piece:
    place = reading.place
    level, mark = (SEALED, marks.sealed) if place.position < marks.sealed else (STRIPE, marks.compacted)
    limit = min(mark, end if place.window is None else place.window)
    rows = chunk_rows(
        connection, reading.run, level, place.position, limit, reading.selection, CHUNK_ROWS, place.after
    )
    wanted = [
        row
        for row in rows
        if row.last_key > place.after and reading.selection.touches(row.first_key, row.last_key)
    ]
    taken, points = 0, 0
    for row in wanted:
        if taken and points + row.points > CHUNK_POINTS:
            break
        taken, points = taken + 1, points + row.points
    chunks = [
        (
            chunk_data(connection, reading.run, level, row),
            max(row.first, place.position),
            min(row.end, limit),
        )
        for row in wanted[:taken]
    ]
    if taken < len(wanted):
        behind = _behind(place, limit, wanted[taken - 1], wanted[taken])
    elif len(rows) == CHUNK_ROWS:
        behind = _behind(place, limit, rows[-1], None)
    else:
        behind = Place(limit)
    return Piece([], chunks, behind, end, place.after)


def _behind(place: Place, limit: int, last: ChunkRow, following: ChunkRow | None) -> Place:
    """Returns where a read is behind a row, given the wanted one that follows if it is known."""
    if following is not None and following.first != last.first:
        return Place(following.first)
    # In the middle of a range, whose rows ascend by key. Compaction never cuts a range, so that the rest of
    # its keys will be found in one range again.
    return Place(max(place.position, last.first), min(last.end, limit), last.last_key)
