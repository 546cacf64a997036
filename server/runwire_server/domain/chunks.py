"""Chunks: points of some keys of one run, key after key, compressed for good.

A chunk holds what a range of log positions has of up to 256 keys. Keys that were always logged together
share an axis (positions, steps and times); the values of a key stand together. Numbers are compressed in
pages, so that one key of many costs little more than itself. Formats are named by the first byte.

Layout: header; keys, lengths of the axes and each key's axis, in zlib; then four sections of numbers:
positions, steps and times (axis after axis) and values (key after key). A section is an arithmetic
progression (two numbers), or pages of `PAGE` numbers, each compressed by pcodec unless that makes it
larger.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pcodec import ChunkConfig, standalone

from runwire_server.domain.blocks import NUMBER, Doubles, Int64s, Placed, Points, joined, progression, split

FORMAT = 1
# Bounds of a chunk: keys, points of one key, points in all.
MAX_KEYS = 256
MAX_ROWS = 65_536
MAX_POINTS = 262_144
# Numbers in a page: what reading a single one costs, some 0.3 ms.
PAGE = 65_536
# Higher levels take twice the time for a hundredth of the size.
LEVEL = 4

# Format, keys, axes, bytes of the rest of the head.
_HEADER = struct.Struct("<BHHI")
# Kind and length in bytes of a section.
_SECTION = struct.Struct("<BI")
_PROGRESSION = struct.Struct("<qq")
_PAGED, _REGULAR = 0, 1
_POSITIONS, _STEPS, _TIMES, _VALUES = range(4)


@dataclass(frozen=True, slots=True)
class Axis:
    """What the points of some keys have in common: S positions (ascending), steps and unix milliseconds."""

    positions: Int64s
    steps: Int64s
    times: Int64s


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk that is not compressed yet.

    Attributes:
        keys: K distinct keys, ascending.
        axes: The axes, at most K.
        axis_of: For each key the index of its axis.
        values: Each key's values, as many as its axis is long, key after key.
    """

    keys: tuple[str, ...]
    axes: tuple[Axis, ...]
    axis_of: Int64s
    values: Doubles

    @property
    def rows(self) -> int:
        """How many points its longest series has."""
        return max(len(axis.steps) for axis in self.axes)


def encode(chunk: Chunk) -> bytes:
    """Returns a chunk's bytes."""
    head = zlib.compress(
        joined(chunk.keys)
        + np.array([len(axis.steps) for axis in chunk.axes], "<u4").tobytes()
        + chunk.axis_of.astype("<u2").tobytes()
    )
    parts = [_HEADER.pack(FORMAT, len(chunk.keys), len(chunk.axes), len(head)), head]
    for name in ("positions", "steps", "times"):
        numbers = [getattr(axis, name) for axis in chunk.axes]
        parts += pack(numbers[0] if len(numbers) == 1 else np.concatenate(numbers))
    parts += pack(chunk.values)
    return b"".join(parts)


def pack(numbers: NDArray[Any]) -> list[bytes]:
    """Returns the parts of a section of int64 or double numbers, of which there is at least one."""
    if numbers.dtype != np.float64 and (ends := progression(numbers)) is not None:
        content = [_PROGRESSION.pack(*ends)]
        kind = _REGULAR
    else:
        pages = [_compressed(numbers[at : at + PAGE]) for at in range(0, len(numbers), PAGE)]
        content = [np.array([len(page) for page in pages], "<u4").tobytes(), *pages]
        kind = _PAGED
    return [_SECTION.pack(kind, sum(map(len, content))), *content]


def _compressed(numbers: NDArray[Any]) -> bytes:
    raw = numbers.tobytes()
    # The codec's own header takes some 30 bytes.
    if len(raw) <= 4 * NUMBER:
        return raw
    packed: bytes = standalone.simple_compress(
        np.ascontiguousarray(numbers), ChunkConfig(compression_level=LEVEL)
    )
    return packed if len(packed) < len(raw) else raw


