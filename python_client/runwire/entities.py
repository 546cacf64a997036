"""What the client returns and takes: experiments, runs, points, with the attribute names of MLflow.

Times are integers, unix milliseconds. All of it is plain data: nothing here calls a server.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, TypeVar

T = TypeVar("T")


class RunStatus(StrEnum):
    """What a run is doing; each member equals its name as text."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    # Said by servers of runs whose heartbeats have ended; never set by a caller.
    LOST = "LOST"


class ViewType(IntEnum):
    """Which lifecycle stages a search looks at."""

    ACTIVE_ONLY = 1
    DELETED_ONLY = 2
    ALL = 3


@dataclass(frozen=True, slots=True)
class Metric:
    """One point of a metric.

    Attributes:
        key: The metric's key.
        value: The value.
        timestamp: When it was measured, unix ms; None where it is to be the time of the call.
        step: The training step or the like, int64.
    """

    key: str
    value: Any
    timestamp: int | None = None
    step: int = 0


@dataclass(frozen=True, slots=True)
class MetricBlock:
    """Many points of a fixed set of metrics: S steps by K keys, the cheapest way to log them.

    Attributes:
        keys: The K keys, distinct.
        steps: The S steps.
        values: The values: flat, step after step (`values[s * K + k]`), or S rows of K.
        timestamps: S times in unix ms, or one for all steps; None where it is to be the time of the call.
    """

    keys: Sequence[str]
    steps: Sequence[int]
    values: Sequence[Any]
    timestamps: Sequence[int] | int | None = None


