"""Writers for tests: an open stream with a cutter, and shorthands for what they send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from tests.rpc.asking import Api, Failure, failure_of
from tests.support.frames import Cutter, Frame, FrameStream, batch, begin, block, new_id

from runwire.v1 import metric_pb2


class Writer:
    """A writer with a stream.

    Attributes:
        api: The server.
        cutter: Cuts its frames.
        stream: Its stream.
        cut: All frames so far.
    """

    def __init__(self, api: Api, writer_id: str = "", **hello: Any) -> None:
        self.api = api
        self.cutter = Cutter(writer_id)
        self.cut: list[Frame] = []
        self.stream = FrameStream(api.channel, self.cutter.writer_id, **hello)

    @property
    def id(self) -> str:
        """The writer's id."""
        return self.cutter.writer_id

    def frame(self, *records: bytes) -> Frame:
        """Cuts a frame of records."""
        self.cut.append(self.cutter.cut(*records))
        return self.cut[-1]

    def sends(self, *records: bytes) -> None:
        """Delivers a frame of records."""
        self.stream.deliver(self.frame(*records))

    def begins(self, **fields: Any) -> str:
        """Begins a run, and returns its id."""
        run_id = new_id()
        self.sends(begin(run_id, **fields))
        return run_id

    def reopen(self, **hello: Any) -> FrameStream:
        """Opens a new stream of the same writer."""
        self.stream.cancel()
        self.stream = FrameStream(self.api.channel, self.id, **hello)
        return self.stream

    def fails(self) -> Failure:
        """Waits for the stream to end badly."""
        return failure_of(self.stream.error())


@contextmanager
def writing(api: Api, writer_id: str = "", **hello: Any) -> Iterator[Writer]:
    """Opens a stream of a new writer, or of the named one, for the block."""
    writer = Writer(api, writer_id, **hello)
    try:
        yield writer
    finally:
        writer.stream.cancel()


def points(run_id: str, *values: float, key: str = "loss", first: int = 0) -> bytes:
    """A record with a column of points."""
    times = list(range(1_000, 1_000 + len(values)))
    return batch(run_id, block([key], list(values), times=times, first=first))


def counts(api: Api, run_id: str) -> dict[str, int]:
    """How many points each metric of a run has, by its summary and by its history."""
    summaries = {metric.key: metric.count for metric in api.run(run_id).metrics}
    stored: dict[str, int] = {}
    for part in api.history(run_id):
        for key in part.block.keys:
            stored[key] = stored.get(key, 0) + len(part.block.timestamps_ms)
    assert summaries == stored
    return summaries


def append(api: Api, **fields: Any) -> metric_pb2.AppendFramesResponse:
    """Calls AppendFrames."""
    answer: metric_pb2.AppendFramesResponse = api(metric_pb2.AppendFramesRequest(**fields))
    return answer


def reasons(stream: FrameStream) -> list[tuple[str, str, int]]:
    """What was rejected: run, reason and how many records."""
    return [(r.run_id, r.reason, r.records) for r in stream.rejections]


def opening_fails(api: Api, writer_id: str, reason: str, **hello: Any) -> Failure:
    """Says hello, and expects to be refused."""
    with pytest.raises(grpc.RpcError) as caught:
        FrameStream(api.channel, writer_id, **hello)
    failure = failure_of(caught.value)
    assert failure.reason == reason, failure
    return failure
