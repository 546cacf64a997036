"""All reads of metric points: by position, by key in order, and as curves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence

import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire.v1 import metric_pb2
from runwire_server.domain.blocks import Placed
from runwire_server.domain.compaction import Marks
from runwire_server.domain.histories import Columns, Messages
from runwire_server.domain.selection import Selection
from runwire_server.errors import run_not_found
from runwire_server.storage import curves
from runwire_server.storage.base import Page
from runwire_server.storage.engine import Engine, HotStatement, one_of
from runwire_server.storage.point_rows import (
    CHUNK_POINTS,
    CHUNK_ROWS,
    Piece,
    Place,
    Reading,
    chunk_rows,
    marks_of,
    piece_of,
)
from runwire_server.storage.run_rows import key_of
from runwire_server.storage.schema import PURGED, SEALED, STRIPE, runs

# Compressed bytes from which on decoding is left to a thread.
THREADED_BYTES = 64 * 1024
# Points of a run, or keys of a block, from which on putting them in order is left to one.
THREADED_POINTS = 4_096

_ENDS = HotStatement(
    lambda d: sa.select(runs.c.id, runs.c.next_position).where(
        one_of(d, runs.c.id, "runs"), runs.c.lifecycle != bindparam("purged")
    )
)


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
        async for block in self.selected(run, first, end, Selection.of(keys)):
            yield block

    async def selected(
        self, run: int, first: int, end: int | None, selection: Selection
    ) -> AsyncIterator[Placed]:
        """Yields what `blocks` does, of the keys of a selection."""
        reading = Reading(run, selection, Place(first), end)
        while not reading.done:
            piece = await self._engine.read(lambda c: piece_of(c, reading))
            if piece is None:
                return
            for block in await _decoded(piece, selection):
                yield block
            reading.place, reading.end = piece.place, piece.end

    async def pages(
        self, run: int, first: int = 0, end: int | None = None, keys: Collection[str] = ()
    ) -> AsyncIterator[Page]:
        """See `base.PointStore.pages`."""
        selection = Selection.of(keys)
        reading = Reading(run, selection, Place(first), end)
        while not reading.done:
            position = reading.place.position
            found = await self._engine.read(lambda c: _piece_or_end(c, reading))
            if found is None:
                return
            if isinstance(found, Piece):
                reading.place, reading.end = found.place, found.end
                blocks = found.blocks
            else:
                until, reading.end = found
                blocks = [b async for b in self.selected(run, position, until, selection)]
                reading.place = Place(until)
            if position < reading.place.position:
                yield Page(position, reading.place.position, tuple(blocks))

    async def history(
        self, request: metric_pb2.GetMetricHistoryRequest
    ) -> AsyncIterator[metric_pb2.GetMetricHistoryResponse]:
        """See `base.PointStore.history`."""
        runs_asked = await self.find(request.run_ids)
        messages = Messages()
        for run_id, run in zip(request.run_ids, runs_asked, strict=True):
            columns = Columns(request)
            async for placed in self.blocks(run, keys=request.keys):
                if len(placed.points.keys) < THREADED_POINTS:
                    columns.add(placed)
                else:
                    await asyncio.to_thread(columns.add, placed)
            made = messages.of(run_id, columns)
            is_large = columns.points >= THREADED_POINTS
            while message := await asyncio.to_thread(next, made, None) if is_large else next(made, None):
                yield message
        for message in messages.rest():
            yield message

    async def curve(
        self, request: metric_pb2.GetMetricCurveRequest
    ) -> AsyncIterator[metric_pb2.GetMetricCurveResponse]:
        """See `base.PointStore.curve`."""
        run_ids = list(dict.fromkeys(series.run_id for series in request.series))
        runs = dict(zip(run_ids, await self.find(run_ids), strict=True))
        async for message in curves.messages(self._engine, self.selected, runs, request):
            yield message


async def _decoded(piece: Piece, selection: Selection) -> list[Placed]:
    if sum(len(data) for data, _, _ in piece.chunks) < THREADED_BYTES:
        return piece.decoded(selection)
    return await asyncio.to_thread(piece.decoded, selection)


def _piece_or_end(connection: sa.Connection, reading: Reading) -> Piece | tuple[int, int] | None:
    """Reads what comes next where it is in the log; else says to where a page may go, and the whole read."""
    marks = marks_of(connection, reading.run)
    if marks is None:
        return None
    if reading.place.position >= marks.compacted:
        return piece_of(connection, reading)
    end = marks.next if reading.end is None else min(reading.end, marks.next)
    return min(end, _page_end(connection, reading, marks)), end


def _page_end(connection: sa.Connection, reading: Reading, marks: Marks) -> int:
    """Returns to where a page goes that begins at a compacted position: not too many points, in one range."""
    position = reading.place.position
    level, mark = (SEALED, marks.sealed) if position < marks.sealed else (STRIPE, marks.compacted)
    rows = chunk_rows(
        connection, reading.run, level, position, position + 1, reading.selection, CHUNK_ROWS * 64
    )
    if not rows:
        # None of the wanted keys is in this range: on to the next in which one is.
        later = chunk_rows(connection, reading.run, level, position, mark, reading.selection, 1)
        return later[0].first if later else mark
    first, end = rows[0].first, rows[0].end
    points = sum(row.points for row in rows)
    return min(end, position + max(1, CHUNK_POINTS * (end - first) // max(points, 1)))
