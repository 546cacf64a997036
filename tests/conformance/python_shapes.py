"""Between the JSON of the cases and what the Python client takes and gives."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from runwire import Dataset, DatasetInput, Experiment, MetricHistory, Run
from runwire.curves import MetricCurve
from runwire.entities import MetricSummary, ServerInfo, StorageStats


def double(text: str) -> float:
    """Reads a double from the hex digits of its bits."""
    return float(struct.unpack(">d", bytes.fromhex(text))[0])


def bits(value: float | None) -> str | None:
    """Writes a double."""
    return None if value is None else struct.pack(">d", value).hex()


def whole(value: int | None) -> str | None:
    """Writes an int64."""
    return None if value is None else str(value)


def wholes(values: Iterable[int]) -> list[str]:
    """Writes a column of int64."""
    return [str(int(value)) for value in values]


def doubles(values: Any) -> list[str]:
    """Writes a column of doubles: bit by bit also where Python's own floats would quiet a NaN."""
    data = bytes(values.tobytes())
    return [data[at : at + 8][::-1].hex() for at in range(0, len(data), 8)]


def experiment(found: Experiment) -> dict[str, Any]:
    """Writes an experiment."""
    return {
        "experiment_id": found.experiment_id,
        "name": found.name,
        "lifecycle_stage": found.lifecycle_stage,
        "create_time": whole(found.creation_time),
        "update_time": whole(found.last_update_time),
        "tags": found.tags,
    }


def summary(found: MetricSummary) -> dict[str, Any]:
    """Writes what a run keeps of a metric."""
    return {
        "value": bits(found.value),
        "first": bits(found.first),
        "min": bits(found.min),
        "max": bits(found.max),
        "step": whole(found.step),
        "first_step": whole(found.first_step),
        "min_step": whole(found.min_step),
        "max_step": whole(found.max_step),
        "timestamp": whole(found.timestamp),
        "first_timestamp": whole(found.first_timestamp),
        "count": whole(found.count),
        "nan_count": whole(found.nan_count),
    }


def run(found: Run) -> dict[str, Any]:
    """Writes a run."""
    info = found.info
    return {
        "run_id": info.run_id,
        "experiment_id": info.experiment_id,
        "name": info.run_name,
        "status": info.status,
        "start_time": whole(info.start_time),
        "end_time": whole(info.end_time),
        "lifecycle_stage": info.lifecycle_stage,
        "parent_run_id": info.parent_run_id,
        "params": found.data.params,
        "tags": found.data.tags,
        "metrics": {key: summary(one) for key, one in found.data.metric_summaries.items()},
        "inputs": [dataset_json(one) for one in found.inputs.dataset_inputs],
    }


def dataset_json(found: DatasetInput) -> dict[str, str]:
    """Writes a data set in its role."""
    it = found.dataset
    return {
        "name": it.name,
        "digest": it.digest,
        "source_type": it.source_type,
        "source": it.source,
        "schema": it.schema,
        "profile": it.profile,
        "context": found.context,
    }


def dataset(given: dict[str, str]) -> DatasetInput:
    """Reads a data set in its role."""
    rest = dict(given)
    context = rest.pop("context", None)
    return DatasetInput(Dataset(**rest)) if context is None else DatasetInput(Dataset(**rest), context)


def series(found: MetricHistory) -> dict[str, Any]:
    """Writes a history."""
    return {
        "run_id": found.run_id,
        "key": found.key,
        "steps": wholes(found.steps),
        "timestamps": wholes(found.timestamps),
        "values": doubles(found.values),
    }


def curve(found: MetricCurve) -> dict[str, Any]:
    """Writes a curve."""
    return {
        "run_id": found.run_id,
        "key": found.key,
        "axis": found.axis,
        "points": whole(found.points),
        **{
            name: wholes(getattr(found, name))
            for name in ("first_x", "last_x", "min_x", "max_x", "count", "nan_count")
        },
        **{name: doubles(getattr(found, name)) for name in ("first", "last", "min", "max")},
    }


def server_info(found: ServerInfo) -> dict[str, Any]:
    """Writes what a server is."""
    return {
        "version": found.version,
        "api_version": found.api_version,
        "database": found.database,
        "features": list(found.features),
        "limits": {name: whole(value) for name, value in found.limits.items()},
    }


def storage_stats(found: StorageStats) -> dict[str, Any]:
    """Writes what points take on disk."""
    return {
        "parts": [
            {
                "name": part.name,
                "rows": whole(part.rows),
                "points": whole(part.points),
                "bytes": whole(part.bytes),
            }
            for part in found.parts
        ],
        "points": whole(found.points),
        "backlog_bytes": whole(found.backlog_bytes),
        "database_bytes": whole(found.database_bytes),
        "wal_bytes": whole(found.wal_bytes),
    }