@dataclass(frozen=True, slots=True)
class Param:
    """A setting of a run; its value is sent as `str(value)`."""

    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class RunTag:
    """A tag of a run; its value is sent as `str(value)`."""

    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class ExperimentTag:
    """A tag of an experiment; its value is sent as `str(value)`."""

    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """What a run keeps of one metric. Latest and first are by (step, timestamp, arrival).

    Attributes:
        key: The metric's key.
        value: The latest value.
        step: The latest point's step.
        timestamp: The latest point's time, unix ms.
        count: How many points there are, NaN included.
        nan_count: How many of them are NaN.
        min: The smallest value; None when all are NaN.
        min_step: The lowest step that has it.
        max: The largest value; None when all are NaN.
        max_step: The lowest step that has it.
        first: The first value.
        first_step: The first point's step.
        first_timestamp: The first point's time, unix ms.
    """

    key: str
    value: float
    step: int
    timestamp: int
    count: int
    nan_count: int
    min: float | None
    min_step: int | None
    max: float | None
    max_step: int | None
    first: float
    first_step: int
    first_timestamp: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set, described; its contents stay where they are.

    Attributes:
        name: 1 to 500 characters.
        digest: A fingerprint of the contents, 1 to 64 characters.
        source_type: The kind of source, such as `sklearn` or `s3`.
        source: Where it comes from; the server never follows it.
        schema: Its columns and types, JSON by custom.
        profile: Statistics of it, JSON by custom.
    """

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """A data set in the role of a run's input, such as `training`."""

    dataset: Dataset
    context: str = ""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a run is.

    Attributes:
        run_id: 32 hex digits.
        experiment_id: The experiment that it belongs to.
        run_name: Its name, not unique.
        status: `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED`, `KILLED` or `LOST`.
        start_time: When it began, unix ms; None if not asked for.
        end_time: When it ended, unix ms; None until then.
        lifecycle_stage: `active` or `deleted`.
        parent_run_id: The run that it is a part of, or None.
    """

    run_id: str
    experiment_id: str
    run_name: str
    status: str
    start_time: int | None
    end_time: int | None
    lifecycle_stage: str
    parent_run_id: str | None


@dataclass(frozen=True, slots=True)
class RunData:
    """What a run holds.

    Attributes:
        metrics: The latest value of each metric.
        params: The params.
        tags: The tags.
        metric_summaries: Count, minimum, maximum, first and latest of each metric.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metric_summaries: dict[str, MetricSummary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunInputs:
    """What a run reads, in the order in which it was logged."""

    dataset_inputs: list[DatasetInput] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Run:
    """A run: what it is, what it holds, what it reads."""

    info: RunInfo
    data: RunData = field(default_factory=RunData)
    inputs: RunInputs = field(default_factory=RunInputs)

    def to_dictionary(self) -> dict[str, Any]:
        """Turns the run into plain dictionaries.

        Returns:
            `info`, `data` and `inputs`, with everything below them.
        """
        names = ("info", "data", "inputs")
        return {name: dataclasses.asdict(getattr(self, name)) for name in names}


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment.

    Attributes:
        experiment_id: Decimal digits; "0" is Default.
        name: Its name, unique until it is purged.
        lifecycle_stage: `active` or `deleted`.
        creation_time: When it was created, unix ms.
        last_update_time: When its name, tags or lifecycle last changed, unix ms.
        tags: Its tags.
    """

    experiment_id: str
    name: str
    lifecycle_stage: str
    creation_time: int | None
    last_update_time: int | None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server is and allows.

    Attributes:
        version: The server's version, such as `0.1.0`.
        api_version: The API's version, such as `v1`.
        database: The kind of database, such as `sqlite`.
        features: Names of what it can do beyond the first release of the API.
        limits: The limits in force, by the field names of `Limits` in `server.proto`.
    """

    version: str
    api_version: str
    database: str
    features: tuple[str, ...]
    limits: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PurgeResult:
    """How many runs and experiments a purge removed for good."""

    runs: int
    experiments: int


@dataclass(frozen=True, slots=True)
class StoragePart:
    """What one part of the metric store holds.

    Attributes:
        name: `log`, `stripes`, `chunks`, `groups` or `summaries`.
        rows: How many rows.
        points: How many points; of `summaries` how many series, of `groups` how many keys.
        bytes: Bytes of its data.
    """

    name: str
    rows: int
    points: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StorageStats:
    """What metric points take on a server's disk.

    Attributes:
        parts: The parts of the metric store.
        points: All points of all runs, counted once each.
        backlog_bytes: Bytes in the log that wait to be compacted.
        database_bytes: Size of the database, with all else that is in it.
        wal_bytes: Size of SQLite's write-ahead log; 0 on PostgreSQL.
    """

    parts: tuple[StoragePart, ...]
    points: int
    backlog_bytes: int
    database_bytes: int
    wal_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class MetricHistory:
    """The points of one metric of one run, by (step, timestamp, arrival).

    The three columns are numpy arrays (int64, int64, float64) where numpy is installed, and
    `array.array` otherwise. Values are bit for bit what was logged. Iterating gives a `Metric` for each
    point; for many points the columns are far cheaper.

    Attributes:
        run_id: The run.
        key: The metric.
        steps: The steps.
        timestamps: The times, unix ms.
        values: The values.
    """

    run_id: str
    key: str
    steps: Any
    timestamps: Any
    values: Any

    def __len__(self) -> int:
        """Counts the points."""
        return len(self.values)

    def __getitem__(self, index: int) -> Metric:
        """Returns one point."""
        return Metric(
            self.key, float(self.values[index]), int(self.timestamps[index]), int(self.steps[index])
        )

    def __iter__(self) -> Iterator[Metric]:
        """Gives the points one by one."""
        columns = (self.values.tolist(), self.timestamps.tolist(), self.steps.tolist())
        return (Metric(self.key, *point) for point in zip(*columns, strict=True))


class PagedList(list[T]):
    """A page of a search.

    Attributes:
        token: What to pass as `page_token` to get the next page; None on the last.
    """

    def __init__(self, items: Sequence[T], token: str | None) -> None:
        """Makes the page.

        Args:
            items: What the page holds.
            token: Token of the next page, or None.
        """
        super().__init__(items)
        self.token = token
