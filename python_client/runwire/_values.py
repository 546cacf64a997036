"""From what callers have to what the wire takes: numbers, steps, times, texts, blocks of points."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from numbers import Number
from typing import Any, Final

from runwire._folding import MOST_GROUP_KEYS
from runwire.entities import Metric, MetricBlock
from runwire.v1 import block_pb2

_INT64: Final = range(-(1 << 63), 1 << 63)


def number(key: str, value: Any) -> float:
    """Turns a metric's value into a float, bit for bit where it is one.

    Args:
        key: The metric, for the message.
        value: A Python or numpy number, an array or tensor (torch, JAX) of one element, or anything else
            with `__float__`.

    Returns:
        The float.

    Raises:
        TypeError: The value is a bool, text, None, complex, an array of several elements or no number.
        ValueError: The value is an integer that no float holds exactly, or too large for one.
    """
    if type(value) is float:
        return value
    plain = value
    if not isinstance(value, (int, float)) and callable(getattr(value, "item", None)):
        try:
            plain = value.item()
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"metric {key!r}: an array must have exactly one element to be a value"
            ) from error
    # An int would come of numpy's times.
    timed = getattr(getattr(value, "dtype", None), "kind", "") in {"m", "M"}
    if timed or isinstance(plain, (bool, str, bytes, complex)) or not hasattr(plain, "__float__"):
        raise TypeError(f"metric {key!r}: the value must be a number, not {_kind(plain)}")
    try:
        found = float(plain)
    except OverflowError as error:
        raise ValueError(f"metric {key!r}: the value is too large for a double") from error
    except (TypeError, ValueError) as error:
        raise TypeError(f"metric {key!r}: the value must be a number, not {_kind(plain)}") from error
    if isinstance(plain, int):
        if found != plain:
            raise ValueError(f"metric {key!r}: no double holds the value exactly: {plain}")
    elif math.isinf(found) and plain != found and isinstance(plain, Number):
        raise ValueError(f"metric {key!r}: the value is too large for a double")
    return found


def integer(what: str, value: Any) -> int:
    """Turns a step or a time into an int.

    Args:
        what: What it is, for the message, such as `metric 'loss': step`.
        value: An int, or a numpy integer.

    Returns:
        The int.

    Raises:
        TypeError: It is no integer; floats and bools are none.
        ValueError: It is out of the range of int64.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} must be an int, not {_kind(value)}")
    try:
        found = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{what} must be an int, not {_kind(value)}") from error
    if found not in _INT64:
        raise ValueError(f"{what} must fit in 64 bits, and is {found}")
    return found


def text(what: str, value: Any) -> str:
    """Checks that something is a str.

    Args:
        what: What it is, for the message.
        value: The thing.

    Returns:
        The same.

    Raises:
        TypeError: It is not a str.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {_kind(value)}")
    return value


def texts(what: str, values: Iterable[str]) -> list[str]:
    """Checks that something is several strs, and not one: a str is an iterable of its letters too."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{what} must be a list of str, not one {_kind(values)}")
    return [text(f"an element of {what}", value) for value in values]


def pairs(what: str, items: Mapping[str, Any] | Iterable[Any] | None) -> list[tuple[str, str]]:
    """Reads params or tags.

    Args:
        what: `param` or `tag`, for messages.
        items: A dict, or objects with `key` and `value`, such as `Param` and `RunTag`.

    Returns:
        Keys with values as text.

    Raises:
        TypeError: A key is no str, or an element has no `key` and `value`.
    """
    if items is None:
        return []
    if isinstance(items, Mapping):
        return [(text(f"a {what}'s key", key), str(value)) for key, value in items.items()]
    found = []
    for item in items:
        if not (hasattr(item, "key") and hasattr(item, "value")):
            raise TypeError(
                f"{what}s must be a dict or a list of objects with key and value, not of {_kind(item)}"
            )
        found.append((text(f"a {what}'s key", item.key), str(item.value)))
    return found


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__


