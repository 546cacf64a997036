"""The rows about sizes on disk, about reading, and about repeats."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import numpy as np
from tests.bench import series_data, training
from tests.bench.metric_bench import (
    FASTTRACKML,
    MLFLOW,
    RUNWIRE,
    Bench,
    Calls,
    Goal,
    Measured,
    Row,
    at_most,
    settle,
    storage,
)
from tests.bench.workers import Work, together
from tests.support import frames
from tests.support.server import ServerProcess

from runwire.v1 import server_pb2

# What holds the points; the summaries are told beside.
POINT_PARTS = ("log", "stripes", "chunks")


class Filler:
    """Logs to one run of a server by the raw protocol.

    Attributes:
        run_id: The run.
        cutter: The writer.
        last: The last frame.
    """

    def __init__(self, server: ServerProcess) -> None:
        """Opens a stream and begins the run."""
        self.run_id = frames.new_id()
        self.cutter = frames.Cutter()
        self._channel = grpc.insecure_channel(server.address)
        self._stream = frames.FrameStream(self._channel, self.cutter.writer_id)
        self.last = self.cutter.cut(frames.begin(self.run_id))
        self._stream.deliver(self.last)

    def fill(self, keys: list[str], values: Any, times: Any, rows: int) -> None:
        """Logs a matrix of steps by keys, in frames of so many rows and at most 10,000 keys."""
        for at in range(0, len(keys), 10_000):
            part = keys[at : at + 10_000]
            name = self._stream.declare(part) if len(part) > frames.INLINE_KEYS else part
            for first in range(0, len(values), rows):
                end = first + rows
                block = frames.block(
                    name, values[first:end, at : at + 10_000], times=times[first:end], first=first
                )
                self.last = self.cutter.cut(frames.batch(self.run_id, block))
                self._stream.send(self.last)
                # Some on their way, not all in memory.
                self._stream.wait(self.cutter.sequence - 16)
        self._stream.wait(self.cutter.sequence, 120)

    @property
    def repeat(self) -> dict[str, Any]:
        """What to send the last frame again by."""
        last = self.last
        return {
            "writer_id": self.cutter.writer_id,
            "sequence": last.sequence,
            "crc": last.previous_crc,
            "payload": last.payload,
        }

    def finish(self) -> None:
        """Ends the run."""
        self._stream.deliver(self.cutter.cut(frames.finish(self.run_id)))

    def close(self) -> None:
        """Ends the stream."""
        self._stream.half_close()
        self._channel.close()


@contextlib.contextmanager
def filled(
    bench: Bench, keys: list[str], values: Any, times: Any, rows: int, *, finish: bool
) -> Iterator[tuple[ServerProcess, Filler]]:
    """Runs a server with one run of these points, compacted as far as it goes."""
    with bench.server() as server:
        filler = Filler(server)
        filler.fill(keys, values, times, rows)
        if finish:
            filler.finish()
        filler.close()
        settle(server)
        yield server, filler


def sizes(kind: str) -> Callable[[Bench], Any]:
    """Makes the setup of a row about bytes a point."""

    @contextlib.contextmanager
    def setup(bench: Bench) -> Iterator[Calls]:
        yield {RUNWIRE: lambda: _size(bench, *_logs(kind, bench))}

    return setup


def _logs(kind: str, bench: Bench) -> tuple[list[str], Any, Any, int]:
    if kind == "one":
        times, values = training.losses(bench.amount(100_000, 5_000))
        return ["loss"], values.reshape(-1, 1), times, 100
    if kind == "ten":
        keys, times, values = training.several(bench.amount(20_000, 5_000))
        return keys, values, times, 10
    width = bench.amount(100_000, 10_000)
    times, values = training.gradients(width, 20)
    return series_data.keys(width), values, times, 1


def _size(bench: Bench, keys: list[str], values: Any, times: Any, rows: int) -> Measured:
    with filled(bench, keys, values, times, rows, finish=True) as (server, _):
        stats = _summarised(server, len(keys))
        parts = {part.name: part.bytes for part in stats.parts}
        assert stats.points == values.size, stats
        beside = {f"{name}_bytes": size / values.size for name, size in parts.items()}
        assert server.stop() == 0
        file = os.path.getsize(server.data_dir / "runwire.db")
        beside["file_bytes_with_all"] = file / values.size
        return Measured(sum(parts[name] for name in POINT_PARTS) / values.size, beside)


def _summarised(server: ServerProcess, series: int) -> server_pb2.GetStorageStatsResponse:
    """Waits until so many series have their summary rows, which come a moment after their points."""
    end = time.monotonic() + 60
    while True:
        stats = storage(server)
        if series == next(part.points for part in stats.parts if part.name == "summaries"):
            return stats
        assert time.monotonic() < end, stats
        time.sleep(0.2)


@contextlib.contextmanager
def history(bench: Bench) -> Iterator[Calls]:
    """A long history."""
    count = 100_000
    values = series_data.losses(count).reshape(-1, 1)
    with filled(bench, ["loss"], values, series_data.times(count), 1_000, finish=True) as (server, filler):

        def measure() -> Measured:
            arguments = {"run_id": filler.run_id, "key": "loss", "points": count, "count": 20}
            (done,) = bench.works([server.address], "read_works", "history", **arguments)
            return Measured(done["ms"])

        yield {
            RUNWIRE: measure,
            **{name: _as_milliseconds(bench.peer(name, "history", 1, 1)) for name in (FASTTRACKML, MLFLOW)},
        }


def _as_milliseconds(measure: Callable[[], Measured | None]) -> Callable[[], Measured | None]:
    def measured() -> Measured | None:
        done = measure()
        return None if done is None else Measured(done.beside["ms"])

    return measured


@contextlib.contextmanager
def narrow(bench: Bench) -> Iterator[Calls]:
    """One key out of many, unsealed."""
    width, steps = 1_000, 3_000
    keys = series_data.keys(width)
    values = np.resize(series_data.losses(65_536), (steps, width))
    with filled(bench, keys, values, series_data.times(steps), 8, finish=False) as (server, filler):

        def measure() -> Measured:
            arguments = {"run_id": filler.run_id, "key": keys[500], "points": steps, "count": 20}
            (done,) = bench.works([server.address], "read_works", "history", **arguments)
            points = {f"{part.name}_points": float(part.points) for part in storage(server).parts}
            return Measured(done["ms"], {name: points[name] for name in points if name != "groups_points"})

        yield {RUNWIRE: measure}


@contextlib.contextmanager
def curve(bench: Bench) -> Iterator[Calls]:
    """A curve of a long series: the first one since a start, and while the series grows.

    Cold is what was not read since the start; the first curve of all, of another run, is printed beside.
    """
    count = bench.amount(1_000_000, 50_000)
    values = series_data.losses(count).reshape(-1, 1)
    times = series_data.times(count)
    with filled(bench, ["loss"], values, times, 10_000, finish=False) as (server, filler):
        other = Filler(server)
        other.fill(["loss"], values, times, 10_000)
        other.close()
        settle(server)

        def measure() -> Measured:
            assert server.stop() == 0
            server.start()
            reading = {"run_id": filler.run_id, "key": "loss", "points": count, "count": 50}
            cold = bench.works([server.address], "read_works", "curve", **reading, before=other.run_id)[0]
            cutter = filler.cutter
            writing = {"sequence": cutter.sequence, "crc": cutter.crc, "run_id": filler.run_id}
            growing = Work(
                "read_works",
                "growing",
                server.address,
                {"writer_id": cutter.writer_id, "first": count, **writing},
            )
            filler.cutter = frames.Cutter()
            beside, _ = together([Work("read_works", "curve", server.address, reading), growing])
            facts = {
                "warm_ms": cold["ms"],
                "while_written_ms": beside["ms"],
                "first_call_after_start_ms": cold["before_ms"],
            }
            return Measured(cold["first_ms"], facts)

        yield {RUNWIRE: measure}


@contextlib.contextmanager
def retry(bench: Bench) -> Iterator[Calls]:
    """The last frame of a writer again, in a run of many points and in an empty one."""
    count = bench.amount(10_000_000, 100_000)
    values = series_data.losses(count).reshape(-1, 1)
    with filled(bench, ["loss"], values, series_data.times(count), 10_000, finish=False) as (server, full):
        # The repeated frames are alike: this run has no other.
        empty = Filler(server)
        empty.fill(["loss"], values[:10_000], series_data.times(10_000), 10_000)
        empty.close()
        fillers = {"full": full, "empty": empty}

        def measure() -> Measured:
            lasts = {name: filler.repeat for name, filler in fillers.items()}
            (done,) = bench.works([server.address], "raw_works", "repeats", lasts=lasts, count=200)
            return Measured(done["full_ms"], {"empty_ms": done["empty_ms"]})

        yield {RUNWIRE: measure}


def _as_when_empty(medians: Mapping[str, float]) -> bool | None:
    if RUNWIRE not in medians:
        return None
    return medians[RUNWIRE] <= 1.5 * medians["Runwire.empty_ms"]


ROWS = (
    *(
        Row(
            f"bytes-{name}",
            f"bytes a point on disk, compacted: {title}",
            "bytes",
            sizes(name),
            (at_most(goal),),
            less=True,
            repetitions=1,
        )
        for name, title, goal in (
            ("one", "one key of 100,000 losses", 4.5),
            ("ten", "10 keys that share 20,000 steps", 3.8),
            ("wide", "100,000 keys (gradients) x 20 steps", 9),
        )
    ),
    Row("history", "100,000-point history", "ms", history, (at_most(20),), less=True),
    Row("narrow", "3,000 points of one of 1,000 keys, unsealed", "ms", narrow, (at_most(20),), less=True),
    Row(
        "curve",
        "1,000-bucket curve of 1,000,000 points, not read since the start",
        "ms",
        curve,
        (at_most(10), at_most(10, "Runwire.while_written_ms")),
        less=True,
    ),
    Row(
        "retry",
        "a frame again (AppendFrames with hello), in a run of 10,000,000 points",
        "ms",
        retry,
        (Goal("as in an empty run (within half)", _as_when_empty),),
        less=True,
    ),
)
