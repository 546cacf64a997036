"""From messages to entities."""

from __future__ import annotations

import array
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from runwire import entities
from runwire.v1 import block_pb2, experiment_pb2, frame_pb2, metric_pb2, run_pb2, server_pb2

_STAGES: Final = {
    experiment_pb2.LIFECYCLE_STAGE_ACTIVE: "active",
    experiment_pb2.LIFECYCLE_STAGE_DELETED: "deleted",
}
_STATUS_PREFIX: Final = "RUN_STATUS_"


def milliseconds(message: Any, field: str) -> int | None:
    """Reads a Timestamp field as unix milliseconds; None if it is absent."""
    if not message.HasField(field):
        return None
    time: Timestamp = getattr(message, field)
    return time.seconds * 1000 + time.nanos // 1_000_000


def timestamp(time: int) -> Timestamp:
    """Makes a Timestamp of unix milliseconds."""
    seconds, rest = divmod(time, 1000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000_000)


def status_number(status: str) -> run_pb2.RunStatus.ValueType:
    """Finds a run status by its name.

    Args:
        status: Such as `FINISHED`; `RunStatus` members are names too.

    Returns:
        Its number.

    Raises:
        ValueError: There is no such status.
    """
    try:
        return run_pb2.RunStatus.Value(_STATUS_PREFIX + entities.RunStatus(status))
    except ValueError:
        names = ", ".join(entities.RunStatus)
        raise ValueError(f"status must be one of {names}, and is {status!r}") from None


def _status_name(number: int) -> str:
    """Names a status; one that is newer than this client is its number."""
    value = run_pb2.RunStatus.DESCRIPTOR.values_by_number.get(number)
    return value.name.removeprefix(_STATUS_PREFIX) if value else str(number)


def unknown_run(run_id: str, status: str) -> entities.Run:
    """Makes a run of which no server was asked."""
    info = entities.RunInfo(
        run_id=run_id,
        experiment_id="",
        run_name="",
        status=status,
        start_time=None,
        end_time=None,
        lifecycle_stage="active",
        parent_run_id=None,
    )
    return entities.Run(info)


def begun_run(message: frame_pb2.BeginRun) -> entities.Run:
    """Makes a run of what begins it."""
    run = message.run
    info = entities.RunInfo(
        run_id=run.run_id,
        experiment_id=run.experiment_id,
        run_name=run.name,
        status="RUNNING",
        start_time=milliseconds(run, "start_time"),
        end_time=None,
        lifecycle_stage="active",
        parent_run_id=run.parent_run_id or None,
    )
    data = entities.RunData(
        params={param.key: param.value for param in run.params}, tags={tag.key: tag.value for tag in run.tags}
    )
    return entities.Run(info, data)


def experiment(message: experiment_pb2.Experiment) -> entities.Experiment:
    """Converts an experiment."""
    return entities.Experiment(
        experiment_id=message.experiment_id,
        name=message.name,
        lifecycle_stage=_STAGES.get(message.lifecycle_stage, ""),
        creation_time=milliseconds(message, "create_time"),
        last_update_time=milliseconds(message, "update_time"),
        tags={tag.key: tag.value for tag in message.tags},
    )


def _summary(message: block_pb2.MetricSummary) -> entities.MetricSummary:
    return entities.MetricSummary(
        key=message.key,
        value=message.value,
        step=message.step,
        timestamp=message.timestamp_ms,
        count=message.count,
        nan_count=message.nan_count,
        min=message.min_value if message.HasField("min_value") else None,
        min_step=message.min_step if message.HasField("min_step") else None,
        max=message.max_value if message.HasField("max_value") else None,
        max_step=message.max_step if message.HasField("max_step") else None,
        first=message.first_value,
        first_step=message.first_step,
        first_timestamp=message.first_timestamp_ms,
    )


def _input(message: run_pb2.DatasetInput) -> entities.DatasetInput:
    it = message.dataset
    dataset = entities.Dataset(it.name, it.digest, it.source_type, it.source, it.schema, it.profile)
    return entities.DatasetInput(dataset, message.context)