class _Rows:
    """A block in the making: rows of values of the same keys."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        self.steps: list[int] = []
        self.times: list[int] = []
        self.values: list[float] = []


class _Fold:
    """Gathers points into blocks, keeping the order of arrival within each key.

    Points of one step and time, with distinct keys, make a row; rows of the same keys make a block.
    """

    def __init__(self) -> None:
        self.blocks: list[_Rows] = []
        # The block that holds a key's last row: a later row may only join that one, or two points of
        # one step and time would change places.
        self._last: dict[str, _Rows] = {}
        self._row: dict[str, float] = {}
        self._at: tuple[int, int] = (0, 0)

    def add(self, key: str, step: int, time: int, value: float) -> None:
        full = len(self._row) == MOST_GROUP_KEYS
        if self._row and (full or self._at != (step, time) or key in self._row):
            self.cut()
        self._at = (step, time)
        self._row[key] = value

    def cut(self) -> None:
        if not self._row:
            return
        keys = tuple(self._row)
        block = self._last.get(keys[0])
        if block is None or block.keys != keys or any(self._last[key] is not block for key in keys):
            block = _Rows(keys)
            self.blocks.append(block)
            self._last.update(dict.fromkeys(keys, block))
        block.steps.append(self._at[0])
        block.times.append(self._at[1])
        block.values.extend(self._row.values())
        self._row = {}


def blocks(metrics: Mapping[str, Any] | Iterable[Any] | None, now: int) -> list[block_pb2.Block]:
    """Folds points into as few blocks as keep their order.

    Args:
        metrics: A dict of values (at step 0), or a list of `Metric`, of other objects with `key`, `value`,
            `step` and `timestamp`, of dicts with these, of `MetricBlock` and of `Block` messages, mixed.
        now: Time of points that have none, unix ms.

    Returns:
        The blocks.

    Raises:
        TypeError: A value, step or time has the wrong type; the message names the key.
        ValueError: A step or time is out of range, or a block's columns differ in length.
    """
    if metrics is None:
        return []
    if isinstance(metrics, Mapping):
        metrics = [Metric(key, value) for key, value in metrics.items()]
    found: list[block_pb2.Block] = []
    fold = _Fold()
    for item in metrics:
        if isinstance(item, (MetricBlock, block_pb2.Block)):
            found.extend(_finished(fold))
            fold = _Fold()
            found.append(_copied(item) if isinstance(item, block_pb2.Block) else _wide(item, now))
        else:
            fold.add(*_point(item, now))
    found.extend(_finished(fold))
    return found


def _copied(given: block_pb2.Block) -> block_pb2.Block:
    if given.group:
        raise ValueError(
            "a block must name its keys: which group they are is between a client and its server"
        )
    block = block_pb2.Block()
    block.CopyFrom(given)
    return block


def _finished(fold: _Fold) -> list[block_pb2.Block]:
    fold.cut()
    return [_message(rows.keys, rows.steps, rows.times, rows.values) for rows in fold.blocks]


def _point(item: Any, now: int) -> tuple[str, int, int, float]:
    if isinstance(item, Mapping):
        item = Metric(**item)
    if not (hasattr(item, "key") and hasattr(item, "value")):
        raise TypeError(f"metrics must be a dict or a list of Metric, not of {_kind(item)}")
    key = text("a metric's key", item.key)
    step, time = getattr(item, "step", None), getattr(item, "timestamp", None)
    return (
        key,
        0 if step is None else integer(f"metric {key!r}: step", step),
        now if time is None else integer(f"metric {key!r}: timestamp", time),
        number(key, item.value),
    )


def _wide(block: MetricBlock, now: int) -> block_pb2.Block:
    keys = texts("a block's keys", block.keys)
    name = keys[0] if keys else ""
    steps = [integer(f"metric {name!r}: step", step) for step in block.steps]
    times = now if block.timestamps is None else block.timestamps
    if isinstance(times, Iterable):
        stamps = [integer(f"metric {name!r}: timestamp", time) for time in times]
    else:
        stamps = [integer(f"metric {name!r}: timestamp", times)] * len(steps)
    values: list[float] = []
    for cell in block.values:
        # A numpy scalar has __len__ on none of its types; a row of values has.
        row = cell if hasattr(cell, "__len__") and not isinstance(cell, str) and _rank(cell) else (cell,)
        values.extend(
            number(keys[(len(values) + i) % len(keys)] if keys else "", v) for i, v in enumerate(row)
        )
    if len(stamps) != len(steps) or len(values) != len(steps) * len(keys):
        raise ValueError(
            f"a block of {len(steps)} steps and {len(keys)} keys needs {len(steps)} timestamps and "
            f"{len(steps) * len(keys)} values, and has {len(stamps)} and {len(values)}"
        )
    return _message(keys, steps, stamps, values)


def _rank(cell: Any) -> int:
    return int(getattr(cell, "ndim", 1))


def _message(
    keys: Sequence[str], steps: Sequence[int], times: Sequence[int], values: Sequence[float]
) -> block_pb2.Block:
    block = block_pb2.Block(keys=keys, timestamps_ms=times, values=values)
    if not steps:
        block.steps.SetInParent()
        return block
    stride = steps[1] - steps[0] if len(steps) > 1 else 0
    if stride in _INT64 and all(b - a == stride for a, b in itertools.pairwise(steps)):
        # Regular steps, the usual case, take 18 bytes instead of 8 each.
        block.range.first = steps[0]
        block.range.stride = stride
    else:
        block.steps.steps.extend(steps)
    return block
