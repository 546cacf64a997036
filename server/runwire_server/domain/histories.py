"""Histories: points of one run in order of arrival, put in order key by key, and packed into messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from runwire.v1 import metric_pb2
from runwire_server.domain import packed
from runwire_server.domain.blocks import NUMBER, Doubles, Int64s, Placed, Points

# Points in a message of a history, and the bytes of each.
MESSAGE_POINTS = 40_000
POINT_BYTES = 24

HistoryMessage = packed.message_class("GetMetricHistoryResponse")


class Columns:
    """Collects the points of one run by key, and puts each key's in order.

    Attributes:
        points: How many it has.
    """

    def __init__(self, request: metric_pb2.GetMetricHistoryRequest) -> None:
        self.points = 0
        self._wanted = dict.fromkeys(request.keys)
        self._low = request.min_step if request.HasField("min_step") else None
        self._high = request.max_step if request.HasField("max_step") else None
        self._parts: list[tuple[Int64s, Int64s, Doubles]] = []
        # For each key its parts, and which column of each it is, by turns: numbers, of which there may be
        # millions, give the garbage collector nothing to look at.
        self._columns: dict[str, list[int]] = {}

    def add(self, placed: Placed) -> None:
        """Takes points of wanted keys; each key's come in order of arrival."""
        block = placed.points
        steps, times, values = block.steps, block.times, block.values
        if self._low is not None or self._high is not None:
            kept = np.ones(len(steps), bool)
            if self._low is not None:
                kept &= steps >= self._low
            if self._high is not None:
                kept &= steps <= self._high
            steps, times, values = steps[kept], times[kept], values[kept]
        if len(steps):
            self.points += len(steps) * len(block.keys)
            part = len(self._parts)
            self._parts.append((steps, times, values))
            for k, key in enumerate(block.keys):
                self._columns.setdefault(key, []).extend((part, k))

    def blocks(self) -> Iterator[Points]:
        """Yields a column of each key, in the order asked for, else by key."""
        for key in self._wanted or sorted(self._columns):
            if key in self._columns:
                places = self._columns.pop(key)
                parts = [self._parts[part] for part in places[::2]]
                steps = np.concatenate([part[0] for part in parts])
                times = np.concatenate([part[1] for part in parts])
                values = np.concatenate([v[:, k] for (_, _, v), k in zip(parts, places[1::2], strict=True)])
                # Stable, so that equal steps and times stay in order of arrival.
                order = np.lexsort((times, steps))
                yield Points.of((key,), steps[order], times[order], values[order])


class Messages:
    """Packs blocks into messages of about 1 MiB."""

    def __init__(self) -> None:
        self._message: Any = HistoryMessage()
        self._points = 0

    def of(self, run_id: str, columns: Columns) -> Iterator[Any]:
        """Adds all points of a run; yields the messages that these fill."""
        for block in columns.blocks():
            yield from self._add(run_id, block)

    def _add(self, run_id: str, block: Points) -> Iterator[Any]:
        """Adds a block, in parts if it is large; yields the messages that this fills."""
        for start in range(0, block.rows, MESSAGE_POINTS):
            rows = min(block.rows - start, MESSAGE_POINTS)
            if self._points and self._points + rows > MESSAGE_POINTS:
                yield from self.rest()
            part = slice(start * NUMBER, (start + rows) * NUMBER)
            target = self._message.blocks.add(run_id=run_id).block
            target.keys.append(block.keys[0])
            target.steps.steps.append(block.packed_steps[part])
            target.timestamps_ms.append(block.packed_times[part])
            target.values.append(block.packed_values[part])
            # A block of one point weighs as much as a few: its id and key count too.
            self._points += rows + 4 + len(block.keys[0].encode()) // POINT_BYTES

    def rest(self) -> Iterator[Any]:
        """Yields what is left, if anything is."""
        if self._points:
            yield self._message
            self._message, self._points = HistoryMessage(), 0
