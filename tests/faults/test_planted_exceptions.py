"""Frames on which the server itself fails: their own records alone are lost, and no writer is stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tests.faults.environments import environment_of
from tests.rpc.asking import Api, failure_of
from tests.rpc.streaming import Writer, counts, points, writing
from tests.support.frames import Frame, begin, finish, new_id, record
from tests.support.server import ServerProcess

from runwire.v1 import metric_pb2, run_pb2
from runwire_server.metrics.suspects import TRIES

# So often may one frame end its writer's stream.
MOST_ENDS = TRIES + 1


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server with the bug, on each database."""
    arguments = []
    if request.param == "postgresql":
        arguments = ["--database", asyncio.run(request.getfixturevalue("postgres").create_database())]
    folder: Path = tmp_path_factory.mktemp("server") / "data"
    with (
        ServerProcess(folder, *arguments, environment=environment_of("exceptions")) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        yield Api(channel)


def tag(run_id: str, key: str) -> bytes:
    """A record that sets a tag."""
    return record(batch={"run_id": run_id, "tags": [{"key": key, "value": "1"}]})


def persist(writer: Writer, frames: list[Frame]) -> int:
    """Delivers frames as a client does, and returns how often the stream was ended by the server."""
    for ends in range(MOST_ENDS + 1):
        try:
            done = writer.stream.acked
            writer.stream.deliver(*frames[done - frames[0].sequence + 1 :])
            return ends
        except grpc.RpcError as error:
            failure = failure_of(error)
            assert failure.reason == "INTERNAL", failure
            writer.reopen(acked_sequence=writer.stream.acked, acked_crc=writer.stream.crc)
    raise AssertionError("the writer is stuck")


@pytest.mark.parametrize(
    ("place", "ends", "rejected", "kept"),
    [
        ("record", 0, 1, 21),
        ("change", TRIES, 1, 21),
        ("append", MOST_ENDS, 4, 20),
        ("read", TRIES, 1, 20),
    ],
)
def test_its_records_alone_are_lost(api: Api, place: str, ends: int, rejected: int, kept: int) -> None:
    run_id, name = new_id(), f"planted: {place}"
    with writing(api) as writer, writing(api) as innocent:
        writer.sends(begin(run_id))
        other = innocent.begins()
        guilty = points(run_id, 9.0, key=name) if place == "append" else tag(run_id, name)
        before = [writer.frame(points(run_id, 1.0, first=i)) for i in range(10)]
        mixed = writer.frame(points(run_id, 1.0, first=10), guilty, tag(run_id, "a"), tag(run_id, "b"))
        behind = [writer.frame(points(run_id, 1.0, first=i)) for i in range(11, 21)]
        innocent.stream.send(*[innocent.frame(points(other, 1.0, first=i)) for i in range(50)])
        assert persist(writer, [*before, mixed, *behind]) == ends
        # Nobody else's stream was ended.
        innocent.stream.wait(51)
        (kept_rejection,) = writer.reopen().welcome.rejections
        assert (kept_rejection.reason, kept_rejection.records) == ("INTERNAL", rejected)
        assert kept_rejection.run_id == ("" if place == "read" else run_id)
        assert kept_rejection.first_sequence == kept_rejection.last_sequence == mixed.sequence
        # It goes on as if nothing had been.
        writer.sends(finish(run_id))
    assert counts(api, run_id) == {"loss": kept}
    assert counts(api, other) == {"loss": 50}
    run = api.run(run_id)
    assert run.status == run_pb2.RUN_STATUS_FINISHED
    assert [one.key for one in run.tags] == (["a", "b"] if kept == 21 else [])


def test_single_calls_get_the_same(api: Api) -> None:
    run_id = new_id()
    with writing(api) as writer:
        writer.sends(begin(run_id))
        frame = writer.frame(points(run_id, 9.0, key="planted: append"), points(run_id, 1.0))
        sent = metric_pb2.AppendFramesRequest(
            writer_id=writer.id,
            epoch=1,
            frames=[metric_pb2.StreamFramesRequest.FromString(frame.request).frame],
        )
        for _ in range(MOST_ENDS):
            with pytest.raises(grpc.RpcError) as caught:
                api(sent)
            assert failure_of(caught.value).reason == "INTERNAL"
        (rejection,) = api(sent).ack.rejections
        assert (rejection.run_id, rejection.reason, rejection.points) == (run_id, "INTERNAL", 2)
