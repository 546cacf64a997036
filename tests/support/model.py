"""What Runwire's storage does, said once more in plain dicts: the yardstick of the state machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.messages import Point, as_dict, bits

from runwire.v1 import experiment_pb2, run_pb2

DEFAULT = "0"


class Refused(Exception):
    """The model's way to fail.

    Attributes:
        reason: The expected one.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Experiment:
    """An experiment."""

    name: str
    tags: dict[str, str] = field(default_factory=dict)
    deleted: bool = False


@dataclass
class Run:
    """A run; its points as (step, time, value) in order of arrival, by key."""

    run_id: str
    payload: Any
    experiment: str
    name: str
    start: int
    params: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)
    points: dict[str, list[tuple[int, int, float]]] = field(default_factory=dict)
    status: int = run_pb2.RUN_STATUS_RUNNING
    end: int | None = None
    deleted: bool = False

    def sorted(self, key: str) -> list[tuple[int, int, float]]:
        """The points of a key by (step, time, arrival)."""
        return sorted(self.points[key], key=lambda p: p[:2])

    def latest(self, key: str) -> float | None:
        """The latest value of a key, if it has points."""
        return self.sorted(key)[-1][2] if key in self.points else None

    def history(self) -> dict[str, list[Point]]:
        """All points as a reader sees them."""
        return {k: [Point(s, t, bits(v)) for s, t, v in self.sorted(k)] for k in sorted(self.points)}

    def summaries(self) -> dict[str, tuple[Any, ...]]:
        """What `summary_of` reads from a message, for each key."""
        return {key: summary(self.sorted(key)) for key in sorted(self.points)}


