"""What a request may say: one function for each request, which reports all broken fields at once.

These are checks of the request alone. What depends on stored state is storage's to check.
"""

from __future__ import annotations

from typing import Any

from runwire.v1 import experiment_pb2, frame_pb2, metric_pb2, run_pb2, server_pb2
from runwire_server.domain.checks import Checks
from runwire_server.domain.limits import (
    MAX_BATCH_PARAMS,
    MAX_BATCH_TAGS,
    MAX_BEATS,
    MAX_CURVE_POINTS,
    MAX_CURVES,
    MAX_EXPERIMENT_TAG_VALUE,
    MAX_EXPERIMENTS_SEARCHED,
    MAX_INPUTS,
    MAX_KEY,
    MAX_KEYS_READ,
    MAX_PARAM_VALUE,
    MAX_RUN_TAG_VALUE,
    MAX_RUNS_READ,
    MAX_SCHEMA,
    MAX_SOURCE,
)

STARTING = (run_pb2.RUN_STATUS_UNSPECIFIED, run_pb2.RUN_STATUS_RUNNING, run_pb2.RUN_STATUS_SCHEDULED)
ENDED = (
    run_pb2.RUN_STATUS_UNSPECIFIED,
    run_pb2.RUN_STATUS_FINISHED,
    run_pb2.RUN_STATUS_FAILED,
    run_pb2.RUN_STATUS_KILLED,
)


def create_experiment(request: experiment_pb2.CreateExperimentRequest) -> None:
    """Checks CreateExperiment."""
    checks = Checks(request)
    checks.name(request.name)
    checks.pairs(request.tags, "tags", MAX_BATCH_TAGS, MAX_EXPERIMENT_TAG_VALUE)
    checks.done()


def get_experiment(request: experiment_pb2.GetExperimentRequest) -> None:
    """Checks GetExperiment."""
    checks = Checks()
    which = request.WhichOneof("by")
    if which == "experiment_id":
        checks.experiment_id(request.experiment_id)
    elif which == "name":
        checks.name(request.name)
    else:
        checks.that(False, "experiment_id", "give an experiment_id or a name")
    checks.done()


def search_experiments(request: experiment_pb2.SearchExperimentsRequest) -> None:
    """Checks SearchExperiments."""
    checks = Checks()
    checks.page(request)
    checks.done()


def update_experiment(request: experiment_pb2.UpdateExperimentRequest) -> None:
    """Checks UpdateExperiment."""
    checks = Checks(request)
    checks.experiment_id(request.experiment_id)
    checks.update_mask(request.update_mask, ["name"])
    if "name" in request.update_mask.paths:
        checks.name(request.name)
    checks.done()


def experiment(request: Any) -> None:
    """Checks a request that names an experiment and says no more."""
    checks = Checks(request)
    checks.experiment_id(request.experiment_id)
    checks.done()


def set_experiment_tags(request: experiment_pb2.SetExperimentTagsRequest) -> None:
    """Checks SetExperimentTags."""
    checks = Checks(request)
    checks.experiment_id(request.experiment_id)
    checks.that(len(request.tags) > 0, "tags", "must not be empty")
    checks.pairs(request.tags, "tags", MAX_BATCH_TAGS, MAX_EXPERIMENT_TAG_VALUE)
    checks.done()


def delete_experiment_tag(request: experiment_pb2.DeleteExperimentTagRequest) -> None:
    """Checks DeleteExperimentTag."""
    checks = Checks(request)
    checks.experiment_id(request.experiment_id)
    checks.key(request.key, "key")
    checks.done()


def create_run(request: run_pb2.CreateRunRequest) -> None:
    """Checks CreateRun."""
    checks = Checks(request)
    checks.experiment_id(request.experiment_id)
    if request.run_id:
        checks.run_id(request.run_id)
    checks.that(not request.allow_existing or request.run_id != "", "run_id", "is needed with allow_existing")
    _new_run(request, checks)
    checks.done()


def begin_run(request: frame_pb2.BeginRun) -> None:
    """Checks the record that begins a run."""
    checks = Checks()
    checks.run_id(request.run.run_id, "run.run_id")
    if request.experiment_name:
        checks.name(request.experiment_name, "experiment_name")
    else:
        checks.experiment_id(request.run.experiment_id, "run.experiment_id")
    _new_run(request.run, checks, "run.")
    checks.done()


def _new_run(request: run_pb2.CreateRunRequest, checks: Checks, prefix: str = "") -> None:
    """What a new run is made of, wherever it is asked for."""
    if request.name:
        checks.name(request.name, f"{prefix}name")
    if request.parent_run_id:
        checks.run_id(request.parent_run_id, f"{prefix}parent_run_id")
    checks.time(request, "start_time", prefix)
    checks.one_of(request.status, STARTING, f"{prefix}status", "must be RUNNING or SCHEDULED")
    checks.pairs(request.params, f"{prefix}params", MAX_BATCH_PARAMS, MAX_PARAM_VALUE)
    checks.pairs(request.tags, f"{prefix}tags", MAX_BATCH_TAGS, MAX_RUN_TAG_VALUE)


def get_run(request: run_pb2.GetRunRequest) -> None:
    """Checks GetRun."""
    checks = Checks()
    checks.run_id(request.run_id)
    checks.run_mask(request.mask)
    checks.done()


def search_runs(request: run_pb2.SearchRunsRequest) -> None:
    """Checks SearchRuns."""
    checks = Checks()
    if checks.distinct(request.experiment_ids, "experiment_ids", 1, MAX_EXPERIMENTS_SEARCHED):
        for i, experiment_id in enumerate(request.experiment_ids):
            checks.experiment_id(experiment_id, f"experiment_ids[{i}]")
    checks.page(request)
    checks.run_mask(request.mask)
    checks.done()


