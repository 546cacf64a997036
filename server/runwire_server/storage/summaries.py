"""Summaries of series in SQL: loaded by run, and flushed from where they are folded.

A row is absolute: it covers all points of its series below its `through`, whoever wrote it. So a flush may
come late, twice, or from several processes at once, and only the row that reaches furthest stays.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import ARRAY

from runwire_server.domain.summaries import Summary, bits, exact
from runwire_server.failpoints import reach
from runwire_server.storage.engine import Engine, HotStatement, insert, one_of
from runwire_server.storage.run_rows import SUMMARY_COLUMNS
from runwire_server.storage.schema import PURGED, metric_series, runs
from runwire_server.storage.summary_base import Flushed, SeriesRows, StoredSeries, Unfolded

_NAMES = tuple(c.name for c in metric_series.c)
_RUN = HotStatement(
    lambda _: sa.select(runs.c.run_id, runs.c.experiment, runs.c.folded_position, runs.c.next_position).where(
        runs.c.id == bindparam("run"), runs.c.lifecycle != bindparam("purged")
    )
)
_STORED = HotStatement(
    lambda _: (
        sa.select(metric_series.c.key, *SUMMARY_COLUMNS, metric_series.c.bits, metric_series.c.through)
        .where(metric_series.c.run == bindparam("run"))
        .order_by(metric_series.c.key)
    )
)
# Locked in the order that all lock in. What is copied into the rows can then not change meanwhile, nor
# can the run be purged.
_OWNERS = HotStatement(
    lambda d: (
        sa.select(runs.c.id, runs.c.experiment, runs.c.lifecycle, runs.c.start_time)
        .where(one_of(d, runs.c.id, "runs"), runs.c.lifecycle != bindparam("purged"))
        .order_by(runs.c.run_id)
        .with_for_update(key_share=True)
    )
)
_ADVANCE = HotStatement(
    lambda _: (
        sa.update(runs)
        .where(runs.c.id == bindparam("run"), runs.c.folded_position < bindparam("folded"))
        .values(folded_position=bindparam("folded"))
    )
)
_UNFOLDED = HotStatement(
    lambda _: sa.select(runs.c.id, runs.c.run_id, runs.c.experiment, runs.c.folded_position).where(
        runs.c.folded_position < runs.c.next_position, runs.c.lifecycle != bindparam("purged")
    )
)


def _upsert(dialect: str) -> sa.Executable:
    if dialect == "postgresql":
        # One statement for all rows, as columns: row by row it takes four times as long, with the run locked.
        columns = [
            sa.func.unnest(bindparam(name, type_=ARRAY(metric_series.c[name].type))) for name in _NAMES
        ]
        statement = insert(metric_series).from_select(_NAMES, sa.select(*columns))
    else:
        values = {name: bindparam(name, type_=metric_series.c[name].type) for name in _NAMES}
        statement = insert(metric_series).values(values)
    return statement.on_conflict_do_update(
        index_elements=["run", "key"],
        set_={name: statement.excluded[name] for name in _NAMES if name not in {"run", "key"}},
        where=metric_series.c.through < statement.excluded.through,
    )


_UPSERT = HotStatement(_upsert)


class SqlSummaries:
    """See `base.SummaryStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def load(self, run: int) -> StoredSeries | None:
        """See `base.SummaryStore.load`."""

        def unit(connection: sa.Connection) -> StoredSeries | None:
            found = _RUN.rows(connection, run=run, purged=PURGED)
            if not found:
                return None
            run_id, experiment, folded, end = found[0]
            rows = _STORED.rows(connection, run=run)
            return StoredSeries(
                run,
                run_id,
                experiment,
                folded,
                end,
                [row[0] for row in rows],
                [exact(Summary._make(row[1:-2]), row[-2]) for row in rows],
                [row[-1] for row in rows],
            )

        return await self._engine.read(unit)

    async def unfolded(self) -> list[Unfolded]:
        """See `base.SummaryStore.unfolded`."""
        return [Unfolded(*row) for row in await self._engine.read(lambda c: _UNFOLDED.rows(c, purged=PURGED))]

    async def flush(self, batch: Sequence[SeriesRows]) -> Flushed:
        """See `base.SummaryStore.flush`."""

        def unit(connection: sa.Connection) -> Flushed:
            began = time.perf_counter()
            wanted = sorted({part.run for part in batch})
            owners = {row[0]: row[1:] for row in _OWNERS.rows(connection, runs=wanted, purged=PURGED)}
            there = [part for part in batch if part.run in owners]
            _store(connection, [row for part in there for row in _rows(part, owners[part.run])])
            for part in sorted(there, key=lambda p: p.run):
                if part.folded is not None:
                    _ADVANCE.count(connection, run=part.run, folded=part.folded)
            reach("summary-flush")
            return Flushed(time.perf_counter() - began, frozenset(wanted) - frozenset(owners))

        return await self._engine.write(unit)


def _store(connection: sa.Connection, rows: Sequence[Sequence[Any]]) -> None:
    if connection.dialect.name != "postgresql":
        _UPSERT.many(connection, rows, _NAMES)
    elif rows:
        columns = zip(*rows, strict=True)
        _UPSERT.count(
            connection, **{name: list(column) for name, column in zip(_NAMES, columns, strict=True)}
        )


def _rows(part: SeriesRows, owner: Sequence[Any]) -> list[tuple[Any, ...]]:
    head = tuple(owner)
    return [
        (part.run, key, *head, *_sortable(summary), part.through)
        for key, summary in zip(part.keys, part.summaries, strict=True)
    ]


def _sortable(summary: Summary) -> tuple[Any, ...]:
    """Returns what is stored of a summary: NULL for NaN, which PostgreSQL would sort above all numbers."""
    kept = bits(summary)
    if kept is None:
        return (*summary, None)
    return (*(number if number == number else None for number in summary), kept)
