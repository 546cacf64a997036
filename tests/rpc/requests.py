"""A sound request for every method, made from the descriptors where that is possible."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from tests.rpc.asking import Api, column, fresh

from runwire.v1 import block_pb2
from runwire.v1 import experiment_pb2 as experiments
from runwire.v1 import frame_pb2 as frames
from runwire.v1 import metric_pb2 as metrics
from runwire.v1 import run_pb2 as runs
from runwire.v1 import server_pb2 as server

_TYPE = FieldDescriptorProto


def sound_requests(experiment_id: str, run_id: str) -> dict[str, Message]:
    """Returns a request for each method that works on an experiment and a run of it.

    Each can be sent once, in this order: what a request needs, one before it makes.
    """
    tag = experiments.Tag(key="tag", value="value")
    mask = runs.RunMask(metric_keys=["metric"], param_keys=["param"], tag_keys=["tag"])
    mask.fields.paths.extend(["metrics", "params", "tags", "inputs", "name"])
    dataset = runs.Dataset(
        name="wine", digest="ab12", source_type="s3", source="s3://b", schema="{}", profile="{}"
    )
    made: list[Message] = [
        experiments.CreateExperimentRequest(name=fresh("sound"), tags=[tag]),
        experiments.GetExperimentRequest(experiment_id=experiment_id),
        experiments.SearchExperimentsRequest(filter="name LIKE 'a%'", order_by=["name DESC"], page_size=3),
        experiments.UpdateExperimentRequest(
            experiment_id=experiment_id, name=fresh("renamed"), update_mask={"paths": ["name"]}
        ),
        experiments.DeleteExperimentRequest(experiment_id=experiment_id),
        experiments.RestoreExperimentRequest(experiment_id=experiment_id),
        experiments.SetExperimentTagsRequest(experiment_id=experiment_id, tags=[tag]),
        experiments.DeleteExperimentTagRequest(experiment_id=experiment_id, key="tag"),
        runs.CreateRunRequest(
            experiment_id=experiment_id,
            name="a run",
            start_time={"seconds": 5, "nanos": 1_000_000},
            parent_run_id=run_id,
            status=runs.RUN_STATUS_SCHEDULED,
            params=[runs.Param(key="param", value="value")],
            tags=[tag],
        ),
        runs.GetRunRequest(run_id=run_id, mask=mask),
        runs.SearchRunsRequest(
            experiment_ids=[experiment_id],
            filter="metrics.metric > 0.5 AND params.param = 'value'",
            order_by=["metrics.metric DESC"],
            view=experiments.LIFECYCLE_VIEW_ALL,
            page_size=2,
            mask=mask,
        ),
        runs.UpdateRunRequest(
            run_id=run_id, name="renamed", status=4, update_mask={"paths": ["name", "status"]}
        ),
        runs.FinishRunRequest(run_id=run_id, status=runs.RUN_STATUS_FAILED, end_time={"seconds": 9}),
        runs.DeleteRunRequest(run_id=run_id),
        runs.RestoreRunRequest(run_id=run_id),
        runs.LogBatchRequest(
            run_id=run_id,
            blocks=[column("metric", [1.0, 2.0]), row({f"wide {k}": float(k) for k in range(9)})],
            params=[runs.Param(key="param", value="value")],
            tags=[tag],
        ),
        runs.SetRunTagsRequest(run_id=run_id, tags=[tag]),
        runs.DeleteRunTagRequest(run_id=run_id, key="tag"),
        runs.LogInputsRequest(run_id=run_id, inputs=[runs.DatasetInput(dataset=dataset, context="training")]),
        metrics.GetMetricHistoryRequest(run_ids=[run_id], keys=["metric"], min_step=0, max_step=5),
        metrics.WatchMetricsRequest(run_ids=[run_id], keys=["metric"], from_start=True),
        metrics.StreamFramesRequest(hello={"writer_id": uuid.uuid4().hex}),
        metrics.AppendFramesRequest(
            hello={"writer_id": uuid.uuid4().hex},
            groups=[{"hash": group_of(WIDE), "keys": WIDE}],
            frames=[{"sequence": 1, "payload": framed(run_id)}],
            confirmed_through=1,
        ),
        metrics.HeartbeatRequest(run_ids=[run_id]),
        metrics.GetMetricCurveRequest(series=[{"run_id": run_id, "key": "metric"}], max_points=10),
        server.GetStorageStatsRequest(),
        server.GetServerInfoRequest(),
        # Old enough to spare what other tests have deleted.
        server.PurgeRequest(older_than=Duration(seconds=86_400)),
    ]
    return {request.DESCRIPTOR.name.removesuffix("Request"): request for request in made}


WIDE = [f"wide {k}" for k in range(9)]


def framed(run_id: str) -> bytes:
    """Returns the payload of a frame for a run."""
    blocks = [column("metric", [1.0]), row(dict.fromkeys(WIDE, 1.0))]
    batch = runs.LogBatchRequest(run_id=run_id, blocks=blocks)
    return frames.FramePayload(records=[frames.Record(batch=batch)]).SerializeToString()


def row(values: dict[str, float], step: int = 0, time: int = 1_000) -> block_pb2.Block:
    """Makes a block of one step."""
    return block_pb2.Block(
        keys=list(values), steps={"steps": [step]}, timestamps_ms=[time], values=list(values.values())
    )


def group_of(keys: list[str]) -> bytes:
    """Names a group of keys by its contents, as the API says."""
    return hashlib.sha256(b"".join(key.encode() + b"\0" for key in keys)).digest()[:16]


def encoded(number: int, content: bytes) -> bytes:
    """Encodes a length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    digits = []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def text_fields(descriptor: Any) -> Iterator[tuple[str, bytes]]:
    """Yields each text field of a message, at any depth, with bytes in which it is not UTF-8."""
    message = DescriptorProto()
    descriptor.CopyToProto(message)
    for field in message.field:
        path = field.name + ("[0]" if field.label == _TYPE.LABEL_REPEATED else "")
        if field.type == _TYPE.TYPE_STRING:
            yield path, encoded(field.number, b"a\xc3(z")
        elif field.type == _TYPE.TYPE_MESSAGE:
            inner = descriptor.fields_by_name[field.name].message_type
            for rest, data in text_fields(inner):
                yield f"{path}.{rest}", encoded(field.number, data)


def prepared(api: Api) -> tuple[str, str]:
    """Returns the ids of an experiment and a run of it, for `sound_requests`."""
    experiment_id = api.new_experiment()
    return experiment_id, api.new_run(experiment_id)
