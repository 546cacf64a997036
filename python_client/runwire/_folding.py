"""From what callers logged to what frames hold: points become blocks, blocks become records."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final, NamedTuple

from runwire import _encoding
from runwire.v1 import frame_pb2

# One point or row as a caller hands it over: run, key or keys, value or values, step, time.
Point = tuple[str, Any, Any, int, int]

# A payload may have 2 MiB; a record keeps well below, so that it fits with its begin record.
MOST_RECORD_BYTES: Final = 1_800_000
MOST_ROW_KEYS: Final = 200_000
_UNIT_BYTES: Final = 512 * 1024
_BATCH_BYTES: Final = 256 * 1024
# Sets of keys as wide as this become a group at their first use: inline they would fill frames.
_WIDE_KEYS: Final = 1000
MOST_GROUP_KEYS: Final = 10_000
# A client has two that make groups, and one stream declares at most 1,000.
_MOST_GROUPS: Final = 500
_MOST_GROUP_BYTES: Final = 16 * 1024 * 1024
_MOST_GROUP_TEXT: Final = 1024 * 1024
_MOST_SEEN: Final = 10_000


class Record(NamedTuple):
    """A record that is ready, with the groups that it names.

    Attributes:
        run_id: The run.
        data: A serialised `Record`.
        groups: What has to be declared before it.
        points: How many points it holds.
        ends: Whether it ends the run.
    """

    run_id: str
    data: bytes
    groups: tuple[frame_pb2.Group, ...] = ()
    points: int = 0
    ends: bool = False


class _Part(NamedTuple):
    """A part of a set of keys that one block can name: keys[start:end]."""

    start: int
    end: int
    header: bytes
    group: frame_pb2.Group | None


class Groups:
    """How sets of keys are named: inline, and from their second use on by a group where they are wide."""

    def __init__(self) -> None:
        """Starts without groups."""
        self._parts: dict[tuple[str, ...], list[_Part]] = {}
        self._seen: set[tuple[str, ...]] = set()
        self._count = 0
        self._bytes = 0

    def parts(self, keys: tuple[str, ...]) -> list[_Part]:
        """Names a set of keys.

        Args:
            keys: The keys.

        Returns:
            What each block of them names; one but for very wide sets.
        """
        found = self._parts.get(keys)
        if found is not None:
            return found
        if len(keys) < _encoding.GROUP_KEYS or (len(keys) < _WIDE_KEYS and keys not in self._seen):
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen.add(keys)
            return [_Part(0, len(keys), _encoding.names(keys), None)]
        made = [self._part(keys, start, end) for start, end in _pieces(keys)]
        # A last piece may be too narrow for a group, and needs none.
        if all(part.group is not None or part.end - part.start < _encoding.GROUP_KEYS for part in made):
            self._parts[keys] = made
        return made

    def _part(self, keys: tuple[str, ...], start: int, end: int) -> _Part:
        piece = keys[start:end]
        size = sum(map(len, piece))
        full = self._count >= _MOST_GROUPS or self._bytes + size > _MOST_GROUP_BYTES
        if full or len(piece) < _encoding.GROUP_KEYS:
            return _Part(start, end, _encoding.names(piece), None)
        self._count += 1
        self._bytes += size
        group = _encoding.group(piece)
        return _Part(start, end, _encoding.named(group.hash), group)


def _pieces(keys: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Divides keys so that each piece can be declared in one message."""
    start, size = 0, 0
    for i, key in enumerate(keys):
        if i - start == MOST_GROUP_KEYS or size > _MOST_GROUP_TEXT:
            yield start, i
            start, size = i, 0
        size += 4 * len(key)
    yield start, len(keys)


