"""Metric points as arrays: from the wire, to and from log rows, and folded into summaries.

A `Points` is a block on this side of the wire: S steps by K keys, arrays throughout. Rows of the
metric log hold points in a format of their own, named by its first byte, so that the wire format can
change without a rewrite of what is on disk.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
GROUP_BYTES = 16
# Up to here the keys stand in the log row itself; more are a group, stored once for a run.
INLINE_KEYS = 8

# Bytes of a step, a time, a value.
NUMBER = 8
# Steps S, keys K, flags.
_HEADER = struct.Struct("<IIB")
_REGULAR = struct.Struct("<qq")
_REGULAR_STEPS, _REGULAR_TIMES, _GROUPED = 1, 2, 4

Int64s = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Points:
    """A matrix of points of one run: S steps by K keys.

    The numbers stay the bytes (little-endian) that they are on the wire and in the log; arrays are views
    of them, made when asked for, since numpy costs more than all else for a single point.

    Attributes:
        keys: K distinct keys; empty while they have to be looked up by `group`.
        packed_steps: S int64.
        packed_times: S int64, unix milliseconds.
        packed_values: S x K doubles, step after step.
        group: Hash of the keys where the block names them so, or where it was worked out already, else empty.
    """

    keys: tuple[str, ...]
    packed_steps: bytes
    packed_times: bytes
    packed_values: bytes
    group: bytes = b""

    @classmethod
    def of(cls, keys: Sequence[str], steps: Int64s, times: Int64s, values: Doubles) -> Points:
        """Makes points of arrays."""
        return cls(
            tuple(keys),
            steps.astype("<i8", copy=False).tobytes(),
            times.astype("<i8", copy=False).tobytes(),
            values.astype("<f8", copy=False).tobytes(),
        )

    @property
    def rows(self) -> int:
        """S, the number of log positions that it takes."""
        return len(self.packed_times) // NUMBER

    @property
    def size(self) -> int:
        """S x K, the number of points."""
        return len(self.packed_values) // NUMBER

    @property
    def steps(self) -> Int64s:
        """The steps, of length S."""
        return np.frombuffer(self.packed_steps, "<i8")

    @property
    def times(self) -> Int64s:
        """The unix milliseconds, of length S."""
        return np.frombuffer(self.packed_times, "<i8")

    @property
    def values(self) -> Doubles:
        """The values, S x K."""
        return np.frombuffer(self.packed_values, "<f8").reshape(self.rows, -1)


@dataclass(frozen=True, slots=True)
class Placed:
    """Points of one run with the log positions of their step rows, which are their order of arrival.

    Attributes:
        points: S steps by K keys; keys are resolved.
        positions: S int64, ascending.
    """

    points: Points
    positions: Int64s

    def between(self, first: int, end: int) -> Placed:
        """Returns what lies at positions [first, end)."""
        if len(self.positions) and self.positions[0] >= first and self.positions[-1] < end:
            return self
        low, high = np.searchsorted(self.positions, [first, end])
        part, block = slice(int(low), int(high)), self.points
        points = Points.of(block.keys, block.steps[part], block.times[part], block.values[part])
        return Placed(points, self.positions[part])


def joined(keys: Sequence[str]) -> bytes:
    """Returns keys as bytes, each followed by a NUL, which no key holds."""
    return ("\0".join(keys) + "\0").encode()


def split(data: bytes) -> tuple[str, ...]:
    """The inverse of `joined`."""
    return tuple(data[:-1].decode().split("\0"))


def group_hash(keys: bytes) -> bytes:
    """Names a group of joined keys by its contents."""
    return hashlib.sha256(keys).digest()[:GROUP_BYTES]


def hashed(block: Points) -> Points:
    """Returns a wide block with the hash of its keys."""
    return block if block.group else replace(block, group=group_hash(joined(block.keys)))


def encode(blocks: Sequence[Points]) -> bytes:
    """Returns the log row of some blocks.

    Blocks of more than `INLINE_KEYS` keys are written by their group's hash; the caller stores the
    group in the same transaction.
    """
    parts = [bytes([FORMAT])]
    for block in blocks:
        flags = _GROUPED if len(block.keys) > INLINE_KEYS else 0
        steps = times = b""
        # A progression takes as much room as two numbers.
        if block.rows > 2:
            steps, times = _regular(block.steps), _regular(block.times)
        flags |= (_REGULAR_STEPS if steps else 0) | (_REGULAR_TIMES if times else 0)
        parts += [
            _HEADER.pack(block.rows, len(block.keys), flags),
            hashed(block).group if flags & _GROUPED else _inline(block.keys),
            steps or block.packed_steps,
            times or block.packed_times,
            block.packed_values,
        ]
    return b"".join(parts)


def progression(numbers: Int64s) -> tuple[int, int] | None:
    """Returns first number and stride of an arithmetic progression, None for other numbers."""
    if len(numbers) == 1:
        return int(numbers[0]), 0
    first, stride = int(numbers[0]), int(numbers[1]) - int(numbers[0])
    # Differences may wrap around; the last number tells, since all have equal strides modulo 2^64.
    if first + stride * (len(numbers) - 1) != int(numbers[-1]) or (np.diff(numbers) != stride).any():
        return None
    return first, stride


def _inline(keys: Sequence[str]) -> bytes:
    names = joined(keys)
    return struct.pack("<I", len(names)) + names


def _regular(numbers: Int64s) -> bytes:
    ends = progression(numbers)
    return b"" if ends is None else _REGULAR.pack(*ends)


def decode(data: bytes | memoryview) -> Iterator[Points]:
    """Yields the blocks of a log row; of a memoryview the numbers are views too, until they are copied.

    Raises:
        ValueError: if the row has a format that this version does not know, or is cut off.
    """
    if data[0] != FORMAT:
        raise ValueError(f"metric log row of unknown format {data[0]}")
    at = 1
    while at < len(data):
        rows, width, flags = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        group, keys = b"", cast("tuple[str, ...]", ())
        if flags & _GROUPED:
            taken, at = _taken(data, at, GROUP_BYTES)
            group = bytes(taken)
        else:
            (length,) = struct.unpack_from("<I", data, at)
            joined_keys, at = _taken(data, at + 4, length)
            keys = split(bytes(joined_keys))
        steps, at = _axis(data, at, rows, bool(flags & _REGULAR_STEPS))
        times, at = _axis(data, at, rows, bool(flags & _REGULAR_TIMES))
        values, at = _taken(data, at, rows * width * NUMBER)
        yield Points(keys, steps, times, values, group)


def points_in(data: bytes) -> int:
    """Returns how many points a log row has, without a look at them.

    Raises:
        ValueError: as `decode` does.
    """
    return sum(block.size for block in decode(memoryview(data)))


def _axis(data: bytes | memoryview, at: int, rows: int, regular: bool) -> tuple[bytes, int]:
    if regular:
        first, stride = _REGULAR.unpack_from(data, at)
        numbers = first + stride * np.arange(rows, dtype="<i8")
        return numbers.tobytes(), at + _REGULAR.size
    return _taken(data, at, rows * NUMBER)


def _taken(data: bytes | memoryview, at: int, length: int) -> tuple[bytes, int]:
    if at + length > len(data):
        raise ValueError("metric log row that is cut off")
    return cast("bytes", data[at : at + length]), at + length
