"""The figures for Prometheus, scraped from a real server."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.rpc.asking import Api, column
from tests.server.test_no_start import refused
from tests.support import frames
from tests.support.server import ServerProcess

from runwire.v1 import block_pb2, metric_pb2, metric_pb2_grpc, run_pb2

Figures = dict[tuple[str, ...], float]


def scrape(server: ServerProcess) -> Figures:
    """Returns the figures by name and the values of their labels."""
    with urllib.request.urlopen(f"http://{server.ready['metrics']}/metrics", timeout=120) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def grown(before: Figures, after: Figures) -> Figures:
    """Returns what has changed."""
    return {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name)}


@pytest.fixture
def measured(database: str | Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that shows its figures, on each database."""
    arguments = ["--database", database] if isinstance(database, str) else []
    with ServerProcess(tmp_path / "data", "--metrics-port", "0", *arguments) as running:
        yield running


def test_what_is_done_is_counted(measured: ServerProcess) -> None:
    with grpc.insecure_channel(measured.address) as channel:
        api = Api(channel)
        run_id, gone = api.new_run(), api.new_run()
        api(run_pb2.DeleteRunRequest(run_id=gone))
        before = scrape(measured)
        assert (
            before["runwire_streams",] == before["runwire_watchers",] == before["runwire_queue_bytes",] == 0
        )
        api.log(run_id, column("a", [1.0, 2.0]), column("b", [3.0]))
        api.fails(run_pb2.GetRunRequest(run_id="f" * 32))
        cutter = frames.Cutter()
        watch = metric_pb2_grpc.MetricServiceStub(channel).WatchMetrics(
            metric_pb2.WatchMetricsRequest(run_ids=[run_id])
        )
        next(watch)
        with frames.FrameStream(channel, cutter.writer_id) as stream:
            block = frames.block(["a"], [1.0] * 7, times=[1] * 7)
            stream.deliver(cutter.cut(frames.batch(run_id, block)), cutter.cut(frames.batch(gone, block)))
            during = grown(before, scrape(measured))
            stream.half_close()
        watch.cancel()
    assert during["runwire_streams",] == during["runwire_watchers",] == 1
    assert during["runwire_points_total",] == 10
    assert during["runwire_frames_total",] == 2
    assert during["runwire_rejections_total",] == 1
    assert during["runwire_log_batches_total",] == 1
    assert during["runwire_backlog_bytes",] > 10 * 8
    assert during["runwire_calls_total", "LogBatch", "OK"] == 1
    assert during["runwire_calls_total", "GetRun", "RUN_NOT_FOUND"] == 1
    # The batch, the stream's opening, and the frames, which may share a transaction.
    for name in ("runwire_commit_seconds", "runwire_commit_sync_seconds"):
        assert during[f"{name}_count",] >= 3
    assert during["runwire_commit_seconds_sum",] >= during["runwire_commit_sync_seconds_sum",] > 0


def test_checkpoints_are_counted(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path / "data", "--metrics-port", "0") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        api = Api(channel)
        run_id = api.new_run()
        assert scrape(server)["runwire_checkpoint_seconds_count",] == 0

        def log(number: int) -> None:
            # No two alike, and at no regular steps.
            steps = [number * 10_000 + i + i % 7 for i in range(10_000)]
            values = [i / 7 for i in steps]
            axis = block_pb2.StepList(steps=steps)
            api.log(run_id, block_pb2.Block(keys=["a"], steps=axis, timestamps_ms=steps, values=values))

        for number in range(100):
            log(number)
        assert scrape(server)["runwire_checkpoint_seconds_count",] >= 1
        # It starts over at a checkpoint that meets no reader, such as compaction.
        for number in range(100, 400):
            if 0 < scrape(server)["runwire_wal_bytes",] < 20 * 2**20:
                return
            log(number)
        raise AssertionError("the log never started over")


def test_a_server_that_is_not_asked_to_serves_no_figures(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        assert "metrics" not in server.ready


def test_the_endpoint_ends_with_the_server(measured: ServerProcess) -> None:
    address = measured.ready["metrics"]
    assert measured.stop() == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{address}/metrics", timeout=120)


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused(tmp_path, "--metrics-port", str(port))
    assert f"can not serve metrics at 127.0.0.1:{port}" in line
