"""Short ways to say what the tests send, and to read what they get."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from runwire.v1 import block_pb2, experiment_pb2, metric_pb2, run_pb2
from runwire_server.domain import batches, packed
from runwire_server.storage.base import Stores

_PackedBatch = packed.message_class("LogBatchRequest")

QUIET_NAN = float("nan")
# A NaN that carries bits of its own.
ODD_NAN: float = struct.unpack("<d", bytes.fromhex("0123456789abf87f"))[0]


class Point(NamedTuple):
    """A metric point whose value is its 8 bytes: two NaN are equal when their bits are, 0.0 is not -0.0."""

    step: int
    time: int
    bits: bytes


def bits(value: float) -> bytes:
    """Returns a double's 8 bytes."""
    return struct.pack("<d", value)


def point(step: int, value: float, time: int | None = None) -> Point:
    """Makes a point as `column` does: at 1,000 ms plus the step, unless told otherwise."""
    return Point(step, 1_000 + abs(step) if time is None else time, bits(value))


def block(
    keys: Sequence[str],
    rows: Sequence[tuple[int, Sequence[float]]],
    times: Sequence[int] | None = None,
    group: bytes = b"",
) -> block_pb2.Block:
    """Makes a block of rows (step, values)."""
    return block_pb2.Block(
        keys=() if group else keys,
        group=group,
        steps=block_pb2.StepList(steps=[step for step, _ in rows]),
        timestamps_ms=[1_000 + abs(step) for step, _ in rows] if times is None else times,
        values=[value for _, values in rows for value in values],
    )


def column(key: str, *points: tuple[int, float], times: Sequence[int] | None = None) -> block_pb2.Block:
    """Makes a block of one key."""
    return block([key], [(step, [value]) for step, value in points], times)


def timestamp(milliseconds: int) -> Timestamp:
    """Makes a Timestamp."""
    message = Timestamp()
    message.FromMilliseconds(milliseconds)
    return message


def params_of(values: Mapping[str, str]) -> list[run_pb2.Param]:
    """Makes params."""
    return [run_pb2.Param(key=key, value=value) for key, value in values.items()]


def tags_of(values: Mapping[str, str]) -> list[experiment_pb2.Tag]:
    """Makes tags."""
    return [experiment_pb2.Tag(key=key, value=value) for key, value in values.items()]


def as_dict(pairs: Any) -> dict[str, str]:
    """Reads params or tags, in the order they came in."""
    return {pair.key: pair.value for pair in pairs}


async def new_experiment(stores: Stores, name: str, **fields: Any) -> str:
    """Creates an experiment and returns its id."""
    request = experiment_pb2.CreateExperimentRequest(name=name, **fields)
    return (await stores.experiments.create(request)).experiment.experiment_id


async def new_run(stores: Stores, experiment_id: str = "0", **fields: Any) -> run_pb2.Run:
    """Creates a run."""
    request = run_pb2.CreateRunRequest(experiment_id=experiment_id, **fields)
    return (await stores.runs.create(request)).run


async def get_run(stores: Stores, run_id: str, **fields: Any) -> run_pb2.Run:
    """Reads a run."""
    return (await stores.runs.get(run_pb2.GetRunRequest(run_id=run_id, **fields))).run


async def get_experiment(stores: Stores, experiment_id: str) -> experiment_pb2.Experiment:
    """Reads an experiment."""
    request = experiment_pb2.GetExperimentRequest(experiment_id=experiment_id)
    return (await stores.experiments.get(request)).experiment


async def delete_run(stores: Stores, run_id: str) -> None:
    """Deletes a run."""
    await stores.runs.delete(run_pb2.DeleteRunRequest(run_id=run_id))


async def delete_experiment(stores: Stores, experiment_id: str) -> None:
    """Deletes an experiment."""
    await stores.experiments.delete(experiment_pb2.DeleteExperimentRequest(experiment_id=experiment_id))


async def log(
    stores: Stores,
    run_id: str,
    *blocks: block_pb2.Block,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    request_id: str = "",
) -> run_pb2.LogBatchResponse:
    """Logs a batch; the blocks take the way that they take in the server, from wire bytes to arrays."""
    request = run_pb2.LogBatchRequest(
        run_id=run_id,
        blocks=blocks,
        params=params_of(params or {}),
        tags=tags_of(tags or {}),
        request_id=request_id,
    )
    read = _PackedBatch.FromString(request.SerializeToString())
    return await stores.runs.log_batch(read, batches.log_batch(read))


async def history(stores: Stores, *run_ids: str, **fields: Any) -> dict[str, dict[str, list[Point]]]:
    """Reads points by run and key, in the order they came in."""
    found: dict[str, dict[str, list[Point]]] = defaultdict(lambda: defaultdict(list))
    request = metric_pb2.GetMetricHistoryRequest(run_ids=run_ids, **fields)
    async for message in stores.metrics.history(request):
        # The server's own class has bytes where the public one has numbers.
        public = metric_pb2.GetMetricHistoryResponse.FromString(message.SerializeToString())
        for entry in public.blocks:
            for key, points in points_of(entry.block).items():
                found[entry.run_id][key] += points
    return {run: dict(keys) for run, keys in found.items()}


def points_of(sent: block_pb2.Block) -> dict[str, list[Point]]:
    """Reads a block's points by key."""
    width = len(sent.keys)
    return {
        key: [
            Point(step, time, bits(sent.values[s * width + k]))
            for s, (step, time) in enumerate(zip(sent.steps.steps, sent.timestamps_ms, strict=True))
        ]
        for k, key in enumerate(sent.keys)
    }


async def find(stores: Stores, *experiment_ids: str, page_size: int = 0, **fields: Any) -> list[str]:
    """Searches runs through all pages, and returns their ids."""
    request = run_pb2.SearchRunsRequest(experiment_ids=experiment_ids, page_size=page_size, **fields)
    found: list[str] = []
    while True:
        page = await stores.runs.search(request)
        found += [run.run_id for run in page.runs]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
