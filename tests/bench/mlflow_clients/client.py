"""Times MLflow's client for Python, run by an interpreter that has it: URL, calls, batches."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import mlflow
from mlflow.entities import Metric

BATCH = 1_000


def timed(client: Any, run: str, calls: int, batches: int, *, wait: bool) -> dict[str, float]:
    """Times calls of `log_metric` and of `log_batch`, until the server has answered all."""
    clock = time.perf_counter
    began = clock()
    for step in range(calls):
        client.log_metric(run, "loop", float(step), step=step, synchronous=wait)
    called = clock()
    mlflow.flush_async_logging()
    logged = clock()
    for first in range(0, batches * BATCH, BATCH):
        points = [Metric("bulk", float(step), 0, step) for step in range(first, first + BATCH)]
        client.log_batch(run, points, synchronous=wait)
    mlflow.flush_async_logging()
    return {
        "call_us": (called - began) / calls * 1e6,
        "calls_per_s": calls / (logged - began),
        "bulk_per_s": batches * BATCH / (clock() - logged),
    }


def main() -> None:
    """Prints the figures."""
    url, calls, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    mlflow.set_tracking_uri(url)
    client = mlflow.MlflowClient()
    found = {}
    for name, wait, count in (("waiting", True, calls), ("asynchronous", False, 2 * calls)):
        run = client.create_run("0").info.run_id
        client.log_metric(run, "warm", 0.0, step=0, synchronous=wait)
        mlflow.flush_async_logging()
        found[name] = timed(client, run, count, batches, wait=wait)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
