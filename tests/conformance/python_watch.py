"""A watch whose events can be waited for with a time limit."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

from tests.conformance.python_shapes import doubles, wholes

from runwire import MetricEvent, MetricWatch, RunwireError


class Watching:
    """A watch that a thread reads."""

    def __init__(self, watch: MetricWatch) -> None:
        """Starts to read; waits for the first event, which says that the watch is in place."""
        self._watch = watch
        self._events: queue.Queue[MetricEvent | RunwireError | None] = queue.Queue()
        self._kept: list[MetricEvent] = []
        self.cursor = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self._take(120)

    def _read(self) -> None:
        try:
            for event in self._watch:
                self._events.put(event)
        except RunwireError as error:
            self._events.put(error)
        self._events.put(None)

    def _take(self, timeout: float) -> bool:
        try:
            event = self._events.get(timeout=max(timeout, 0.001))
        except queue.Empty:
            return False
        if isinstance(event, RunwireError):
            raise event
        if event is None:
            return False
        self._kept.append(event)
        self.cursor = event.cursor
        return True

    def until(self, points: int, timeout: float) -> dict[str, Any]:
        """Gathers events until they hold that many points."""
        deadline = time.monotonic() + timeout
        timed_out = False
        while self._points() < points and not timed_out:
            timed_out = not self._take(deadline - time.monotonic())
        events, self._kept = self._kept, []
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for block in (block for event in events for block in event.blocks):
            for key, values in block.values.items():
                empty: dict[str, Any] = {"steps": [], "timestamps": [], "values": []}
                columns = found.setdefault((block.run_id, key), empty)
                columns["steps"] += wholes(block.steps)
                columns["timestamps"] += wholes(block.timestamps)
                columns["values"] += doubles(values)
        series = [{"run_id": run, "key": key, **columns} for (run, key), columns in found.items()]
        resync = sorted({run for event in events for run in event.resync_run_ids})
        return {"series": series, "cursor": self.cursor, "resync_run_ids": resync, "timed_out": timed_out}

    def _points(self) -> int:
        blocks = [block for event in self._kept for block in event.blocks]
        return sum(len(block.steps) * len(block.values) for block in blocks)

    def close(self) -> None:
        """Ends the watch."""
        self._watch.close()
        self._thread.join(10)
