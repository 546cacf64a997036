"""A full disk under streams: refused in so many words, nothing consumed, and on it goes with space."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from tests.faults.environments import environment_of
from tests.faults.frame_ledger import compare
from tests.faults.frame_plan import Plan
from tests.rpc.asking import failure_of
from tests.support.frames import FrameStream, new_id
from tests.support.mounts import mounted
from tests.support.server import ServerProcess

Small = tuple[ServerProcess, Callable[[], object]]


@contextlib.contextmanager
def on_small_file_system(folder: Path) -> Iterator[Small]:
    """A server on a disk of some megabytes, and what makes it larger."""
    with mounted(folder / "data", "8m"), ServerProcess(folder / "data") as server:
        yield (
            server,
            lambda: subprocess.run(
                ["mount", "-o", "remount,size=100m", folder / "data"], check=True, capture_output=True
            ),
        )


@contextlib.contextmanager
def on_few_pages(folder: Path) -> Iterator[Small]:
    """A server whose database may have few pages; it has to start again to have more."""
    with ServerProcess(folder / "data", environment=environment_of("few_pages")) as server:

        def restart() -> None:
            assert server.stop() == 0
            server.environment = {}
            server.start()

        yield server, restart


@pytest.fixture(params=["file system", "pages"])
def small(request: pytest.FixtureRequest, tmp_path: Path, may_mount: bool) -> Iterator[Small]:
    """A real small disk, and a database of few pages, which is possible everywhere."""
    real = request.param == "file system" and may_mount
    with (on_small_file_system if real else on_few_pages)(tmp_path) as made:
        yield made


def fill(channel: grpc.Channel, plan: Plan) -> int:
    """Streams a plan's frames from where the server is until it refuses; returns how many it said it has.

    A hello is a write too: none, if there was no room for that.
    """
    had = 0
    try:
        with FrameStream(channel, plan.writer_id) as stream:
            crc = 0
            source = plan.frames(0, 0)
            while had < stream.welcome.committed_sequence:
                had, crc = (frame := next(source)).sequence, frame.crc
            assert crc == stream.welcome.committed_crc
            stream.declare(plan.wide)
            for frame in source:
                stream.deliver(frame)
                had = frame.sequence
    except grpc.RpcError as error:
        refused = failure_of(error)
    assert refused.reason == "STORAGE_FULL"
    assert refused.retry
    return had


def test_frames_wait_for_space(small: Small, tmp_path: Path) -> None:
    server, make_space = small
    large, little = Plan("large", new_id(), 500), Plan("little", new_id(), 2)
    with grpc.insecure_channel(server.address) as channel:
        had = {large: fill(channel, large)}
        assert had[large] > 3
        # What was refused is not in memory either: others may have its place.
        had[little] = fill(channel, little)
        had[large] = max(had[large], fill(channel, large))
        make_space()
    with grpc.insecure_channel(server.address) as channel:
        assert compare(channel, {tmp_path / "none": large}) == []
        assert compare(channel, {tmp_path / "none": little}) == []
        for plan in (large, little):
            with FrameStream(channel, plan.writer_id) as stream:
                behind = stream.welcome.committed_sequence
                assert behind >= had[plan]
                source = plan.frames(behind, stream.welcome.committed_crc)
                stream.declare(plan.wide)
                stream.deliver(*(next(source) for _ in range(20)))
            assert compare(channel, {tmp_path / "none": plan}) == []
    assert "Traceback" not in server.log