def update_run(request: run_pb2.UpdateRunRequest) -> None:
    """Checks UpdateRun."""
    checks = Checks(request)
    checks.run_id(request.run_id)
    checks.update_mask(request.update_mask, ["name", "status"])
    if "name" in request.update_mask.paths:
        checks.name(request.name)
    if "status" in request.update_mask.paths:
        known = {*STARTING, *ENDED} - {run_pb2.RUN_STATUS_UNSPECIFIED}
        checks.one_of(request.status, known, "status", "must be a RunStatus")
    checks.done()


def finish_run(request: run_pb2.FinishRunRequest) -> None:
    """Checks FinishRun."""
    checks = Checks(request)
    checks.run_id(request.run_id)
    checks.one_of(request.status, ENDED, "status", "must be FINISHED, FAILED or KILLED")
    checks.time(request, "end_time")
    checks.done()


def run(request: Any) -> None:
    """Checks a request that names a run and says no more."""
    checks = Checks(request)
    checks.run_id(request.run_id)
    checks.done()


def set_run_tags(request: run_pb2.SetRunTagsRequest) -> None:
    """Checks SetRunTags."""
    checks = Checks(request)
    checks.run_id(request.run_id)
    checks.that(len(request.tags) > 0, "tags", "must not be empty")
    checks.pairs(request.tags, "tags", MAX_BATCH_TAGS, MAX_RUN_TAG_VALUE)
    checks.done()


def delete_run_tag(request: run_pb2.DeleteRunTagRequest) -> None:
    """Checks DeleteRunTag."""
    checks = Checks(request)
    checks.run_id(request.run_id)
    checks.key(request.key, "key")
    checks.done()


def log_inputs(request: run_pb2.LogInputsRequest) -> None:
    """Checks LogInputs."""
    checks = Checks(request)
    checks.run_id(request.run_id)
    sized = 1 <= len(request.inputs) <= MAX_INPUTS
    checks.that(sized, "inputs", f"must have 1 to {MAX_INPUTS} entries")
    for i, entry in enumerate(request.inputs if sized else ()):
        path, dataset = f"inputs[{i}]", entry.dataset
        checks.name(dataset.name, f"{path}.dataset.name")
        checks.that(dataset.digest != "", f"{path}.dataset.digest", "must not be empty")
        checks.text(dataset.digest, f"{path}.dataset.digest", 64)
        checks.text(dataset.source_type, f"{path}.dataset.source_type", MAX_KEY)
        checks.text(dataset.source, f"{path}.dataset.source", MAX_SOURCE)
        checks.text(dataset.schema, f"{path}.dataset.schema", MAX_SCHEMA)
        checks.text(dataset.profile, f"{path}.dataset.profile", MAX_SCHEMA)
        checks.text(entry.context, f"{path}.context", MAX_KEY)
    checks.done()


def get_metric_history(request: metric_pb2.GetMetricHistoryRequest) -> None:
    """Checks GetMetricHistory."""
    checks = _points_of(request)
    if request.HasField("min_step") and request.HasField("max_step"):
        checks.that(request.min_step <= request.max_step, "max_step", "must not be below min_step")
    checks.done()


def get_metric_curve(request: metric_pb2.GetMetricCurveRequest) -> None:
    """Checks GetMetricCurve."""
    checks = Checks()
    names = [(series.run_id, series.key) for series in request.series]
    if checks.that(1 <= len(names) <= MAX_CURVES, "series", f"must have 1 to {MAX_CURVES} entries"):
        for i, (run_id, key) in enumerate(names):
            checks.run_id(run_id, f"series[{i}].run_id")
            checks.key(key, f"series[{i}].key")
        checks.that(len(set(names)) == len(names), "series", "must not name anything twice")
    checks.that(
        0 <= request.max_points <= MAX_CURVE_POINTS, "max_points", f"must be 0 to {MAX_CURVE_POINTS:,}"
    )
    checks.one_of(request.axis, (0, 1, 2), "axis", "must be a CurveAxis")
    if request.HasField("min_x") and request.HasField("max_x"):
        checks.that(request.min_x <= request.max_x, "max_x", "must not be below min_x")
    checks.done()


def watch_metrics(request: metric_pb2.WatchMetricsRequest) -> None:
    """Checks WatchMetrics; the cursor is checked where it is read."""
    _points_of(request).done()


def _points_of(request: Any) -> Checks:
    """Checks which keys of which runs are asked for."""
    checks = Checks()
    if checks.distinct(request.run_ids, "run_ids", 1, MAX_RUNS_READ):
        for i, run_id in enumerate(request.run_ids):
            checks.run_id(run_id, f"run_ids[{i}]")
    checks.keys(request.keys, "keys", MAX_KEYS_READ)
    return checks


def heartbeat(request: metric_pb2.HeartbeatRequest) -> None:
    """Checks Heartbeat."""
    checks = Checks()
    if checks.distinct(request.run_ids, "run_ids", 1, MAX_BEATS):
        for i, run_id in enumerate(request.run_ids):
            checks.run_id(run_id, f"run_ids[{i}]")
    checks.done()


def purge(request: server_pb2.PurgeRequest) -> None:
    """Checks Purge."""
    checks = Checks(request)
    if request.HasField("older_than"):
        good = 0 <= request.older_than.seconds <= 315_576_000_000 and 0 <= request.older_than.nanos < 10**9
        checks.that(good, "older_than", "must not be negative, nor longer than 10,000 years")
    checks.done()
