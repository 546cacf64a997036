"""Checks of LogBatch and of batches in frames, whose blocks become points on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from runwire_server.domain import packed
from runwire_server.domain.blocks import GROUP_BYTES, INLINE_KEYS, NUMBER, Points
from runwire_server.domain.checks import Checks
from runwire_server.domain.limits import (
    INT64_MAX,
    MAX_BATCH_PARAMS,
    MAX_BATCH_POINTS,
    MAX_BATCH_TAGS,
    MAX_GROUP_KEYS,
    MAX_PARAM_VALUE,
    MAX_RUN_TAG_VALUE,
)


class Group(NamedTuple):
    """A group that a stream has declared; `fault` says what is wrong with its keys, "" if nothing is."""

    keys: tuple[str, ...]
    fault: str


def log_batch(request: Any) -> list[Points]:
    """Checks LogBatch, and returns its blocks.

    Args:
        request: A LogBatchRequest of the packed kind (see `packed`).

    Raises:
        InvalidArgument: naming every broken field.
    """
    checks = Checks(request)
    checks.run_id(request.run_id)
    checks.pairs(request.params, "params", MAX_BATCH_PARAMS, MAX_PARAM_VALUE)
    checks.pairs(request.tags, "tags", MAX_BATCH_TAGS, MAX_RUN_TAG_VALUE)
    blocks = _blocks(request.blocks, checks)
    checks.done()
    return blocks


def record(request: Any, groups: Mapping[bytes, Group]) -> tuple[Points, ...]:
    """Checks a batch in a frame, and returns its blocks.

    Args:
        request: A LogBatchRequest of the packed kind.
        groups: What the stream has declared, by hash. Blocks of other groups come back without keys.

    Raises:
        InvalidArgument: naming every broken field.
    """
    checks = Checks()
    checks.run_id(request.run_id)
    if request.params or request.tags:
        checks.pairs(request.params, "params", MAX_BATCH_PARAMS, MAX_PARAM_VALUE)
        checks.pairs(request.tags, "tags", MAX_BATCH_TAGS, MAX_RUN_TAG_VALUE)
    read = [_points(block, f"blocks[{i}]", checks) for i, block in enumerate(request.blocks)]
    blocks = tuple(
        [_declared(b, f"blocks[{i}]", groups, checks) for i, b in enumerate(read) if b is not None]
    )
    checks.done()
    return blocks


def _declared(block: Points, path: str, groups: Mapping[bytes, Group], checks: Checks) -> Points:
    """Returns a block with the keys of its group, if the stream has declared that."""
    if not block.group:
        return block
    group = groups.get(block.group)
    if group is None:
        return block
    if checks.that(not group.fault, f"{path}.group", group.fault):
        fits = block.rows * len(group.keys) == block.size
        checks.that(fits, f"{path}.values", f"must be {block.rows} steps x {len(group.keys)} keys numbers")
    return replace(block, keys=group.keys)


def group_fault(keys: tuple[str, ...]) -> str:
    """Says what is wrong with the keys of a group, "" if nothing is."""
    if not INLINE_KEYS < len(keys) <= MAX_GROUP_KEYS:
        return f"must have {INLINE_KEYS + 1} to {MAX_GROUP_KEYS} keys"
    return "" if _are_sound(keys) else "has a key that breaks a rule, or one twice"


def _blocks(sent: Any, checks: Checks) -> list[Points]:
    too_many = f"must have at most {MAX_BATCH_POINTS} points in all"
    # Each block, and each key of a block, has a point at least: do not look at a million of them.
    few = len(sent) <= MAX_BATCH_POINTS and sum(len(block.keys) for block in sent) <= MAX_BATCH_POINTS
    if not checks.that(few, "blocks", too_many):
        return []
    read = [_points(block, f"blocks[{i}]", checks) for i, block in enumerate(sent)]
    blocks = [block for block in read if block is not None]
    checks.that(sum(block.size for block in blocks) <= MAX_BATCH_POINTS, "blocks", too_many)
    return blocks


def _points(block: Any, path: str, checks: Checks) -> Points | None:
    """Reads one block; None if it is broken, which is then noted."""
    noted = len(checks.violations)
    _check_keys(block, path, checks)
    try:
        block = packed.repacked(block)
        times, values = packed.numbers(block.timestamps_ms), packed.numbers(block.values)
        rows = len(times) // NUMBER
        steps = _steps(block, rows, path, checks)
    except ValueError as error:
        checks.that(False, path, f"has packed numbers that are {error}")
        return None
    checks.that(rows > 0, f"{path}.timestamps_ms", "must not be empty")
    # Every eighth byte has a number's sign as its highest bit.
    checks.that(times[NUMBER - 1 :: NUMBER].isascii(), f"{path}.timestamps_ms", "must not be negative")
    checks.that(len(steps) == len(times), f"{path}.steps", f"must be as many as timestamps_ms ({rows})")
    width, size = len(block.keys), len(values) // NUMBER
    if width:
        checks.that(size == rows * width, f"{path}.values", f"must be {rows} steps x {width} keys numbers")
    else:
        whole = rows > 0 and size > 0 and size % rows == 0
        checks.that(whole, f"{path}.values", "must be a multiple of the number of timestamps_ms")
    if len(checks.violations) > noted:
        return None
    return Points(tuple(block.keys), steps, times, values, block.group)


def _check_keys(block: Any, path: str, checks: Checks) -> None:
    if block.group:
        checks.that(not block.keys, f"{path}.keys", "must be empty when group is given")
        checks.that(len(block.group) == GROUP_BYTES, f"{path}.group", f"must have {GROUP_BYTES} bytes")
        return
    if not checks.that(len(block.keys) > 0, f"{path}.keys", "must not be empty"):
        return
    most = f"must have at most {MAX_GROUP_KEYS} entries"
    if not checks.that(len(block.keys) <= MAX_GROUP_KEYS, f"{path}.keys", most):
        return
    keys = tuple(block.keys)
    if _known_sound(keys):
        return
    checks.that(len(set(block.keys)) == len(block.keys), f"{path}.keys", "must not have a key twice")
    for k, key in enumerate(block.keys):
        checks.key(key, f"{path}.keys[{k}]")


def _are_sound(keys: tuple[str, ...]) -> bool:
    """Tells whether keys are sound and distinct."""
    checks = Checks()
    for key in keys:
        checks.key(key, "")
    return not checks.violations and len(set(keys)) == len(keys)


# Runs log the same keys on and on. 32 sets of 1,000 keys of 250 characters are 32 MB at most, and so are
# 4,096 sets of 8.
REMEMBERED_KEYS = 1_000
_sound = lru_cache(maxsize=32)(_are_sound)
_few_are_sound = lru_cache(maxsize=4_096)(_are_sound)


def _known_sound(keys: tuple[str, ...]) -> bool:
    if len(keys) <= INLINE_KEYS:
        return _few_are_sound(keys)
    return _sound(keys) if len(keys) <= REMEMBERED_KEYS else _are_sound(keys)


def _steps(block: Any, rows: int, path: str, checks: Checks) -> bytes:
    which = block.WhichOneof("axis")
    if which == "steps":
        return packed.numbers(block.steps.steps)
    if not checks.that(which == "range", path, "must have steps or range"):
        return bytes(rows * NUMBER)
    first, stride = block.range.first, block.range.stride
    if rows == 1:
        return first.to_bytes(NUMBER, "little", signed=True)  # type: ignore[no-any-return]
    last = first + stride * max(rows - 1, 0)
    checks.that(-INT64_MAX - 1 <= last <= INT64_MAX, f"{path}.range", "must not leave the range of int64")
    # Wraps around only when the check above has failed.
    return (np.int64(first) + np.int64(stride) * np.arange(rows, dtype="<i8")).tobytes()