@dataclass
class Model:
    """A whole storage."""

    experiments: dict[str, Experiment] = field(default_factory=lambda: {DEFAULT: Experiment("Default")})
    runs: dict[str, Run] = field(default_factory=dict)
    purged: set[str] = field(default_factory=set)

    def create_experiment(self, name: str) -> Callable[[str], None]:
        """Checks the name; returns what takes the id that the storage made."""
        if any(e.name == name for e in self.experiments.values()):
            raise Refused("EXPERIMENT_EXISTS")
        return lambda experiment_id: self.experiments.update({experiment_id: Experiment(name)})

    def writable_experiment(self, experiment_id: str) -> Experiment:
        """Returns an experiment that may change."""
        experiment = self.known_experiment(experiment_id)
        if experiment.deleted:
            raise Refused("EXPERIMENT_DELETED")
        return experiment

    def known_experiment(self, experiment_id: str) -> Experiment:
        """Returns an experiment, deleted or not."""
        if experiment_id not in self.experiments:
            raise Refused("EXPERIMENT_NOT_FOUND")
        return self.experiments[experiment_id]

    def delete_experiment(self, experiment_id: str, deleted: bool) -> None:
        """Deletes or restores an experiment."""
        experiment = self.known_experiment(experiment_id)
        if experiment_id == DEFAULT and deleted:
            raise Refused("EXPERIMENT_PROTECTED")
        experiment.deleted = deleted

    def create_run(self, run_id: str, payload: Any, allow_existing: bool = False) -> None:
        """Creates a run from (experiment, name, start, params)."""
        if run_id in self.purged:
            raise Refused("RUN_PURGED")
        if run_id in self.runs:
            if not allow_existing and self.runs[run_id].payload != payload:
                raise Refused("RUN_EXISTS")
            return
        experiment, name, start, params = payload
        self.writable_experiment(experiment)
        self.runs[run_id] = Run(run_id, payload, experiment, name, start, dict(params))

    def existing_run(self, run_id: str) -> Run:
        """Returns a run whose experiment is active."""
        if run_id in self.purged:
            raise Refused("RUN_PURGED")
        if run_id not in self.runs:
            raise Refused("RUN_NOT_FOUND")
        run = self.runs[run_id]
        self.writable_experiment(run.experiment)
        return run

    def writable_run(self, run_id: str) -> Run:
        """Returns a run that may change."""
        run = self.existing_run(run_id)
        if run.deleted:
            raise Refused("RUN_DELETED")
        return run

    def log(self, run_id: str, points: Any, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Adds (key, step, time, value) points, params and tags."""
        run = self.writable_run(run_id)
        if any(run.params.get(k, v) != v for k, v in params.items()):
            raise Refused("PARAM_IMMUTABLE")
        run.params.update(params)
        run.tags.update(tags)
        for key, step, time, value in points:
            run.points.setdefault(key, []).append((step, time, value))

    @staticmethod
    def delete_tag(owner: Run | Experiment, key: str) -> None:
        """Removes a tag."""
        if key not in owner.tags:
            raise Refused("TAG_NOT_FOUND")
        del owner.tags[key]

    def purge(self) -> tuple[int, int]:
        """Removes what is deleted; returns how many runs and experiments."""
        gone = [e for e, experiment in self.experiments.items() if experiment.deleted]
        doomed = [r for r, run in self.runs.items() if run.deleted or run.experiment in gone]
        for experiment_id in gone:
            del self.experiments[experiment_id]
        for run_id in doomed:
            del self.runs[run_id]
        self.purged.update(doomed)
        return len(doomed), len(gone)

    def has_deleted(self) -> bool:
        """Whether a purge would find anything."""
        return any(one.deleted for one in (*self.experiments.values(), *self.runs.values()))

    def shown_deleted(self, run: Run) -> bool:
        """Whether readers see a run as deleted."""
        return run.deleted or self.experiments[run.experiment].deleted

    def search(
        self, experiments: Sequence[str], matches: Callable[[Run], bool], order: Any, view: int
    ) -> list[str]:
        """Finds runs; `order` is a list of (value of a run or None, descending)."""
        for experiment_id in experiments:
            self.known_experiment(experiment_id)
        wanted = {
            experiment_pb2.LIFECYCLE_VIEW_ACTIVE_ONLY: {False},
            experiment_pb2.LIFECYCLE_VIEW_DELETED_ONLY: {True},
            experiment_pb2.LIFECYCLE_VIEW_ALL: {False, True},
        }[view]
        found = [
            run
            for run in self.runs.values()
            if run.experiment in experiments and self.shown_deleted(run) in wanted and matches(run)
        ]
        # Sorting is stable, so the last key comes first.
        found.sort(key=lambda run: run.run_id)
        found.sort(key=lambda run: run.start, reverse=True)
        for value, descending in reversed(order):
            there = [run for run in found if sortable(value(run))]
            missing = [run for run in found if not sortable(value(run))]
            found = sorted(there, key=value, reverse=descending) + missing
        return [run.run_id for run in found]


def sortable(value: Any) -> bool:
    """Whether a value has a place in an order: neither missing nor NaN."""
    return value is not None and value == value


def summary(points: Sequence[tuple[int, int, float]]) -> tuple[Any, ...]:
    """Summarises sorted points."""
    numbers = [(value, step) for step, _, value in points if not math.isnan(value)]
    low = min(numbers, default=(None, None))
    high = max(((value, -step) for value, step in numbers), default=(None, None))
    return (
        len(points),
        len(points) - len(numbers),
        *(points[-1][:2]),
        bits(points[-1][2]),
        *(points[0][:2]),
        bits(points[0][2]),
        *low,
        high[0],
        None if high[1] is None else -high[1],
    )


def summary_of(message: Any) -> tuple[Any, ...]:
    """Reads the same from a MetricSummary."""
    bounds = [
        getattr(message, name) if message.HasField(name) else None
        for name in ("min_value", "min_step", "max_value", "max_step")
    ]
    return (
        message.count,
        message.nan_count,
        message.step,
        message.timestamp_ms,
        bits(message.value),
        message.first_step,
        message.first_timestamp_ms,
        bits(message.first_value),
        *bounds,
    )


def differences(run: Run, deleted: bool, found: run_pb2.Run) -> dict[str, tuple[Any, Any]]:
    """Compares a run with what was read; returns (expected, found) of each field that differs."""
    stage = experiment_pb2.LIFECYCLE_STAGE_DELETED if deleted else experiment_pb2.LIFECYCLE_STAGE_ACTIVE
    end = found.end_time.ToMilliseconds() if found.HasField("end_time") else None
    pairs = {
        "run_id": (run.run_id, found.run_id),
        "experiment": (run.experiment, found.experiment_id),
        "name": (run.name, found.name),
        "start": (run.start, found.start_time.ToMilliseconds()),
        "end": (run.end, end),
        "status": (run.status, found.status),
        "stage": (stage, found.lifecycle_stage),
        "params": (sorted(run.params.items()), list(as_dict(found.params).items())),
        "tags": (sorted(run.tags.items()), list(as_dict(found.tags).items())),
        "metrics": (run.summaries(), {m.key: summary_of(m) for m in found.metrics}),
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