def run(message: run_pb2.Run) -> entities.Run:
    """Converts a run."""
    summaries = {metric.key: _summary(metric) for metric in message.metrics}
    return entities.Run(
        info=entities.RunInfo(
            run_id=message.run_id,
            experiment_id=message.experiment_id,
            run_name=message.name,
            status=_status_name(message.status),
            start_time=milliseconds(message, "start_time"),
            end_time=milliseconds(message, "end_time"),
            lifecycle_stage=_STAGES.get(message.lifecycle_stage, ""),
            parent_run_id=message.parent_run_id or None,
        ),
        data=entities.RunData(
            metrics={key: summary.value for key, summary in summaries.items()},
            params={param.key: param.value for param in message.params},
            tags={tag.key: tag.value for tag in message.tags},
            metric_summaries=summaries,
        ),
        inputs=entities.RunInputs([_input(one) for one in message.inputs]),
    )


def server_info(message: server_pb2.GetServerInfoResponse) -> entities.ServerInfo:
    """Converts what a server says of itself."""
    names = [field.name for field in message.limits.DESCRIPTOR.fields]
    return entities.ServerInfo(
        version=message.version,
        api_version=message.api_version,
        database=message.database,
        features=tuple(message.features),
        limits={name: getattr(message.limits, name) for name in names},
    )


class _Columns:
    """The three columns of a series, growing block by block."""

    def __init__(self) -> None:
        self.steps = array.array("q")
        self.times = array.array("q")
        self.values = array.array("d")

    def history(self, run_id: str, key: str) -> entities.MetricHistory:
        columns = as_numpy((self.steps, self.times, self.values))
        return entities.MetricHistory(run_id, key, *columns)


def empty_history(run_id: str, key: str) -> entities.MetricHistory:
    """Makes the history of a series without points."""
    return _Columns().history(run_id, key)


def as_numpy(columns: Sequence[array.array[Any]]) -> list[Any]:
    """Turns columns into numpy arrays that share their memory, where numpy is installed."""
    try:
        import numpy  # Optional: the client itself does without.
    except ImportError:
        return list(columns)
    # frombuffer shares the memory and keeps every bit.
    return [numpy.frombuffer(column, dtype=f"{column.typecode}") for column in columns]


def steps(block: block_pb2.Block) -> array.array[int]:
    """Lists the steps of a block."""
    if block.WhichOneof("axis") == "steps":
        return packed("q", block_pb2.StepList(), "steps", block.steps)
    count, first, stride = len(block.timestamps_ms), block.range.first, block.range.stride
    return array.array("q", [first + i * stride for i in range(count)])


def times(block: block_pb2.Block) -> array.array[int]:
    """Lists the times of a block, unix ms."""
    return packed("q", block_pb2.Block(), "timestamps_ms", block)


def values(block: block_pb2.Block) -> array.array[float]:
    """Lists the values of a block, step after step."""
    return packed("d", block_pb2.Block(), "values", block)


def packed(typecode: str, empty: Any, name: str, message: Any) -> array.array[Any]:
    """Reads a packed field at once, as the bytes that it is on the wire, not number by number.

    Args:
        typecode: `q` for sfixed64, `d` for double.
        empty: A new message of the same class, which is filled.
        name: The field.
        message: The message.

    Returns:
        The numbers, bit for bit.
    """
    field = getattr(message, name)
    getattr(empty, name).MergeFrom(field)
    found = array.array(typecode)
    # The only field, so its numbers are the end of the message.
    found.frombytes(empty.SerializeToString()[-8 * len(field) :] if field else b"")
    if sys.byteorder == "big":
        found.byteswap()
    return found


def histories(
    run_ids: Iterable[str], responses: Iterable[metric_pb2.GetMetricHistoryResponse]
) -> dict[str, dict[str, entities.MetricHistory]]:
    """Puts streamed blocks together.

    Args:
        run_ids: The runs that were asked for; each is in the result.
        responses: The stream.

    Returns:
        For each run and key the history.
    """
    found: dict[str, dict[str, _Columns]] = {run_id: {} for run_id in run_ids}
    for response in responses:
        for part in response.blocks:
            block, width = part.block, len(part.block.keys)
            own_steps, own_times, own_values = steps(block), times(block), values(block)
            for index, key in enumerate(block.keys):
                columns = found.setdefault(part.run_id, {}).setdefault(key, _Columns())
                columns.steps.extend(own_steps)
                columns.times.extend(own_times)
                columns.values.extend(own_values[index::width])
    return {
        run_id: {key: columns.history(run_id, key) for key, columns in series.items()}
        for run_id, series in found.items()
    }
