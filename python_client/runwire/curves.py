"""What the client returns of many points: curves in buckets, and what is new in watched runs.

Columns are numpy arrays where numpy is installed, and `array.array` otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class MetricCurve:
    """A series in buckets, which hide no spike: entry i of each column belongs to bucket i, ascending by x.

    A series of few points has a bucket for each. NaN is counted, and can be first or last; minimum and
    maximum are NaN only where a bucket has nothing else.

    Attributes:
        run_id: The run.
        key: The metric.
        axis: What x is: `step`, or `time` (unix ms).
        points: How many points of the series are in the range that was asked for.
        first_x: x of each bucket's first point, int64.
        last_x: x of its last point, int64.
        min_x: x of its lowest point, int64.
        max_x: x of its highest point, int64.
        first: Value of its first point, float64.
        last: Value of its last point, float64.
        min: Its lowest value, float64.
        max: Its highest value, float64.
        count: How many points it stands for, int64.
        nan_count: How many of them are NaN, int64.
    """

    run_id: str
    key: str
    axis: str
    points: int
    first_x: Any
    last_x: Any
    min_x: Any
    max_x: Any
    first: Any
    last: Any
    min: Any
    max: Any
    count: Any
    nan_count: Any

    def __len__(self) -> int:
        """Counts the buckets."""
        return len(self.count)

    def line(self) -> tuple[list[int], list[float]]:
        """Turns the buckets into the points of a line that looks as the whole series would.

        Returns:
            x and values, ascending by x: each bucket's first, lowest, highest and last point, each once.
        """
        opening = (self.first_x, self.first, self.min_x, self.min)
        columns = (*opening, self.max_x, self.max, self.last_x, self.last)
        xs: list[int] = []
        values: list[float] = []
        for bucket in zip(*(column.tolist() for column in columns), strict=True):
            first, low, high, last = zip(bucket[::2], bucket[1::2], strict=True)
            corners = (first, *sorted((low, high), key=lambda corner: corner[0]), last)
            # A bucket of one point has four times the same one.
            for x, value in dict.fromkeys(corners):
                xs.append(x)
                values.append(value)
        return xs, values

    def to_pandas(self) -> Any:
        """Turns the curve into a table.

        Returns:
            A DataFrame with a row for each bucket, and the columns `first_x` to `nan_count`.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas

        return pandas.DataFrame({field.name: getattr(self, field.name) for field in fields(self)[4:]})


@dataclass(frozen=True, slots=True, eq=False)
class NewPoints:
    """Some new points of one run, in their order of arrival: each key has a value at each step.

    Attributes:
        run_id: The run.
        steps: The steps, int64.
        timestamps: As many times, unix ms, int64.
        values: For each key a column of as many values, float64.
    """

    run_id: str
    steps: Any
    timestamps: Any
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class MetricEvent:
    """What is new in watched runs.

    Attributes:
        blocks: New points, in their order of arrival within each run.
        cursor: Where to go on: what `watch_metrics` takes to continue behind this event.
        resync_run_ids: Runs of which points were skipped just before this event, since the watcher was too
            slow: read them with `get_metric_history`.
    """

    blocks: tuple[NewPoints, ...]
    cursor: str
    resync_run_ids: tuple[str, ...]