class _Columns(dict[Any, list[Point]]):
    """The points of one run, gathered by key or by set of keys, in the order of arrival within each key."""

    def __init__(self, run_id: str, groups: Groups) -> None:
        super().__init__()
        self._run_id = run_id
        self._groups = groups
        # A key that stands alone and in a set has to be written before its points change places.
        self._owner: dict[str, Any] = {}
        self._blocks: list[bytes] = []
        self._named: dict[bytes, frame_pb2.Group] = {}
        self._size = 0
        self._points = 0
        self.records: list[Record] = []

    def __missing__(self, key: Any) -> list[Point]:
        owner = self._owner
        names = (key,) if key.__class__ is str else key
        if not owner.keys().isdisjoint(names):
            for other in dict.fromkeys(owner[name] for name in names if name in owner):
                self._write(other, self.pop(other))
                for name in (other,) if other.__class__ is str else other:
                    del owner[name]
        owner.update(dict.fromkeys(names, key))
        made: list[Point] = []
        self[key] = made
        return made

    def finish(self) -> list[Record]:
        """Writes everything, and returns the records."""
        for key, points in self.items():
            self._write(key, points)
        self.clear()
        self._owner.clear()
        self._cut()
        found, self.records = self.records, []
        return found

    def _write(self, key: Any, points: list[Point]) -> None:
        keys = (key,) if key.__class__ is str else key
        width = len(keys)
        rows = max(1, _UNIT_BYTES // (8 * (width + 2)))
        parts = self._groups.parts(keys)
        for start in range(0, len(points), rows):
            some = points if len(points) <= rows else points[start : start + rows]
            # Faster than zip(*some), which makes an iterator of each point.
            values = [point[2] for point in some]
            axis = _encoding.axis([point[3] for point in some])
            times = _encoding.integers([point[4] for point in some])
            flat = array("d", values if key.__class__ is str else chain.from_iterable(values))
            self._unit(parts, width, flat, axis, times)

    def _unit(self, parts: list[_Part], width: int, flat: array[float], axis: bytes, times: bytes) -> None:
        """Adds rows; blocks that share them stay in one record."""
        for part in parts:
            if len(parts) == 1:
                values = flat
            else:
                values = array("d")
                for at in range(0, len(flat), width):
                    values.extend(flat[at + part.start : at + part.end])
            block = _encoding.block(part.header, axis, times, _encoding.packed(values))
            if self._size + len(block) > MOST_RECORD_BYTES:
                self._cut()
            self._blocks.append(block)
            self._size += len(block)
            if part.group is not None:
                self._named[part.group.hash] = part.group
        self._points += len(flat)
        if self._size >= _BATCH_BYTES:
            self._cut()

    def _cut(self) -> None:
        if self._blocks:
            data = _encoding.batch(self._run_id, self._blocks)
            self.records.append(Record(self._run_id, data, tuple(self._named.values()), self._points))
        self._blocks, self._named, self._size, self._points = [], {}, 0, 0


class Fold:
    """One pass over what was logged: gathers points, and hands records on in an order that keeps each run's.

    Points of a run may move before and behind those of other keys, never across another record of their run.
    """

    def __init__(self, groups: Groups, emit: Callable[[Record], None]) -> None:
        """Starts a pass.

        Args:
            groups: How sets of keys are named.
            emit: Takes the records.
        """
        self._groups = groups
        self._emit = emit
        self._runs: dict[str, _Columns] = {}

    def columns(self, run_id: str) -> _Columns:
        """Returns where the points of a run go."""
        found = self._runs.get(run_id)
        if found is None:
            found = self._runs[run_id] = _Columns(run_id, self._groups)
        return found

    def record(self, record: Record) -> None:
        """Hands a record on, behind the points of its run that came before it."""
        found = self._runs.pop(record.run_id, None)
        if found is not None:
            self._hand(found)
        self._emit(record)

    def finish(self) -> None:
        """Hands on all points."""
        runs, self._runs = self._runs, {}
        for columns in runs.values():
            self._hand(columns)

    def _hand(self, columns: _Columns) -> None:
        for record in columns.finish():
            self._emit(record)
