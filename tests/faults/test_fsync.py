"""An acknowledged write is on disk: the log was synced between the request's arrival and the reply."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import asyncpg
import grpc
import pytest
import sqlalchemy as sa
from tests.faults import strace
from tests.faults.environments import environment_of
from tests.support import frames
from tests.support.messages import column, tags_of
from tests.support.postgres import Postgres
from tests.support.server import ServerProcess

from runwire.v1 import experiment_pb2, experiment_pb2_grpc, run_pb2, run_pb2_grpc
from runwire_server.storage.postgresql import PostgresEngine

RUN_ID = "0198c0ffee00700080000000000000ff"


def traced(folder: Path, environment: dict[str, str] | None = None) -> tuple[int, list[int]]:
    """Makes calls one after the other to a server under strace.

    Returns:
        How many calls were made, and the numbers of those that were answered without a sync.
    """
    assert shutil.which("strace"), "strace is not installed"
    trace = folder / "trace"
    server = ServerProcess(
        folder / "data", prefix=(*strace.COMMAND, str(trace)), environment=environment or {}
    )
    with server, grpc.insecure_channel(server.address) as channel:
        count = mutate(channel)
        server.stop()
    answers = strace.answers(trace)
    assert len(answers) == count
    return count, careless(trace, answers)


def careless(trace: Path, answers: list[strace.Answer]) -> list[int]:
    """Returns the numbers of the answers that came without a sync."""
    synced = strace.syncs(trace, "runwire.db-wal")
    return [
        number
        for number, answer in enumerate(answers)
        if not any(answer.arrived < sync.began <= sync.ended < answer.replied for sync in synced)
    ]


def traced_frames(folder: Path, environment: dict[str, str] | None = None) -> tuple[int, list[int]]:
    """Streams frames one after the other to a server under strace; returns as `traced` does."""
    trace, cutter = folder / "trace", frames.Cutter()
    server = ServerProcess(folder / "data", prefix=(*strace.COMMAND, str(trace)), environment=environment)
    with server, grpc.insecure_channel(server.address) as channel:
        with frames.FrameStream(channel, cutter.writer_id) as stream:
            stream.deliver(cutter.cut(frames.begin(RUN_ID)))
            for step in range(10):
                block = frames.block(["a"], [1.0], times=[1], first=step)
                stream.deliver(cutter.cut(frames.batch(RUN_ID, block)))
            stream.half_close()
        server.stop()
    answers = strace.exchanges(trace)
    # The first one is the welcome.
    assert len(answers) == 12
    return 12, careless(trace, answers)


def mutate(channel: grpc.Channel) -> int:
    """Makes every kind of write; returns how many."""
    runs = run_pb2_grpc.RunServiceStub(channel)
    experiments = experiment_pb2_grpc.ExperimentServiceStub(channel)
    tags = tags_of({"t": "1"})
    entry = run_pb2.DatasetInput(dataset=run_pb2.Dataset(name="d", digest="1"))
    calls = [
        (experiments.CreateExperiment, experiment_pb2.CreateExperimentRequest(name="wine")),
        (
            experiments.SetExperimentTags,
            experiment_pb2.SetExperimentTagsRequest(experiment_id="0", tags=tags),
        ),
        (runs.CreateRun, run_pb2.CreateRunRequest(experiment_id="0", run_id=RUN_ID)),
        *(
            (runs.LogBatch, run_pb2.LogBatchRequest(run_id=RUN_ID, blocks=[column("a", (step, 1.0))]))
            for step in range(10)
        ),
        (runs.LogBatch, run_pb2.LogBatchRequest(run_id=RUN_ID, request_id="nothing-but-an-id")),
        (runs.SetRunTags, run_pb2.SetRunTagsRequest(run_id=RUN_ID, tags=tags)),
        (runs.LogInputs, run_pb2.LogInputsRequest(run_id=RUN_ID, inputs=[entry])),
        (runs.FinishRun, run_pb2.FinishRunRequest(run_id=RUN_ID)),
        (runs.DeleteRun, run_pb2.DeleteRunRequest(run_id=RUN_ID)),
    ]
    for method, request in calls:
        method(request, wait_for_ready=True, timeout=120)
    return len(calls)


def test_every_answered_write_was_synced(tmp_path: Path) -> None:
    assert traced(tmp_path) == (18, [])


def test_every_acknowledged_frame_was_synced(tmp_path: Path) -> None:
    assert traced_frames(tmp_path) == (12, [])


def test_a_server_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    """A test of the test."""
    count, unsynced = traced(tmp_path, environment_of("no_fsync"))
    assert len(unsynced) == count


async def test_postgresql_waits_for_its_disk_whatever_its_default(postgres: Postgres) -> None:
    url = await postgres.create_database()
    connection = await asyncpg.connect(url)
    try:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    finally:
        await connection.close()
    engine = await PostgresEngine.open(url)
    try:
        settings = await asyncio.gather(
            *(engine.write(lambda c: c.scalar(sa.text("SHOW synchronous_commit"))) for _ in range(4))
        )
        assert settings == ["on"] * 4
    finally:
        await engine.close()


@pytest.mark.parametrize("text", ["", "not a trace\n"])
def test_an_empty_trace_has_no_answers(tmp_path: Path, text: str) -> None:
    trace = tmp_path / "trace"
    trace.write_text(text)
    assert strace.answers(trace) == []
