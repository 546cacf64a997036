"""New points of a run, cut into messages at log positions, so that each message can carry a cursor."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from runwire_server.domain import packed
from runwire_server.domain.blocks import NUMBER, Placed, Points

# About what a message holds; one step of very many keys may make it larger.
MESSAGE_BYTES = 1024 * 1024
# What a key's text is taken for: its length is not worth a look at each key.
KEY_BYTES = 32

WatchMessage = packed.message_class("WatchMetricsResponse")


def weight(points: Points) -> int:
    """Returns about how many bytes points take."""
    return len(points.packed_values) + 2 * len(points.packed_times) + KEY_BYTES * len(points.keys)


def chosen(points: Points, keys: frozenset[str]) -> Points:
    """Returns the columns of some keys; without keys, all of them."""
    if not keys or keys.issuperset(points.keys):
        return points
    columns = [k for k, key in enumerate(points.keys) if key in keys]
    return replace(
        points,
        keys=tuple(points.keys[k] for k in columns),
        packed_values=points.values[:, columns].tobytes() if columns else b"",
    )


def cut(placed: Placed, first: int, end: int) -> Placed:
    """Returns the part at log positions [first, end)."""
    positions = placed.positions
    if positions[0] >= first and positions[-1] < end:
        return placed
    low, high = (int(i) for i in np.searchsorted(positions, [first, end]))
    points, width = placed.points, len(placed.points.keys)
    part = replace(
        points,
        packed_steps=points.packed_steps[low * NUMBER : high * NUMBER],
        packed_times=points.packed_times[low * NUMBER : high * NUMBER],
        packed_values=points.packed_values[low * width * NUMBER : high * width * NUMBER],
    )
    return Placed(part, positions[low:high])


def windows(blocks: Sequence[Placed], end: int) -> Iterator[tuple[list[Points], int]]:
    """Divides blocks into windows of log positions that make a message each.

    Blocks may overlap, as those of a compacted range do, of which each has some of the keys.

    Args:
        blocks: Points of one run, none of them empty.
        end: The log position behind them.

    Yields:
        The points of a window in order of arrival, blocks that overlap one after the other, and the
        log position behind it: the next one's begin, at last `end`.
    """
    if not blocks:
        return
    ordered = sorted(_joined(blocks), key=lambda placed: int(placed.positions[0]))
    begin = int(ordered[0].positions[0])
    for until in [*_bounds(ordered), end]:
        inside = [b for b in ordered if b.positions[0] < until and b.positions[-1] >= begin]
        parts = (cut(block, begin, until) for block in inside)
        yield _merged(part.points for part in parts if part.points.rows), until
        begin = until


def _bounds(blocks: Sequence[Placed]) -> list[int]:
    """Returns the positions at which a new message begins, all but the first."""
    if sum(weight(block.points) for block in blocks) <= MESSAGE_BYTES:
        return []
    positions = np.concatenate([block.positions for block in blocks])
    weights = np.concatenate([_weights(block.points) for block in blocks])
    order = np.argsort(positions, kind="stable")
    positions, weights = positions[order], weights[order]
    # Rows of one position stay together, and are counted together.
    starts = np.flatnonzero(np.diff(positions, prepend=-1))
    distinct, sums = positions[starts], np.cumsum(np.add.reduceat(weights, starts))
    bounds: list[int] = []
    total = 0
    while True:
        index = int(np.searchsorted(sums, total + MESSAGE_BYTES, side="right"))
        # At least one position in each message.
        index = max(index, int(np.searchsorted(sums, total, side="right")) + 1)
        if index >= len(distinct):
            return bounds
        bounds.append(int(distinct[index]))
        total = int(sums[index - 1])


def _weights(points: Points) -> Any:
    weights = np.full(points.rows, (len(points.keys) + 2) * NUMBER, np.int64)
    weights[0] += KEY_BYTES * len(points.keys)
    return weights


def _joined(blocks: Sequence[Placed]) -> list[Placed]:
    """Puts together what was logged together: blocks at the same positions are columns of one matrix."""
    if all(a.positions[-1] < b.positions[0] for a, b in itertools.pairwise(blocks)):
        return list(blocks)
    alike: dict[bytes, list[Placed]] = {}
    for block in blocks:
        alike.setdefault(block.positions.tobytes(), []).append(block)
    return [_beside(parts) for parts in alike.values()]


def _beside(parts: list[Placed]) -> Placed:
    if len(parts) == 1:
        return parts[0]
    first = parts[0].points
    keys = tuple(key for part in parts for key in part.points.keys)
    values = np.concatenate([part.points.values for part in parts], axis=1)
    return Placed(replace(first, keys=keys, packed_values=values.tobytes()), parts[0].positions)


def _merged(parts: Iterable[Points]) -> list[Points]:
    """Puts neighbours of the same keys into one block each."""
    runs: list[list[Points]] = []
    for part in parts:
        if runs and runs[-1][0].keys == part.keys:
            runs[-1].append(part)
        else:
            runs.append([part])
    return [run[0] if len(run) == 1 else _stacked(run) for run in runs]


def _stacked(run: list[Points]) -> Points:
    return Points(
        run[0].keys,
        b"".join(part.packed_steps for part in run),
        b"".join(part.packed_times for part in run),
        b"".join(part.packed_values for part in run),
    )


@dataclass(frozen=True, slots=True)
class Encoded:
    """A message that is bytes already, which watchers of the same points share but for the cursor."""

    data: bytes

    def SerializeToString(self) -> bytes:
        """Returns the bytes, as a message does."""
        return self.data


def message(blocks: bytes, cursor: str, resync: Sequence[str] = ()) -> Encoded:
    """Makes a WatchMetricsResponse of what `encoded` has made."""
    # Fields of one message may come in parts that are put behind each other.
    return Encoded(blocks + WatchMessage(cursor=cursor, resync_run_ids=resync).SerializeToString())


def encoded(run_id: str, points: Iterable[Points]) -> bytes:
    """Returns the blocks of a WatchMetricsResponse."""
    made: Any = WatchMessage()
    for part in points:
        target = made.blocks.add(run_id=run_id).block
        target.keys.extend(part.keys)
        target.steps.steps.append(part.packed_steps)
        target.timestamps_ms.append(part.packed_times)
        target.values.append(part.packed_values)
    return made.SerializeToString()  # type: ignore[no-any-return]
