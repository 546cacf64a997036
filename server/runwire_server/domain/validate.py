"""What a request may say: one function for each request, which reports all broken fields at once.

These are checks of the request alone. What depends on stored state is storage's to check.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from runwire.v1 import experiment_pb2, frame_pb2, metric_pb2, run_pb2, server_pb2
from runwire_server.errors import InvalidArgument, Violation

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MAX_BATCH_POINTS = 10_000
MAX_BATCH_PARAMS = 1_000
MAX_BATCH_TAGS = 1_000
MAX_INPUTS = 100
MAX_KEY = 250
MAX_PARAM_VALUE = 6_000
MAX_RUN_TAG_VALUE = 8_000
MAX_EXPERIMENT_TAG_VALUE = 20_000
MAX_NAME = 500
MAX_PAGE_SIZE = 1_000
MAX_FILTER_BYTES = 16 * 1024
MAX_EXPERIMENTS_SEARCHED = 100
MAX_ORDER_KEYS = 10
MAX_RUNS_READ = 100
MAX_KEYS_READ = 1_000
MAX_PATHS = 100
MAX_SOURCE = 65_535
MAX_SCHEMA = 1_048_575
# A frame is one transaction's share: larger ones would make other writers wait.
MAX_FRAME_BYTES = 2 * 1024 * 1024
# What bounds the server's memory: a stream's unacknowledged payloads, and the keys that it has declared.
MAX_STREAM_BYTES = 8 * 1024 * 1024
MAX_STREAM_GROUPS = 1_000
MAX_GROUP_KEYS = 10_000
MAX_RUN_SERIES = 1_000_000
MAX_BEATS = 1_000
INT64_MAX = 2**63 - 1

RUN_ID = re.compile(r"[0-9a-f]{32}")
EXPERIMENT_ID = re.compile(r"0|[1-9][0-9]{0,18}")
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{0,64}")

STARTING = (run_pb2.RUN_STATUS_UNSPECIFIED, run_pb2.RUN_STATUS_RUNNING, run_pb2.RUN_STATUS_SCHEDULED)
ENDED = (
    run_pb2.RUN_STATUS_UNSPECIFIED,
    run_pb2.RUN_STATUS_FINISHED,
    run_pb2.RUN_STATUS_FAILED,
    run_pb2.RUN_STATUS_KILLED,
)


class KeyValue(Protocol):
    """A param or a tag."""

    key: str
    value: str


class Checks:
    """Collects the violations of one request, and raises them together."""

    def __init__(self, request: Any = None) -> None:
        self.violations: list[Violation] = []
        if request is not None and "request_id" in request.DESCRIPTOR.fields_by_name:
            self.that(
                REQUEST_ID.fullmatch(request.request_id) is not None,
                "request_id",
                "must be at most 64 of A-Z a-z 0-9 - _",
            )

    def that(self, holds: bool, field: str, description: str) -> bool:
        """Notes a violation unless the rule holds; returns whether it does."""
        if not holds:
            self.violations.append(Violation(field, description))
        return holds

    def done(self) -> None:
        """Raises InvalidArgument if anything was noted."""
        if self.violations:
            raise InvalidArgument.of(self.violations)

    def run_id(self, value: str, field: str = "run_id") -> None:
        """A run id is 32 lower-case hex digits."""
        self.that(RUN_ID.fullmatch(value) is not None, field, "must be 32 lower-case hex digits")

    def experiment_id(self, value: str, field: str = "experiment_id") -> None:
        """An experiment id is a decimal int64."""
        good = EXPERIMENT_ID.fullmatch(value) is not None and int(value) <= INT64_MAX
        self.that(good, field, "must be a decimal number without leading zeros")

    def name(self, value: str, field: str = "name") -> None:
        """Names are 1 to 500 characters that can be shown."""
        if not self.that(len(value) <= MAX_NAME, field, f"must have at most {MAX_NAME} characters"):
            return
        self.that(bool(value.strip()), field, "must not be blank")
        self.that(not has_control(value), field, "must not have control characters")

    def key(self, value: str, field: str) -> None:
        """Keys are relative paths in their normal form, since clients may show them as folders."""
        if not self.that(value != "", field, "must not be empty"):
            return
        # What follows looks at each character; 4 MiB of them are not looked at.
        if not self.that(len(value) <= MAX_KEY, field, f"must have at most {MAX_KEY} characters"):
            return
        self.that(not has_control(value), field, "must not have control characters")
        self.that(
            not value.startswith("/")
            and value == posixpath.normpath(value)
            and value.split("/")[0] not in {".", ".."},
            field,
            "must be a relative path with no empty, '.' or '..' part",
        )

    def text(self, value: str, field: str, limit: int) -> None:
        """Texts may hold anything but NUL, which PostgreSQL can not store."""
        self.that(len(value) <= limit, field, f"must have at most {limit} characters")
        self.that("\0" not in value, field, "must not have NUL characters")

    def pairs(self, pairs: Sequence[KeyValue], field: str, most: int, longest: int) -> None:
        """Params or tags: few enough, each sound, no key twice."""
        if not self.that(len(pairs) <= most, field, f"must have at most {most} entries"):
            return
        seen: set[str] = set()
        for i, pair in enumerate(pairs):
            self.key(pair.key, f"{field}[{i}].key")
            self.text(pair.value, f"{field}[{i}].value", longest)
            self.that(pair.key not in seen, f"{field}[{i}].key", "must not be there twice")
            seen.add(pair.key)

    def time(self, message: Any, field: str, prefix: str = "") -> None:
        """An optional Timestamp from 1970 to 9999."""
        if message.HasField(field):
            value: Timestamp = getattr(message, field)
            good = 0 <= value.seconds <= 253402300799 and 0 <= value.nanos <= 999_999_999
            self.that(good, prefix + field, "must be a time from 1970 to 9999")

    def one_of(self, value: int, allowed: Collection[int], field: str, description: str) -> None:
        """An enum with some of its values."""
        self.that(value in allowed, field, description)

    def update_mask(self, mask: FieldMask, allowed: Collection[str]) -> None:
        """A mask that names at least one field that can be changed."""
        self.that(len(mask.paths) > 0, "update_mask", f"must name at least one of: {', '.join(allowed)}")
        self.paths(mask, allowed, "update_mask.paths", f"must be one of: {', '.join(allowed)}")

    def paths(self, mask: FieldMask, allowed: Collection[str], field: str, description: str) -> None:
        """The paths of a mask, each a field's name."""
        if self.that(len(mask.paths) <= MAX_PATHS, field, f"must have at most {MAX_PATHS} entries"):
            for i, path in enumerate(mask.paths):
                self.that(path in allowed, f"{field}[{i}]", description)

    def distinct(self, values: Sequence[str], field: str, least: int, most: int) -> bool:
        """A list with bounds on its length and nothing twice."""
        sized = self.that(least <= len(values) <= most, field, f"must have {least} to {most} entries")
        return self.that(len(set(values)) == len(values), field, "must not name anything twice") and sized

    def keys(self, values: Sequence[str], field: str, most: int) -> None:
        """Keys to look up; each must be one that could be there."""
        if self.distinct(values, field, 0, most):
            for i, value in enumerate(values):
                self.key(value, f"{field}[{i}]")

    def run_mask(self, mask: run_pb2.RunMask) -> None:
        """The parts of a run to return."""
        allowed = run_pb2.Run.DESCRIPTOR.fields_by_name
        self.paths(mask.fields, allowed, "mask.fields.paths", "must be a field of Run")
        self.keys(mask.metric_keys, "mask.metric_keys", MAX_KEYS_READ)
        self.keys(mask.param_keys, "mask.param_keys", MAX_KEYS_READ)
        self.keys(mask.tag_keys, "mask.tag_keys", MAX_KEYS_READ)

    def page(self, request: Any) -> None:
        """page_size; tokens and filters are checked where they are read."""
        self.that(request.page_size >= 0, "page_size", "must not be negative")
        self.one_of(request.view, (0, 1, 2, 3), "view", "must be a LifecycleView")
        self.that(
            len(request.order_by) <= MAX_ORDER_KEYS, "order_by", f"must have at most {MAX_ORDER_KEYS} entries"
        )


