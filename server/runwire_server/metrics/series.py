"""The summaries of one run in memory: which series it has, and what of them is not stored yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from runwire_server.domain.blocks import Int64s, Placed, Points
from runwire_server.domain.folding import Slots, SummaryTable
from runwire_server.storage.appended import Appended
from runwire_server.storage.summary_base import SeriesRows, StoredSeries

# Key sets whose slots are remembered for each run: clients use few, over and over.
KEY_SETS = 256
# Points that wait for earlier ones; beyond that they are read from the log again.
MAX_PENDING = 500_000


class _Order(NamedTuple):
    """All keys of a run, sorted, so that rows are stored in the order of the table, and their slots."""

    keys: list[str]
    slots: Int64s


class _Sweep(NamedTuple):
    """One pass over what is to be stored.

    Attributes:
        order: As it was when the pass began.
        left: Indices into it.
        through: When the pass is over, all series are stored at least up to here.
    """

    order: _Order
    left: Int64s
    through: int


class RunSeries:
    """The summaries of one run: of all its points below a log position.

    Attributes:
        run: The run's row key.
        run_id: Its public id.
        experiment: Its experiment's row key.
        through: The position.
        folded: How far all stored rows reach, as far as is known here.
        loaded: Whether the summaries below `through` are in memory.
        is_reading: Whether a task is folding from the log; others leave their points to it.
    """

    def __init__(self, table: SummaryTable, run: int, run_id: str, experiment: int) -> None:
        """Begins for a run without points."""
        self.run = run
        self.run_id = run_id
        self.experiment = experiment
        self.through = 0
        self.folded = 0
        self.loaded = False
        self.is_reading = False
        self._table = table
        self._slots: dict[str, int] = {}
        self._sets: dict[bytes | tuple[str, ...], Slots] = {}
        self._order = _Order([], np.empty(0, np.int64))
        self._sweep: _Sweep | None = None
        # Keys whose stored row covered more points than the run as a whole when it was loaded.
        self._ahead: dict[str, int] = {}
        self._pending: list[Appended] = []
        self._pending_points = 0
        self._dropped = 0

    def __len__(self) -> int:
        """The number of series."""
        return len(self._slots)

    def admits(self, blocks: Sequence[Points], most: int) -> bool:
        """Tells whether it has at most so many series with those of some blocks."""
        if len(self._slots) + sum(len(block.keys) for block in blocks) <= most:
            return True
        new = {key for block in blocks for key in block.keys if key not in self._slots}
        return len(self._slots) + len(new) <= most

    @property
    def is_behind(self) -> bool:
        """Whether there are points, heard of, that are not in the summaries."""
        return not self.loaded or self.is_reading or bool(self._pending) or self._dropped > self.through

    @property
    def is_stored(self) -> bool:
        """Whether the database has all that is here."""
        return self.folded >= self.through

    def restore(self, stored: StoredSeries) -> None:
        """Begins with what is stored; points from `folded` on are to come."""
        slots = self._table.take(len(stored.keys))
        self._slots = dict(zip(stored.keys, slots.tolist(), strict=True))
        self._table.put(slots, stored.summaries)
        self._order = _Order(list(stored.keys), slots)
        self._ahead = {
            key: through
            for key, through in zip(stored.keys, stored.through, strict=True)
            if through > stored.folded
        }
        self.through = self.folded = stored.folded
        self.loaded = True

    def placed_parts(self, placed: Placed) -> list[tuple[Slots, Points]]:
        """Returns what is to be folded of points from the log: rows that were stored have some of them."""
        points, positions = placed.points, placed.positions
        if not self._ahead:
            return [(self.slots_of(points), points)]
        known = np.array([self._ahead.get(key, 0) for key in points.keys])
        if int(known.max()) <= int(positions[0]):
            return [(self.slots_of(points), points)]
        parts = []
        for through in np.unique(known).tolist():
            rows, columns = np.flatnonzero(positions >= through), np.flatnonzero(known == through)
            if len(rows):
                keys = tuple(points.keys[k] for k in columns.tolist())
                values = points.values[np.ix_(rows, columns)]
                part = Points.of(keys, points.steps[rows], points.times[rows], values)
                parts.append((self.slots_of(part), part))
        return parts

    def reach(self, position: int) -> None:
        """Notes that all points below a log position are in the summaries."""
        self.through = position
        if self._ahead and position >= max(self._ahead.values()):
            self._ahead = {}

    def keep(self, appended: Appended) -> None:
        """Keeps points until those before them are there."""
        self._pending.append(appended)
        self._pending_points += sum(block.size for block in appended.blocks)
        if self._pending_points > MAX_PENDING:
            self._dropped = max(self._dropped, *(piece.end for piece in self._pending))
            self._pending, self._pending_points = [], 0

    def ready(self) -> list[Appended]:
        """Takes the kept points that follow those in the summaries; forgets what they have by now."""
        taken, end = [], self.through
        kept = []
        for piece in sorted(self._pending, key=lambda piece: piece.first):
            if piece.end <= end:
                continue
            if piece.first == end:
                taken.append(piece)
                end = piece.end
            else:
                kept.append(piece)
        self._pending = kept
        self._pending_points = sum(block.size for piece in kept for block in piece.blocks)
        return taken

    def slots_of(self, block: Points) -> Slots:
        """Returns where the summaries of a block's keys are; new ones are added."""
        # A tuple of 100,000 keys takes a millisecond to look up, its hash does not.
        name = block.group or block.keys
        slots = self._sets.get(name)
        if slots is None:
            if len(self._sets) >= KEY_SETS:
                self._sets.clear()
            slots = self._sets[name] = self._find(block.keys)
        return slots

    def _find(self, keys: Sequence[str]) -> Slots:
        known = self._slots
        new = [key for key in keys if key not in known]
        if new:
            known.update(zip(new, self._table.take(len(new)).tolist(), strict=True))
        return Slots(np.fromiter(map(known.__getitem__, keys), np.int64, len(keys)))

    def order(self) -> _Order:
        """Returns all series by key."""
        if len(self._order.keys) < len(self._slots):
            keys = sorted(self._slots)
            self._order = _Order(keys, np.fromiter(map(self._slots.__getitem__, keys), np.int64, len(keys)))
        return self._order

    def slots(self, keys: Sequence[str]) -> dict[str, int]:
        """Returns the slots of those keys that the run has."""
        return {key: self._slots[key] for key in keys if key in self._slots}

    def next_rows(self, most: int) -> SeriesRows:
        """Takes the next rows of a pass over all that is to be stored, and begins one if none is on."""
        if self._sweep is None:
            order = self.order()
            self._sweep = _Sweep(order, np.flatnonzero(self._table.dirty[order.slots]), self.through)
        order, left, through = self._sweep
        # Some may have been stored on demand since.
        left = left[self._table.dirty[order.slots[left]]]
        part, left = left[:most], left[most:]
        self._sweep = _Sweep(order, left, through) if len(left) else None
        keys = [order.keys[i] for i in part.tolist()]
        return self._rows(keys, order.slots[part], None if len(left) else through)

    def rows_of(self, keys: Sequence[str]) -> SeriesRows:
        """Takes what is to be stored of some keys."""
        found = self.slots(sorted(keys))
        slots = np.fromiter(found.values(), np.int64, len(found))
        dirty = self._table.dirty[slots].tolist()
        return self._rows(
            [key for key, one in zip(found, dirty, strict=True) if one], slots[np.array(dirty, bool)], None
        )

    def _rows(self, keys: list[str], slots: Int64s, folded: int | None) -> SeriesRows:
        self._table.dirty[slots] = False
        return SeriesRows(self.run, self.through, keys, self._table.get(slots), folded)

    def put_back(self, rows: SeriesRows) -> None:
        """Notes that rows were not stored after all; the pass begins anew."""
        self._table.dirty[list(self.slots(rows.keys).values())] = True
        self._sweep = None

    def free(self) -> None:
        """Gives its room in the table back."""
        self._table.give_back(np.fromiter(self._slots.values(), np.int64, len(self._slots)))
        self._slots, self._sets, self._pending = {}, {}, []
