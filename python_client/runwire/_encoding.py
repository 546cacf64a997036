"""Writes blocks and records in the protobuf wire format, straight from arrays.

The generated classes would turn each number into an object and back. Here a column of a block is the bytes of
an array behind a tag and a length, which is what a packed field of fixed width is on the wire.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

from runwire.v1 import frame_pb2

# Tags: field number << 3 | wire type (1: 8 bytes, 2: length and bytes).
_KEY: Final = b"\x0a"
_GROUP: Final = b"\x12"
_STEPS: Final = b"\x1a"
_RANGE: Final = b"\x22"
_TIMES: Final = b"\x2a"
_VALUES: Final = b"\x32"
_STEP_LIST: Final = b"\x0a"
_FIRST: Final = b"\x09"
_STRIDE: Final = b"\x11"
_RUN_ID: Final = b"\x0a"
_BLOCK: Final = b"\x12"
_BATCH: Final = b"\x1a"
_RECORD: Final = b"\x0a"
INT64: Final = range(-(1 << 63), 1 << 63)

# From this many keys on a block may name its keys by a group.
GROUP_KEYS: Final = 9


def _varint(number: int) -> bytes:
    if number < 128:
        return bytes((number,))
    found = bytearray()
    while number >= 128:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def _field(tag: bytes, data: bytes) -> bytes:
    return tag + _varint(len(data)) + data


def packed(numbers: array[float] | array[int]) -> bytes:
    """Packs an array: 8 bytes each, little-endian."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def doubles(values: Iterable[float]) -> bytes:
    """Packs floats: 8 bytes each, little-endian."""
    return packed(array("d", values))


def integers(values: Iterable[int]) -> bytes:
    """Packs ints that fit in 64 bits: 8 bytes each, little-endian."""
    return packed(array("q", values))


def axis(steps: Sequence[int]) -> bytes:
    """Writes the steps of a block: regular ones, the usual case, in 20 bytes, others in 8 each.

    Args:
        steps: At least one.

    Returns:
        The field.
    """
    count, first = len(steps), steps[0]
    stride = steps[1] - first if count > 1 else 0
    if stride in INT64 and steps[-1] == first + stride * (count - 1) and _regular(steps, stride):
        return regular_axis(first, stride)
    return listed_axis(integers(steps))


def _regular(steps: Sequence[int], stride: int) -> bool:
    if len(steps) < 3 or isinstance(steps, range):
        return True
    if stride == 0:
        return steps.count(steps[0]) == len(steps)
    return list(steps) == list(range(steps[0], steps[-1] + stride, stride))


def regular_axis(first: int, stride: int) -> bytes:
    """Writes steps that lie a stride apart."""
    inner = _FIRST + first.to_bytes(8, "little", signed=True)
    inner += _STRIDE + stride.to_bytes(8, "little", signed=True)
    return _field(_RANGE, inner)


def listed_axis(steps: bytes) -> bytes:
    """Writes packed steps."""
    return _field(_STEPS, _field(_STEP_LIST, steps))


def names(keys: Iterable[str]) -> bytes:
    """Writes the keys of a block."""
    return b"".join(_field(_KEY, key.encode()) for key in keys)


def named(group: bytes) -> bytes:
    """Writes the group that stands for the keys of a block."""
    return _field(_GROUP, group)


def block(keys: bytes, steps: bytes, times: bytes, values: bytes) -> bytes:
    """Puts a block together.

    Args:
        keys: What `names` or `named` wrote.
        steps: What one of the axes wrote.
        times: Packed times, unix ms.
        values: Packed values, step after step.

    Returns:
        A serialised `Block`.
    """
    return b"".join((keys, steps, _field(_TIMES, times), _field(_VALUES, values)))


def batch(run_id: str, blocks: Iterable[bytes]) -> bytes:
    """Makes the record that adds blocks to a run.

    Args:
        run_id: The run.
        blocks: Serialised blocks.

    Returns:
        A serialised `Record`.
    """
    inner = _field(_RUN_ID, run_id.encode()) + b"".join(_field(_BLOCK, one) for one in blocks)
    return _field(_BATCH, inner)


def payload(records: Iterable[bytes]) -> bytes:
    """Makes the payload of a frame.

    Args:
        records: Serialised records.

    Returns:
        A serialised `FramePayload`.
    """
    return b"".join(_field(_RECORD, record) for record in records)


def group(keys: Sequence[str]) -> frame_pb2.Group:
    """Makes the declaration of a group.

    Args:
        keys: Its keys in their order.

    Returns:
        The group, named by the hash of its keys.
    """
    digest = hashlib.sha256(b"".join(key.encode() + b"\0" for key in keys)).digest()
    return frame_pb2.Group(hash=digest[:16], keys=keys)
