"""Writes the dump of a small database with today's schema; see `databases/README.md`."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import tempfile
from pathlib import Path

from runwire.v1 import block_pb2, experiment_pb2, run_pb2
from runwire_server.app import working
from runwire_server.domain import batches, packed
from runwire_server.storage.base import Stores
from runwire_server.storage.stores import open_engine

RUN = "01900000000070008000000000000001"
NOW = 1_700_000_000_000


async def fill(path: Path) -> None:
    """Writes one experiment with one run that has a bit of everything."""
    engine = await open_engine(path)
    async with working(engine, lambda: NOW, random.Random(1)) as metrics:
        await _fill(metrics.stores)
    await engine.close()


async def _fill(stores: Stores) -> None:
    await stores.experiments.create(experiment_pb2.CreateExperimentRequest(name="wine"))
    created = run_pb2.CreateRunRequest(experiment_id="1", run_id=RUN, name="first")
    created.params.add(key="alpha", value="0.1")
    created.tags.add(key="team", value="blue")
    await stores.runs.create(created)
    inputs = run_pb2.LogInputsRequest(run_id=RUN)
    inputs.inputs.add(context="training", dataset=run_pb2.Dataset(name="wine", digest="d1"))
    await stores.runs.log_inputs(inputs)
    axis = block_pb2.StepRange(first=0, stride=1)
    loss = block_pb2.Block(
        keys=["loss"], range=axis, timestamps_ms=[NOW, NOW + 1, NOW + 5], values=[1, 0.5, 0.25]
    )
    nan = block_pb2.Block.FromString(
        block_pb2.Block(keys=["odd"], range=axis, timestamps_ms=[NOW]).SerializeToString()
        + b"\x32\x08\x01\x00\x00\x00\x00\x00\xf8\x7f"
    )
    wide = block_pb2.Block(
        keys=[f"layer{i}" for i in range(12)],
        range=axis,
        timestamps_ms=[NOW],
        values=[float(i) for i in range(12)],
    )
    for blocks in ([loss, nan], [wide]):
        data = run_pb2.LogBatchRequest(
            run_id=RUN, blocks=blocks, request_id=f"r{len(blocks)}"
        ).SerializeToString()
        request = packed.message_class("LogBatchRequest").FromString(data)
        await stores.runs.log_batch(request, batches.log_batch(request))


def main() -> None:
    """Entry point."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runwire.db"
        asyncio.run(fill(path))
        with sqlite3.connect(path) as raw:
            dump = "\n".join(raw.iterdump())
    (Path(__file__).parent / "databases" / sys.argv[1]).write_text(dump + "\n")


if __name__ == "__main__":
    main()
