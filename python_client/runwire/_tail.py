"""The last points of a run's metrics, and those that follow."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from typing import Final

from runwire import errors
from runwire._watch import MetricWatch
from runwire.client import Client
from runwire.curves import NewPoints
from runwire.entities import Metric, MetricSummary, RunStatus

# Metrics of one call.
_KEYS: Final = 1000
# How often the run is asked whether it has ended, and for how long it must then have been quiet, seconds.
_ASK_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 0.5
# Whose points may still come. LOST is only a guess of the server's.
_OPEN: Final = frozenset({RunStatus.RUNNING, RunStatus.SCHEDULED, "LOST"})


def last(client: Client, run_id: str, keys: Sequence[str], count: int) -> list[Metric]:
    """Gets the last points of metrics, without reading all the others.

    Args:
        client: Whom to ask.
        run_id: The run.
        keys: The metrics; empty for all that the run has.
        count: How many of each.

    Returns:
        The points of all metrics, by (step, timestamp).

    Raises:
        NotFound: There is no such run.
    """
    run = client.get_run(run_id, fields=["metrics"], metric_keys=keys or None)
    waiting = list(run.data.metric_summaries.values()) if count else []
    found: list[Metric] = []
    reach = 2
    while waiting:
        part, waiting = waiting[:_KEYS], waiting[_KEYS:]
        first = min(_guess(summary, count * reach) for summary in part)
        got = client.get_metric_histories([run_id], [s.key for s in part], min_step=first)[run_id]
        for summary in part:
            points = got.get(summary.key, ())
            if len(points) >= min(count, summary.count) or first <= summary.first_step:
                found.extend(points[index] for index in range(max(len(points) - count, 0), len(points)))
            else:
                waiting.append(summary)
        # For those whose steps are not as regular as they were taken for.
        reach *= 8
    return sorted(found, key=lambda point: (point.step, point.timestamp or 0))


def _guess(summary: MetricSummary, count: int) -> int:
    """Guesses a step from which on a series has some points."""
    span = summary.step - summary.first_step
    return max(summary.first_step, summary.step - math.ceil(span / summary.count * count))


def follow(client: Client, run_id: str, keys: Sequence[str], count: int) -> Generator[Metric, None, None]:
    """Gives the last points of metrics, and then each new one, until the run has ended.

    Args:
        client: Whom to ask.
        run_id: The run.
        keys: The metrics; empty for all, also those to come.
        count: How many of the points that are there already, of each metric.

    Yields:
        The points; new ones in the order of their arrival.
    """
    with client.watch_metrics([run_id], keys) as watch:
        # The watch is in place before the past is read, so that nothing falls between.
        event = next(watch)
        shown: Counter[Metric] = Counter()
        for point in last(client, run_id, keys, count):
            shown[_same(point)] += 1
            yield point
        ending = _Ending(client, run_id, watch)
        try:
            ending.start()
            while True:
                for point in _points(event.blocks):
                    # What came in between is in both.
                    if shown[_same(point)]:
                        shown[_same(point)] -= 1
                    else:
                        yield point
                ending.heard = time.monotonic()
                try:
                    event = next(watch)
                except StopIteration:
                    break
        finally:
            ending.leave()
        if ending.failure is not None:
            raise ending.failure


def _same(point: Metric) -> Metric:
    """Makes a point that equals another of the same bits: NaN does not equal itself."""
    return Metric(point.key, float(point.value).hex(), point.timestamp, point.step)


def _points(blocks: Sequence[NewPoints]) -> Iterator[Metric]:
    for block in blocks:
        columns = {key: values.tolist() for key, values in block.values.items()}
        steps_and_times = zip(block.steps.tolist(), block.timestamps.tolist(), strict=True)
        for index, (step, when) in enumerate(steps_and_times):
            for key, values in columns.items():
                yield Metric(key, values[index], when, step)


class _Ending(threading.Thread):
    """Ends a watch when its run has ended and nothing more has come for a while."""

    def __init__(self, client: Client, run_id: str, watch: MetricWatch) -> None:
        super().__init__(name="runwire-tail", daemon=True)
        self._client = client
        self._run_id = run_id
        self._watch = watch
        self._left = threading.Event()
        self.heard = time.monotonic()
        self.failure: Exception | None = None

    def run(self) -> None:
        """Asks now and then."""
        try:
            while self._client.get_run(self._run_id, fields=["status"]).info.status in _OPEN:
                if self._left.wait(_ASK_SECONDS):
                    return
            while time.monotonic() - self.heard < _QUIET_SECONDS:
                if self._left.wait(_QUIET_SECONDS / 5):
                    return
        except (errors.RunwireError, ValueError) as error:
            # Who has left may have closed the client, even before this thread was waited for.
            if not self._left.is_set():
                self.failure = error
        self._watch.close()

    def leave(self) -> None:
        """Ends the thread."""
        self._left.set()
        # It has none if starting it was interrupted.
        if self.ident is not None:
            self.join()
