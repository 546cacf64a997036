"""What waits for the delivery of logs and then asks the server takes its timeout once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.client.blocking import KINDS, connect

from runwire._writer import chained
from runwire.v1 import frame_pb2, metric_pb2, metric_pb2_grpc, run_pb2, run_pb2_grpc

RUN = "a" * 32
SLOWNESS = 1.0
TIMEOUT = 300.0


class Slow(metric_pb2_grpc.MetricServiceServicer, run_pb2_grpc.RunServiceServicer):
    """A server whose disk is slow: it acknowledges late, and notes how much time is left to the calls behind.

    Attributes:
        left: The seconds that calls had left when they came.
    """

    def __init__(self) -> None:
        """Makes the server's services."""
        self.left: list[float] = []
        self.address = ""
        self._never = threading.Event()

    def StreamFrames(self, request_iterator: Any, context: Any) -> Iterator[metric_pb2.StreamFramesResponse]:
        """Welcomes, and acknowledges each frame late."""
        for request in request_iterator:
            if request.HasField("hello"):
                yield metric_pb2.StreamFramesResponse(welcome=frame_pb2.Welcome(window_bytes=1 << 20))
            elif request.HasField("frame"):
                self._never.wait(SLOWNESS)
                frame = request.frame
                crc = chained(frame.previous_crc, frame.payload)
                yield metric_pb2.StreamFramesResponse(ack=frame_pb2.Ack(sequence=frame.sequence, crc=crc))

    def GetRun(self, request: run_pb2.GetRunRequest, context: Any) -> run_pb2.GetRunResponse:
        """Answers with a run."""
        self.left.append(context.time_remaining())
        return run_pb2.GetRunResponse(run=run_pb2.Run(run_id=request.run_id))


@pytest.fixture
def slow() -> Iterator[Slow]:
    """A slow server, running."""
    service = Slow()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    metric_pb2_grpc.add_MetricServiceServicer_to_server(service, server)
    run_pb2_grpc.add_RunServiceServicer_to_server(service, server)
    service.address = f"runwire://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    server.stop(None).wait()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get_run(RUN),
        lambda client: client.get_run(RUN, timeout=TIMEOUT),
        lambda client: client.finish_run(RUN),
        lambda client: client.finish_run(RUN, timeout=TIMEOUT),
    ],
    ids=["get_run", "get_run with timeout", "finish_run", "finish_run with timeout"],
)
def test_a_call_has_what_the_delivery_before_it_left(
    kind: str, ask: Callable[[Any], Any], slow: Slow, tmp_path: Path
) -> None:
    with connect(kind, slow.address, timeout=TIMEOUT, spool_dir=tmp_path) as client:
        client.log_metric(RUN, "m", 1.0)
        ask(client)
    assert 0 < slow.left[0] <= TIMEOUT - SLOWNESS
