"""Works that read, by the public client."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Generator

import numpy as np
from tests.bench import series_data
from tests.support import frames

from runwire import Client

Works = Generator[None, None, dict[str, float]]


def searches(address: str, seconds: float, whole: bool) -> Works:
    """A search by a metric's value, in its order, twice a second; it shows that metric, or whole runs."""
    (name,) = series_data.keys(1)
    key = f'metrics."{name}"'
    shown = None if whole else [name]
    with Client(address) as client:

        def search() -> None:
            client.search_runs(["0"], f"{key} > 0", order_by=[f"{key} DESC"], metric_keys=shown)

        search()
        yield
        taken = []
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            search()
            taken.append(time.perf_counter() - began)
            time.sleep(max(began + 0.5 - time.perf_counter(), 0))
    return {"search_ms": statistics.median(taken) * 1e3, "slowest_search_ms": max(taken) * 1e3}


def history(address: str, run_id: str, key: str, points: int, count: int) -> Works:
    """All points of a metric, some times."""
    with Client(address) as client:
        client.server_info()

        def call() -> int:
            return len(client.get_metric_history(run_id, key))

        yield
        assert call() == points
        return _timed(call, count)


def curve(address: str, run_id: str, key: str, points: int, count: int, before: str = "") -> Works:
    """A curve of 1,000 buckets, some times.

    `first_ms` is the first one; `before_ms` that of the run `before`, drawn some times in front of it.
    """
    with Client(address) as client:
        client.server_info()

        def drawn(run: str) -> float:
            began = time.perf_counter()
            seen = sum(client.get_metric_curve(run, key, max_points=1_000).count)
            taken = (time.perf_counter() - began) * 1e3
            assert seen >= points, seen
            return taken

        yield
        befores = [drawn(before) for _ in range(20)] if before else [0.0]
        first = drawn(run_id)
        return {**_timed(lambda: drawn(run_id), count), "first_ms": first, "before_ms": befores[0]}


def growing(address: str, writer_id: str, sequence: int, crc: int, run_id: str, first: int) -> Works:
    """Goes on logging to a series by small frames for some seconds, as a training does."""
    cutter = frames.Cutter(writer_id, sequence, crc)
    import grpc

    with (
        grpc.insecure_channel(address) as channel,
        frames.FrameStream(channel, writer_id, acked_sequence=sequence, acked_crc=crc) as stream,
    ):
        yield
        for number in itertools.count():
            if number == 150:
                break
            values = series_data.losses(100)
            at = first + number * 100
            block = frames.block(["loss"], values, times=series_data.times(100, at), first=at)
            stream.deliver(cutter.cut(frames.batch(run_id, block)))
            time.sleep(0.02)
    return {}


def _timed(call: Callable[[], object], count: int) -> dict[str, float]:
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return {"ms": float(np.median(taken)) * 1e3}
