"""Curves read: the cells of sealed chunks as far as they will do, and single points elsewhere."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire.v1 import metric_pb2
from runwire_server.domain import curves
from runwire_server.domain.blocks import Placed
from runwire_server.domain.compaction import Span
from runwire_server.domain.curves import Piece, View
from runwire_server.domain.pyramids import COARSE_CELL, Cells, StoredPyramid
from runwire_server.domain.selection import Selection
from runwire_server.storage.engine import Engine, HotStatement
from runwire_server.storage.point_rows import ChunkRow, chunk_rows, marks_of
from runwire_server.storage.schema import SEALED, metric_chunk

# Series of one run that are read at once.
BATCH = 16
# Rows whose pyramids are read in one snapshot.
PYRAMIDS = 64
# Points from which on they are left to a thread.
THREADED_ROWS = 8_192
# More rows of one run than there can be.
ALL_ROWS = 2**31 - 1

Read = Callable[[int, int, int, Selection], AsyncIterator[Placed]]

_PYRAMID = HotStatement(
    lambda _: sa.select(metric_chunk.c.pyramid).where(
        metric_chunk.c.run == bindparam("run"),
        metric_chunk.c.level == SEALED,
        metric_chunk.c.first == bindparam("first"),
        metric_chunk.c.ordinal == bindparam("ordinal"),
    )
)


@dataclass
class _Series:
    """What is known of a series.

    Attributes:
        rows: Rows of sealed chunks that may have it.
        pieces: What their pyramids have of it.
        exact: Positions at which its points are read one by one.
    """

    rows: list[ChunkRow]
    pieces: list[Piece] = field(default_factory=list)
    exact: list[Span] = field(default_factory=list)


class CurveReader:
    """Reads curves of one run."""

    def __init__(self, engine: Engine, read: Read, run: int, view: View) -> None:
        """Takes the run.

        Args:
            engine: The database.
            read: Yields the points of a run from one position to another of some keys.
            run: The run.
            view: What is asked of each series.
        """
        self._engine = engine
        self._read = read
        self._run = run
        self._view = view

    async def curves(self, keys: Sequence[str]) -> dict[str, Cells]:
        """Returns the buckets of some series, without those that have none."""
        selection = Selection.of(keys)

        def overview(connection: sa.Connection) -> tuple[int, int, list[ChunkRow]] | None:
            marks = marks_of(connection, self._run)
            if marks is None:
                return None
            rows = chunk_rows(connection, self._run, SEALED, 0, marks.sealed, selection, ALL_ROWS)
            return marks.sealed, marks.next, rows

        seen = await self._engine.read(overview)
        if seen is None:
            return {}
        sealed, end, rows = seen
        # One read for all: what is not sealed is in rows of many keys.
        tail = [block async for block in self._read(self._run, sealed, end, selection)]
        found = {key: _Series([r for r in rows if r.first_key <= key <= r.last_key]) for key in keys}
        await self._load(found, {key: self._view.cell(_rows(one)) for key, one in found.items()})
        await self._refine(found)
        done = {}
        for key, series in found.items():
            cells = await self._curve(series, key, tail)
            if cells is not None:
                done[key] = cells
        return done

    async def _refine(self, found: Mapping[str, _Series]) -> None:
        """Loads smaller cells of the series of which so little is wanted that larger ones will not do."""
        finer = {}
        for key, series in found.items():
            wanted = sum(int(piece.cells.count.sum()) for piece in series.pieces)
            cell = self._view.cell(wanted + sum(span.end - span.first for span in series.exact))
            if series.pieces and cell < self._view.cell(_rows(series)):
                kept = {piece.first for piece in series.pieces}
                series.rows = [row for row in series.rows if row.first in kept]
                series.pieces = []
                finer[key] = cell
        await self._load({key: found[key] for key in finer}, finer)

    async def _load(self, found: Mapping[str, _Series], cells: Mapping[str, int]) -> None:
        """Reads the wanted cells of series; their size is given by key, 1 leaves all of them to points."""
        wanted: dict[ChunkRow, list[str]] = defaultdict(list)
        for key, series in found.items():
            if cells[key] == 1:
                series.exact += [Span(row.first, row.end) for row in series.rows]
            else:
                for row in series.rows:
                    wanted[row].append(key)
        rows = sorted(wanted)
        for at in range(0, len(rows), PYRAMIDS):
            part = rows[at : at + PYRAMIDS]
            data = await self._engine.read(partial(_pyramids, self._run, part))
            pyramids = list(zip(part, data, strict=True))
            await asyncio.to_thread(self._take, found, wanted, cells, pyramids)

    def _take(
        self,
        found: Mapping[str, _Series],
        wanted: Mapping[ChunkRow, Sequence[str]],
        cells: Mapping[str, int],
        pyramids: Sequence[tuple[ChunkRow, bytes | None]],
    ) -> None:
        """Decodes pyramids: what of them is of use becomes pieces, the rest is left to points."""
        view = self._view
        for row, data in pyramids:
            stored = None if data is None else StoredPyramid(data)
            for key in wanted[row]:
                series = found[key]
                if stored is None or key not in stored.keys:
                    series.exact.append(Span(row.first, row.end))
                    continue
                if not stored.in_order(key, view.axis):
                    series.exact.append(Span(row.first, row.end))
                    continue
                lowest, highest = stored.ends(key, view.axis)
                if view.misses(lowest, highest):
                    continue
                if not view.holds(lowest, highest):
                    series.exact.append(Span(row.first, row.end))
                    continue
                own = stored.cells(key, view.axis, cells[key] == COARSE_CELL)
                series.pieces.append(Piece(row.first, row.end, lowest, highest, own))

    async def _curve(self, series: _Series, key: str, tail: Sequence[Placed]) -> Cells | None:
        blocks = [*await self._points(series.exact, key), *tail]
        cells, bad = await self._drawn(series.pieces, blocks, key)
        if bad:
            series.exact += [Span(series.pieces[i].first, series.pieces[i].end) for i in bad]
            series.pieces = [piece for i, piece in enumerate(series.pieces) if i not in bad]
            blocks = [*await self._points(series.exact, key), *tail]
            cells, _ = await self._drawn(series.pieces, blocks, key)
        return cells

    async def _drawn(
        self, pieces: Sequence[Piece], blocks: Sequence[Placed], key: str
    ) -> tuple[Cells | None, set[int]]:
        arguments = (self._view, pieces, blocks, key)
        if sum(block.points.rows for block in blocks) < THREADED_ROWS:
            return curves.drawn(*arguments)
        return await asyncio.to_thread(curves.drawn, *arguments)

    async def _points(self, spans: Sequence[Span], key: str) -> list[Placed]:
        """Reads the points of a series at some positions, in order of arrival."""
        found: list[Placed] = []
        selection = Selection.of([key])
        for span in _joined(spans):
            found += [block async for block in self._read(self._run, span.first, span.end, selection)]
        return found


def _rows(series: _Series) -> int:
    """Returns how many points a series may have in sealed chunks."""
    return sum(row.rows for row in series.rows)


def _pyramid(connection: sa.Connection, run: int, row: ChunkRow) -> bytes | None:
    found = _PYRAMID.rows(connection, run=run, first=row.first, ordinal=row.ordinal)
    # Purged since, when it is not there.
    return bytes(found[0][0]) if found and found[0][0] is not None else None


def _pyramids(run: int, rows: Sequence[ChunkRow], connection: sa.Connection) -> list[bytes | None]:
    return [_pyramid(connection, run, row) for row in rows]


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Joins spans that follow each other."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda s: s.first):
        if found and found[-1].end == span.first:
            found[-1] = Span(found[-1].first, span.end)
        else:
            found.append(span)
    return found


async def messages(
    engine: Engine, read: Read, runs: Mapping[str, int], request: metric_pb2.GetMetricCurveRequest
) -> AsyncIterator[Any]:
    """Yields the curves that a request asks for, in messages of about 1 MiB.

    Args:
        engine: The database.
        read: See `CurveReader`.
        runs: The row keys of its runs.
        request: The request.
    """
    view = View.of(request)
    message, size = curves.CurveMessage(), 0
    for batch in curves.batches(request.series, BATCH):
        reader = CurveReader(engine, read, runs[batch[0].run_id], view)
        found = await reader.curves([one.key for one in batch])
        for one in batch:
            size += curves.add_curve(message, one, found.get(one.key))
            if size >= curves.MESSAGE_BYTES:
                yield message
                message, size = curves.CurveMessage(), 0
    if size:
        yield message
