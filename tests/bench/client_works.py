"""Works by the public client: what is timed ends when everything is delivered, so on the server's disk."""

from __future__ import annotations

import statistics
import time
from collections.abc import Generator

import numpy as np
from tests.bench import series_data
from tests.bench.data import METRICS, PARAMS

from runwire import Client

Works = Generator[None, None, dict[str, float]]
# Different arrays, so that nothing is the same from call to call.
ROUNDS = 16


def series(address: str, arrays: int, size: int) -> Works:
    """`log_series` of arrays of one key."""
    with Client(address) as client:
        run_id = client.begin_run("0")
        values = series_data.losses(ROUNDS * size).reshape(ROUNDS, size)
        steps, times = np.arange(size), series_data.times(size)
        client.log_series(run_id, "loss", values[0], steps=steps, timestamps=times)
        client.flush()
        yield
        began = time.perf_counter()
        for number in range(1, arrays + 1):
            first = number * size
            client.log_series(
                run_id, "loss", values[number % ROUNDS], steps=steps + first, timestamps=times + first
            )
        client.flush()
        end = time.perf_counter()
    return {"amount": arrays * size, "seconds": end - began}


def runs(address: str, count: int, wait: bool) -> Works:
    """The lives of small runs: begin with params, log metrics, finish; and wait for each, or for all."""
    with Client(address) as client:
        client.finish_run(client.begin_run("0", params=PARAMS))
        client.flush()
        yield
        began = time.perf_counter()
        for _ in range(count):
            run_id = client.begin_run("0", params=PARAMS)
            client.log_metrics(run_id, METRICS, step=0)
            client.set_terminated(run_id, wait=wait)
        client.flush()
        end = time.perf_counter()
    return {"amount": count, "seconds": end - began}


def wide(address: str, width: int, steps: int) -> Works:
    """`log_metrics` of many keys, step after step."""
    with Client(address) as client:
        run_id = client.begin_run("0")
        names = series_data.keys(width)
        rows = series_data.losses(ROUNDS * width).reshape(ROUNDS, width)
        dicts = [dict(zip(names, row.tolist(), strict=True)) for row in rows]
        # A set of keys gets a short name when it comes the second time.
        for step in range(2):
            client.log_metrics(run_id, dicts[step], step=step)
        client.flush()
        yield
        began = time.perf_counter()
        for step in range(2, steps + 2):
            client.log_metrics(run_id, dicts[step % ROUNDS], step=step)
        client.flush()
        end = time.perf_counter()
    return {"amount": width * steps, "seconds": end - began}


def gradients(address: str, width: int, steps: int) -> Works:
    """`log_metrics` of a new run with very many keys, its first steps included."""
    with Client(address) as client:
        run_id = client.begin_run("0")
        client.flush()
        names = series_data.keys(width)
        rows = series_data.losses(ROUNDS * width).reshape(ROUNDS, width)
        dicts = [dict(zip(names, row.tolist(), strict=True)) for row in rows]
        yield
        began = time.perf_counter()
        for step in range(steps):
            client.log_metrics(run_id, dicts[step % ROUNDS], step=step)
        client.flush()
        end = time.perf_counter()
    # For whoever waits for its summaries.
    return {"amount": width * steps, "seconds": end - began, "ended": time.time()}


def loop(address: str, width: int, points: int) -> Works:
    """`log_metric` in a loop, the keys in turn; the median time of a call is that of blocks of 1,000."""
    with Client(address) as client:
        run_id = client.begin_run("0")
        names = [f"metric_{n:03}" for n in range(width)]
        values = series_data.losses(1_000).tolist()
        log, now = client.log_metric, time.perf_counter
        for name in names:
            log(run_id, name, 1.0, step=0)
        client.flush()
        turns = [(names[n % width], values[n]) for n in range(1_000)]
        blocks = []
        yield
        began = now()
        for number in range(points // 1_000):
            step = number * 1_000 // width
            start = now()
            for name, value in turns:
                log(run_id, name, value, None, step)
            blocks.append(now() - start)
        client.flush()
        end = now()
    return {
        "amount": points // 1_000 * 1_000,
        "seconds": end - began,
        "call_us": statistics.median(blocks) * 1e3,
        "worst_us": max(blocks) * 1e3,
    }
