"""What a reader has seen stays, whatever happens to the server."""

from __future__ import annotations

import threading
from pathlib import Path

import grpc
from tests.faults.frame_plan import NARROW, Plan
from tests.faults.frame_writer import command
from tests.faults.lanes import Lane
from tests.support.frames import new_id
from tests.support.server import ServerProcess

from runwire.v1 import run_pb2, run_pb2_grpc


class Reader:
    """Asks for a run over and over, within a block, until the server dies.

    Attributes:
        seen: The most points of a metric that an answer had.
    """

    def __init__(self, channel: grpc.Channel, run_id: str) -> None:
        self._stub = run_pb2_grpc.RunServiceStub(channel)
        self._request = run_pb2.GetRunRequest(run_id=run_id)
        self._thread = threading.Thread(target=self._read)
        self.seen = 0

    def count(self) -> int:
        """Asks once how many points the metric has."""
        run = self._stub.GetRun(self._request, timeout=120).run
        return max((metric.count for metric in run.metrics if metric.key == NARROW[0]), default=0)

    def _read(self) -> None:
        while True:
            try:
                self.seen = max(self.seen, self.count())
            except grpc.RpcError as error:
                # The run may not have begun yet.
                if error.code() != grpc.StatusCode.NOT_FOUND:
                    return

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()


def seen_and_there(folder: Path, environment: dict[str, str] | None = None) -> tuple[int, int]:
    """Reads a run while it is written, until the server dies in the middle of a commit.

    Returns:
        How many points a reader has seen, and how many are there after a start.
    """
    plan = Plan("seen", new_id())
    arguments = ("--failpoint", "before-commit:60")
    with ServerProcess(folder / "data", *arguments, environment=environment) as server:
        lane = Lane(server, "seen", [command(server.address, folder / "ledger", 1, plan)])
        with lane.writing():
            with grpc.insecure_channel(server.address) as channel, Reader(channel, plan.run_id) as reader:
                server.wait()
            lane.stop()
            server.arguments = ()
            server.start()
            with grpc.insecure_channel(server.address) as channel:
                return reader.seen, Reader(channel, plan.run_id).count()


def test_what_was_seen_stays(tmp_path: Path) -> None:
    seen, there = seen_and_there(tmp_path)
    assert 0 < seen <= there
