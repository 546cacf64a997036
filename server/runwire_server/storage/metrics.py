"""Metric points in SQL: what a write adds to the log and the summaries.

A write appends one log row, whatever the number of keys and steps, and folds its points into the
summaries in the same transaction; so `folded_position` moves with `next_position`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire_server.domain.blocks import (
    INLINE_KEYS,
    Points,
    encode,
    group_hash,
    joined,
    split,
)
from runwire_server.domain.folding import Summary, bits, exact, fold
from runwire_server.errors import FailedPrecondition, InvalidArgument
from runwire_server.storage.engine import HotStatement, insert, one_of
from runwire_server.storage.run_rows import SUMMARY_COLUMNS
from runwire_server.storage.schema import metric_group, metric_log, metric_series


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


def append(connection: sa.Connection, run_id: str, run: Owner, sent: Sequence[Points]) -> tuple[Points, ...]:
    """Adds blocks to a run that the unit has locked, at the log positions that it took for them.

    Returns:
        The blocks, keys resolved.

    Raises:
        FailedPrecondition: GROUP_UNKNOWN.
        InvalidArgument: if a block's values do not fit the keys of its group.
    """
    blocks = resolved(connection, run_id, run.id, sent)
    _store_groups(connection, run.id, blocks)
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
    return tuple(blocks)


def _sortable(summary: Summary) -> tuple[Any, ...]:
    """Returns what is stored of a summary: NULL for NaN, which PostgreSQL would sort above all numbers."""
    kept = bits(summary)
    if kept is None:
        return (*summary, None)
    return (*(number if number == number else None for number in summary), kept)


def resolved(connection: sa.Connection, run_id: str, run: int, sent: Sequence[Points]) -> list[Points]:
    """Returns blocks with keys: those that only name a group must name one that the run has stored.

    Raises:
        FailedPrecondition: GROUP_UNKNOWN.
        InvalidArgument: if a block's values do not fit the keys of its group.
    """
    return [
        block if block.keys else _with_keys(connection, run_id, run, block, i) for i, block in enumerate(sent)
    ]


def _store_groups(connection: sa.Connection, run: int, blocks: Sequence[Points]) -> None:
    """Stores the groups that the log row is about to name, those that are new."""
    groups: dict[bytes, Points] = {}
    for block in blocks:
        if len(block.keys) > INLINE_KEYS:
            groups.setdefault(block.group or group_hash(joined(block.keys)), block)
    for name, block in groups.items():
        if not _GROUP_KEYS.rows(connection, run=run, hash=name):
            _ADD_GROUP.count(connection, run=run, hash=name, keys=joined(block.keys))


def _with_keys(connection: sa.Connection, run_id: str, run: int, block: Points, index: int) -> Points:
    found = _GROUP_KEYS.rows(connection, run=run, hash=block.group)
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