class Section:
    """A section of numbers, read page by page as they are needed."""

    def __init__(self, data: memoryview, at: int, count: int, dtype: str) -> None:
        """Takes where a section of `count` numbers begins.

        Raises:
            ValueError: if it is cut off.
        """
        try:
            self._kind, length = _SECTION.unpack_from(data, at)
        except struct.error:
            raise ValueError("numbers that are cut off") from None
        at += _SECTION.size
        self.end = at + length
        if self.end > len(data):
            raise ValueError("numbers that are cut off")
        self._data, self._count, self._dtype = data[at : self.end], count, dtype
        self._pages: dict[int, NDArray[Any]] = {}
        pages = -(-count // PAGE)
        if length < (_PROGRESSION.size if self._kind == _REGULAR else 4 * pages):
            raise ValueError("numbers that are cut off")
        if self._kind == _PAGED:
            sizes = np.frombuffer(self._data, "<u4", pages).astype(np.int64)
            self._starts = 4 * pages + np.concatenate(([0], np.cumsum(sizes)))

    def read(self, first: int, end: int) -> NDArray[Any]:
        """Returns the numbers [first, end).

        Raises:
            ValueError: if the bytes are damaged.
        """
        if self._kind == _REGULAR:
            start, stride = _PROGRESSION.unpack_from(self._data)
            # Wraps around as the numbers did.
            return np.int64(start) + np.int64(stride) * np.arange(first, end, dtype=np.int64)
        low, high = first // PAGE, -(-end // PAGE)
        if high - low == 1:
            return self._page(low)[first - low * PAGE : end - low * PAGE]
        whole = np.concatenate([self._page(i) for i in range(low, high)])
        return whole[first - low * PAGE : end - low * PAGE]

    def _page(self, index: int) -> NDArray[Any]:
        found = self._pages.get(index)
        if found is None:
            found = self._pages[index] = self._decompressed(index)
        return found

    def _decompressed(self, index: int) -> NDArray[Any]:
        data = self._data[self._starts[index] : self._starts[index + 1]]
        count = min(PAGE, self._count - index * PAGE)
        if len(data) == count * NUMBER:
            return np.frombuffer(data, self._dtype)
        try:
            numbers: Any = standalone.simple_decompress(bytes(data))
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"numbers that are damaged: {error}") from error
        if numbers is None or len(numbers) != count or numbers.dtype != np.dtype(self._dtype):
            raise ValueError("numbers that are damaged")
        return numbers  # type: ignore[no-any-return]


class StoredChunk:
    """A chunk's bytes, of which only what is asked for is decompressed.

    Attributes:
        keys: Its keys, ascending.
    """

    def __init__(self, data: bytes) -> None:
        """Reads the head.

        Raises:
            ValueError: if the format is one that this version does not know, or the bytes are damaged.
        """
        if not data or data[0] != FORMAT:
            raise ValueError(f"metric chunk of unknown format {data[0] if data else 'none'}")
        view = memoryview(data)
        try:
            _, keys, axes, length = _HEADER.unpack_from(view)
            head = zlib.decompress(view[_HEADER.size : _HEADER.size + length])
        except (struct.error, zlib.error) as error:
            raise ValueError(f"metric chunk that is damaged: {error}") from error
        split_at = len(head) - 4 * axes - 2 * keys
        self.keys = split(head[: max(split_at, 0)])
        if split_at < 1 or len(self.keys) != keys:
            raise ValueError("metric chunk that is damaged: its keys")
        lengths = np.frombuffer(head, "<u4", axes, split_at).astype(np.int64)
        self._axis_of = np.frombuffer(head, "<u2", keys, split_at + 4 * axes)
        if axes == 0 or int(self._axis_of.max()) >= axes:
            raise ValueError("metric chunk that is damaged: its axes")
        self._axes = np.concatenate(([0], np.cumsum(lengths)))
        self._series = np.concatenate(([0], np.cumsum(lengths[self._axis_of])))
        at = _HEADER.size + length
        self._sections: list[Section] = []
        for name in (_POSITIONS, _STEPS, _TIMES, _VALUES):
            count = self._series[-1] if name == _VALUES else self._axes[-1]
            section = Section(view, at, int(count), "<f8" if name == _VALUES else "<i8")
            self._sections.append(section)
            at = section.end

    def placed(
        self, keys: Collection[str] = (), first: int | None = None, end: int | None = None
    ) -> list[Placed]:
        """Returns the points of some keys at positions [first, end), those with a common axis together.

        Args:
            keys: The wanted keys; empty for all.
            first: The first position; None for the first there is.
            end: The position behind the last; None for all.

        Raises:
            ValueError: if the bytes are damaged.
        """
        by_axis: dict[int, list[int]] = {}
        for k, key in enumerate(self.keys):
            if not keys or key in keys:
                by_axis.setdefault(int(self._axis_of[k]), []).append(k)
        found = []
        for axis, wanted in by_axis.items():
            positions = self._axis(_POSITIONS, axis)
            low = 0 if first is None else int(np.searchsorted(positions, first))
            high = len(positions) if end is None else int(np.searchsorted(positions, end))
            if low < high:
                found.append(self._cut(axis, wanted, positions, low, high))
        return found

    def _axis(self, name: int, axis: int) -> NDArray[Any]:
        return self._sections[name].read(int(self._axes[axis]), int(self._axes[axis + 1]))

    def _cut(self, axis: int, wanted: Sequence[int], positions: Int64s, low: int, high: int) -> Placed:
        values = self._sections[_VALUES]
        if len(wanted) == wanted[-1] - wanted[0] + 1:
            # Neighbours: one piece of the section.
            start, end = int(self._series[wanted[0]]), int(self._series[wanted[-1] + 1])
            matrix = values.read(start, end).reshape(len(wanted), -1)
        else:
            series = (values.read(int(self._series[k]), int(self._series[k + 1])) for k in wanted)
            matrix = np.stack(list(series))
        points = Points.of(
            [self.keys[k] for k in wanted],
            self._axis(_STEPS, axis)[low:high],
            self._axis(_TIMES, axis)[low:high],
            matrix[:, low:high].T,
        )
        return Placed(points, positions[low:high])
