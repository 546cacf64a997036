"""Where callers leave what they log: a deque that a thread empties.

`Buffer.point` is what a training loop pays: it checks and converts the value, so that what is wrong raises
at the line that is wrong, and appends one tuple. All else happens on other threads. The memory of what
waits here is bounded; who logs faster than it is emptied waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any, Final

from runwire import _rules
from runwire._folding import MOST_ROW_KEYS, Point, Record
from runwire._values import integer, number

_LOW: Final = -(1 << 63)
_HIGH: Final = (1 << 63) - 1
# About 20 MB of points.
_MOST_ITEMS: Final = 100_000
_MOST_BYTES: Final = 32 * 1024 * 1024
_MOST_KNOWN: Final = 300_000
# Rows wider than this count by their size, and not by their number.
_NARROW: Final = 8
_CELL_BYTES: Final = 40
_LINGER: Final = 0.05
_FLOATS: Final = {float}


class Mark:
    """A place in what was logged, for who waits until all before it is delivered.

    Attributes:
        lane: The writer that took over what stood before the mark; None as long as it did not.
        sequence: The writer's frame that holds the last of it.
        folded: Whether all before it is in frames.
    """

    def __init__(self) -> None:
        """Makes the mark."""
        self.lane: Any = None
        self.sequence = 0
        self.folded = False


Item = Point | Record | Mark


class Buffer:
    """What was logged and is not in frames yet.

    Attributes:
        items: The deque.
        idle: Whether the emptying thread sleeps and has to be woken.
        on_wake: Called by whoever wakes it, as long as it is set.
    """

    def __init__(self) -> None:
        """Makes an empty buffer."""
        self.items: deque[Item] = deque()
        self.idle = False
        self._most = _MOST_ITEMS
        self._keys: set[str] = set()
        self._rows: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._runs: set[str] = set()
        self._bytes = 0
        self._room = threading.Condition(threading.Lock())
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._refusal: Exception | None = None
        self._closed = False
        self.on_wake: Callable[[], None] | None = None

    def point(self, run_id: str, key: str, value: Any, timestamp: int | None, step: int | None) -> None:
        """Adds a point; see `Client.log_metric`."""
        if value.__class__ is not float:
            value = number(key, value)
        if step is None:
            step = 0
        elif step.__class__ is not int or not _LOW <= step <= _HIGH:
            step = integer(f"metric {key!r}: step", step)
        if timestamp is None:
            timestamp = time_ns() // 1_000_000
        elif timestamp.__class__ is not int or not 0 <= timestamp <= _HIGH:
            timestamp = _time(key, timestamp)
        if key not in self._keys or run_id not in self._runs:
            self._admit(run_id, (key,))
        items = self.items
        if len(items) >= self._most:
            self._crowded()
        items.append((run_id, key, value, step, timestamp))
        if self.idle:
            self.wake()

    def row(self, run_id: str, metrics: Mapping[str, Any], timestamp: int | None, step: int | None) -> None:
        """Adds a point to each of several metrics; see `Client.log_metrics`."""
        keys = tuple(metrics)
        values = tuple(metrics.values())
        if set(map(type, values)) != _FLOATS:
            values = tuple(number(key, value) for key, value in zip(keys, values, strict=True))
        name = keys[0] if keys else ""
        if step is None:
            step = 0
        elif step.__class__ is not int or not _LOW <= step <= _HIGH:
            step = integer(f"metric {name!r}: step", step)
        timestamp = time_ns() // 1_000_000 if timestamp is None else _time(name, timestamp)
        # The same tuple for the same keys: it takes less memory, and the fold finds it faster.
        known = self._rows.get(keys)
        if known is None or run_id not in self._runs:
            known = self._admit_row(run_id, keys)
        width = len(keys)
        if width > 1:
            self._append((run_id, known, values, step, timestamp), weight_of(width))
        elif width:
            self._append((run_id, name, values[0], step, timestamp), 0)

    def _admit_row(self, run_id: str, keys: tuple[str, ...]) -> tuple[str, ...]:
        self._admit(run_id, keys)
        if len(keys) > MOST_ROW_KEYS:
            raise ValueError(f"log_metrics takes at most {MOST_ROW_KEYS} metrics, and got {len(keys)}")
        if len(self._rows) * max(1, len(keys)) > _MOST_KNOWN:
            self._rows.clear()
        return self._rows.setdefault(keys, keys)

    def record(self, record: Record) -> None:
        """Adds a record that is ready."""
        self.admit_run(record.run_id)
        self._append(record, len(record.data))

    def admit_run(self, run_id: str) -> None:
        """Checks a run's id."""
        if run_id not in self._runs:
            self._admit(run_id, ())

    def mark(self) -> Mark:
        """Marks the place that has been reached, and has all before it go on its way at once."""
        mark = Mark()
        self.items.append(mark)
        self.hurry()
        return mark

    def _admit(self, run_id: str, keys: tuple[str, ...]) -> None:
        _rules.run_id(run_id)
        for key in keys:
            if key not in self._keys:
                _rules.key(key, "blocks[0].keys[0]")
        if len(self._keys) + len(keys) > _MOST_KNOWN:
            self._keys.clear()
        self._keys.update(keys)
        self._runs.add(run_id)

    def _append(self, item: Item, weight: int) -> None:
        if len(self.items) >= self._most:
            self._crowded()
        if weight:
            with self._room:
                while self._too_heavy(weight):
                    self._stand()
                self._bytes += weight
        self.items.append(item)
        if self.idle:
            self.wake()

    def is_full(self, weight: int) -> bool:
        """Says whether a caller would have to wait, and has room made where that is so.

        Args:
            weight: The bytes that he would add, by `weight_of`.

        Raises:
            Exception: What is refused now.
        """
        if len(self.items) < self._most and not (weight and self._too_heavy(weight)):
            return False
        if self._refusal is not None:
            raise self._refusal.with_traceback(None)
        self.hurry()
        return True

    def _too_heavy(self, weight: int) -> bool:
        # Something that is larger than all the room goes alone.
        return self._bytes > 0 and self._bytes + weight > _MOST_BYTES

    def _crowded(self) -> None:
        with self._room:
            while len(self.items) >= self._most:
                self._stand()

    def _stand(self) -> None:
        """Waits for room, the lock held."""
        if self._refusal is not None:
            raise self._refusal.with_traceback(None)
        self._hurry.set()
        self._wake.set()
        self._room.wait(0.1)

    def refuse(self, error: Exception | None) -> None:
        """Has all further calls raise an error, until it is None; what is closed stays so."""
        with self._room:
            if self._closed:
                return
            self._refusal = error
            self._most = _MOST_ITEMS if error is None else 0
            self._room.notify_all()

    def close(self) -> None:
        """Has all further calls but `mark` raise for good, and those that wait for room."""
        with self._room:
            # At once, or who finds room meanwhile would take the refusal back.
            self._refusal, self._most, self._closed = closed(), 0, True
            self._room.notify_all()

    def wake(self) -> None:
        """Wakes the thread that empties the buffer."""
        self.idle = False
        self._wake.set()
        start = self.on_wake
        if start is not None:
            start()

    def hurry(self) -> None:
        """Has the buffer emptied at once."""
        self._hurry.set()
        self.wake()

    def wait(self, timeout: float) -> bool:
        """Sleeps until there is something, and a little longer, so that it comes in heaps.

        Args:
            timeout: Most seconds.

        Returns:
            Whether there is something.
        """
        if not self.items:
            self.idle = True
            # Who appended before it saw that must not wait for the next one.
            if not self.items:
                self._wake.wait(timeout)
            self.idle = False
            self._wake.clear()
        if self.items:
            self._hurry.wait(_LINGER)
        self._hurry.clear()
        return bool(self.items)

    def drain(self) -> list[Item]:
        """Takes out what is there."""
        pop = self.items.popleft
        return [pop() for _ in range(len(self.items))]

    def release(self, weight: int) -> None:
        """Says that what was taken out is in frames, or forgotten.

        Args:
            weight: The bytes of it, by `weight_of`.
        """
        with self._room:
            self._bytes -= weight
            self._room.notify_all()


def _time(key: str, timestamp: int) -> int:
    found = integer(f"metric {key!r}: timestamp", timestamp)
    if found < 0:
        raise _rules.invalid("blocks[0].timestamps_ms[0]", "must be 0 or later")
    return found


def weight_of(width: int) -> int:
    """Returns the bytes that a row counts for; narrow ones, which are most, count by their number."""
    return _CELL_BYTES * width if width > _NARROW else 0


def closed() -> Exception:
    """Makes the error of a client that is closed."""
    return ValueError("the client is closed")
