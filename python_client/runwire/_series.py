"""Whole arrays to blocks: `log_series` without a Python object for each point."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from typing import Any, Final

from runwire import _encoding, _rules
from runwire._values import integer, number

_PIECE: Final = 32_768
_EIGHT: Final = 8


def blocks(key: str, values: Any, steps: Any, timestamps: Any, now: int) -> Iterator[tuple[bytes, int]]:
    """Makes blocks of a series.

    Args:
        key: The metric.
        values: A numpy array, `array.array`, tensor, or an iterable of numbers.
        steps: As many ints, or None for 0, 1, 2 ...
        timestamps: As many ints in unix ms, one for all, or None for `now`.
        now: The time, unix ms.

    Yields:
        Serialised blocks of at most 32,768 points, with their number of points.

    Raises:
        TypeError: Something is no number, or no int.
        ValueError: The lengths differ, something is out of range, or no double holds an integer exactly.
    """
    packed = _floats(key, values)
    count = len(packed) // _EIGHT
    axis = None if steps is None else _integers(f"metric {key!r}: step", steps)
    if timestamps is None or not hasattr(timestamps, "__len__"):
        one = now if timestamps is None else integer(f"metric {key!r}: timestamp", timestamps)
        times = one.to_bytes(_EIGHT, "little", signed=True) * count
    else:
        times = _integers(f"metric {key!r}: timestamp", timestamps)
    for what, found in (("steps", axis), ("timestamps", times)):
        if found is not None and len(found) != len(packed):
            raise ValueError(
                f"metric {key!r}: {count} values need as many {what}, and there are {len(found) // _EIGHT}"
            )
    _check_times(times)
    names = _encoding.names((key,))
    for start in range(0, count, _PIECE):
        end = min(start + _PIECE, count)
        part = slice(start * _EIGHT, end * _EIGHT)
        place = _encoding.regular_axis(start, 1) if axis is None else _axis(axis[part])
        yield _encoding.block(names, place, times[part], packed[part]), end - start


def _axis(packed: bytes) -> bytes:
    """Writes steps, as a first one and a stride where they are regular."""
    first = packed[:_EIGHT]
    count = len(packed) // _EIGHT
    if count > 1:
        numbers = _unpacked(packed)
        stride = numbers[1] - numbers[0]
        last = numbers[0] + stride * (count - 1)
        # Few regular axes fail at their middle, so it is looked at before all of them is.
        if numbers[-1] != last or numbers[count // 2] != numbers[0] + stride * (count // 2):
            return _encoding.listed_axis(packed)
        numpy = sys.modules.get("numpy")
        if numpy is None or stride not in _encoding.INT64:
            return _encoding.axis(tuple(numbers))
        # Both ends fit in 64 bits, and so does all that lies between; what overflows on the way comes back.
        if (numpy.frombuffer(packed, "<i8") == numbers[0] + stride * numpy.arange(count)).all():
            return _encoding.regular_axis(numbers[0], stride)
        return _encoding.listed_axis(packed)
    return _encoding.regular_axis(int.from_bytes(first, "little", signed=True), 0)


def _unpacked(packed: bytes) -> array[int]:
    numbers = array("q")
    numbers.frombytes(packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _check_times(packed: bytes) -> None:
    # Their signs are in their last bytes: looking at those makes no Python object for each time.
    if not packed[_EIGHT - 1 :: _EIGHT].isascii():
        raise _rules.invalid("blocks[0].timestamps_ms", "must be 0 or later")


def _floats(key: str, values: Any) -> bytes:
    """Packs values; arrays of floats as they are."""
    found = _array(values)
    if found is not None:
        kind = found.dtype.kind
        if kind not in "fiu":
            raise TypeError(f"metric {key!r}: the values must be numbers, not {found.dtype}")
        packed = found.astype("<f8", copy=False)
        if found.dtype.itemsize > _EIGHT or (kind != "f" and found.dtype.itemsize == _EIGHT):
            # Few numbers are so large, and only those may be none that a double holds.
            for value in found[abs(packed) >= 1 << 53].tolist():
                number(key, value)
        return bytes(packed.tobytes())
    if isinstance(values, array) and values.typecode in "df":
        return _encoding.doubles(values)
    if isinstance(values, (str, bytes, bytearray)) or not hasattr(values, "__iter__"):
        raise TypeError(f"metric {key!r}: the values must be an array or a list, not {type(values).__name__}")
    listed = values.tolist() if isinstance(values, (array, memoryview)) else list(values)
    if set(map(type, listed)) <= {float}:
        return _encoding.doubles(listed)
    return _encoding.doubles([number(key, value) for value in listed])


def _integers(what: str, values: Any) -> bytes:
    """Packs ints; arrays of int64 as they are."""
    found = _array(values)
    if found is not None:
        if found.dtype.kind not in "iu":
            raise TypeError(f"{what}s must be ints, not {found.dtype}")
        if found.dtype.kind == "u" and found.dtype.itemsize == _EIGHT and (found > (1 << 63) - 1).any():
            raise ValueError(f"{what}s must fit in 64 bits")
        return bytes(found.astype("<i8", copy=False).tobytes())
    if isinstance(values, (str, bytes, bytearray)) or not hasattr(values, "__iter__"):
        raise TypeError(f"{what}s must be an array or a list, not {type(values).__name__}")
    if isinstance(values, range):
        return _encoding.integers(integer(what, value) for value in values)
    listed = values.tolist() if isinstance(values, (array, memoryview)) else list(values)
    return _encoding.integers([integer(what, value) for value in listed])


def _array(values: Any) -> Any:
    """Returns a numpy array of one dimension; None where numpy is missing or the thing is none."""
    if not hasattr(values, "__array__"):
        return None
    try:
        import numpy
    except ModuleNotFoundError:
        return None
    if not isinstance(values, numpy.ndarray):
        # A tensor on a device, or one that needs a gradient.
        for step in ("detach", "cpu"):
            values = getattr(values, step)() if hasattr(values, step) else values
    found = numpy.asarray(values)
    if found.ndim != 1:
        raise ValueError(f"a series must have one dimension, and has {found.ndim}")
    return found