def has_control(text: str) -> bool:
    """Tells whether a text has characters that can not be shown: controls and line separators."""
    return not text.isprintable() and any(unicodedata.category(c) in {"Cc", "Zl", "Zp"} for c in text)


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


def limits() -> server_pb2.Limits:
    """Returns the limits in force, for GetServerInfo."""
    return server_pb2.Limits(
        max_message_bytes=MAX_MESSAGE_BYTES,
        max_batch_points=MAX_BATCH_POINTS,
        max_batch_params=MAX_BATCH_PARAMS,
        max_batch_tags=MAX_BATCH_TAGS,
        max_key_length=MAX_KEY,
        max_param_value_length=MAX_PARAM_VALUE,
        max_run_tag_value_length=MAX_RUN_TAG_VALUE,
        max_experiment_tag_value_length=MAX_EXPERIMENT_TAG_VALUE,
        max_name_length=MAX_NAME,
        max_page_size=MAX_PAGE_SIZE,
        max_filter_bytes=MAX_FILTER_BYTES,
        max_frame_bytes=MAX_FRAME_BYTES,
        max_stream_bytes=MAX_STREAM_BYTES,
        max_group_keys=MAX_GROUP_KEYS,
        max_stream_groups=MAX_STREAM_GROUPS,
        max_run_series=MAX_RUN_SERIES,
    )
