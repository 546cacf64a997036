"""Metric points in SQL: what a write adds to the log.

A write appends one log row, whatever the number of keys and steps. Its points are folded into the summaries
after the commit; see `metrics/summaries.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire_server.domain.blocks import (
    INLINE_KEYS,
    Points,
    encode,
    hashed,
    joined,
    split,
)
from runwire_server.errors import FailedPrecondition, InvalidArgument
from runwire_server.storage.engine import HotStatement, insert
from runwire_server.storage.schema import metric_group, metric_log


class Owner(Protocol):
    """What is known of the run that points are added to."""

    @property
    def id(self) -> int: ...
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
_HAS_GROUP = HotStatement(
    lambda _: sa.select(metric_group.c.id).where(
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


def append(connection: sa.Connection, run_id: str, run: Owner, sent: Sequence[Points]) -> tuple[Points, ...]:
    """Adds blocks to a run that the unit has locked, at the log positions that it took for them.

    Returns:
        The blocks, keys resolved.

    Raises:
        FailedPrecondition: GROUP_UNKNOWN.
        InvalidArgument: if a block's values do not fit the keys of its group.
    """
    blocks = [
        hashed(block) if len(block.keys) > INLINE_KEYS else block
        for block in resolved(connection, run_id, run.id, sent)
    ]
    _store_groups(connection, run.id, blocks)
    rows = sum(block.rows for block in blocks)
    _APPEND.count(connection, run=run.id, first=run.next_position, rows=rows, data=encode(blocks))
    return tuple(blocks)


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
    groups = {block.group: block.keys for block in blocks if len(block.keys) > INLINE_KEYS}
    for name, keys in groups.items():
        if not _HAS_GROUP.rows(connection, run=run, hash=name):
            _ADD_GROUP.count(connection, run=run, hash=name, keys=joined(keys))


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
