"""The calls that are timed, for each kind of server.

A *caller* is a connection of one client process. Each of its methods prepares a workload and returns the
call to time. The workloads have the same names and log the same data everywhere; what a call builds before it
is sent counts, as it does for real clients.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import uuid
from collections.abc import Callable
from typing import Any

import grpc
from tests.bench.data import KEYS, METRICS, PARAMS, POINTS, ROUNDS, TAGS, now, times

from runwire import Client
from runwire._ids import uuid7
from runwire.v1 import block_pb2, experiment_pb2, run_pb2
from runwire.v1.run_pb2_grpc import RunServiceStub

Call = Callable[[], object]


class RunwireCalls:
    """Runwire by the generated stub on a sync channel; each mutation has a request id.

    The empty handler is called by this very code.
    """

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._runs = RunServiceStub(self._channel)

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def log_metric(self) -> Call:
        """One point of one metric."""
        run_id, steps, values = self._create(), itertools.count(), itertools.cycle(ROUNDS[0])
        return lambda: self._log(run_id, _row(("loss",), next(steps), (next(values),)))

    def column(self) -> Call:
        """1,000 points of one metric."""
        run_id, firsts, rounds = self._create(), itertools.count(0, POINTS), itertools.cycle(ROUNDS)

        def call() -> None:
            block = block_pb2.Block(keys=("loss",), timestamps_ms=times(), values=next(rounds))
            block.range.first, block.range.stride = next(firsts), 1
            self._log(run_id, block)

        return call

    def wide(self) -> Call:
        """One point of each of 1,000 metrics."""
        run_id, steps, rounds = self._create(), itertools.count(), itertools.cycle(ROUNDS)
        return lambda: self._log(run_id, _row(KEYS, next(steps), next(rounds)))

    def get_run(self) -> Call:
        """A run with params, metrics and tags."""
        run_id = self._create(PARAMS, TAGS)
        self._log(run_id, _row(METRICS, 0, METRICS.values()))
        return lambda: self._runs.GetRun(run_pb2.GetRunRequest(run_id=run_id))

    def whole_run(self) -> Call:
        """A run's life: create with params, log metrics, finish."""

        def call() -> None:
            run_id = self._create(PARAMS)
            self._log(run_id, _row(METRICS, 0, METRICS.values()))
            self._runs.FinishRun(run_pb2.FinishRunRequest(run_id=run_id, request_id=_request_id()))

        return call

    def _create(self, params: dict[str, str] | None = None, tags: dict[str, str] | None = None) -> str:
        run_id = uuid7().hex
        self._runs.CreateRun(
            run_pb2.CreateRunRequest(
                experiment_id="0",
                run_id=run_id,
                params=[run_pb2.Param(key=key, value=value) for key, value in (params or {}).items()],
                tags=[experiment_pb2.Tag(key=key, value=value) for key, value in (tags or {}).items()],
                request_id=_request_id(),
            )
        )
        return run_id

    def _log(self, run_id: str, block: block_pb2.Block) -> None:
        self._runs.LogBatch(run_pb2.LogBatchRequest(run_id=run_id, blocks=(block,), request_id=_request_id()))


def _request_id() -> str:
    return str(uuid7())


def _row(keys: Any, step: int, values: Any) -> block_pb2.Block:
    block = block_pb2.Block(keys=keys, timestamps_ms=(now(),), values=values)
    block.range.first = step
    return block


class ClientCalls:
    """Runwire by its public client."""

    def __init__(self, address: str) -> None:
        self._client = Client(address)

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def log_metric(self) -> Call:
        """One point of one metric."""
        run_id, steps, values = uuid7().hex, itertools.count(), itertools.cycle(ROUNDS[0])
        self._client.create_run("0", run_id=run_id)
        return lambda: self._client.log_metric(run_id, "loss", next(values), step=next(steps))


class RestCalls:
    """MLflow's REST API, which FastTrackML speaks too, on one connection that is kept."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=60)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def log_metric(self) -> Call:
        """One point of one metric."""
        run_id, steps, values = self._create(), itertools.count(), itertools.cycle(ROUNDS[0])

        def call() -> None:
            point = {"key": "loss", "value": next(values), "timestamp": now(), "step": next(steps)}
            self._post("runs/log-metric", {"run_id": run_id, **point})

        return call

    def column(self) -> Call:
        """1,000 points of one metric."""
        return self._column(self._create(), 1)

    def large_column(self) -> Call:
        """10,000 points of one metric."""
        return self._column(self._create(), 10)

    def _column(self, run_id: str, rounds_a_call: int) -> Call:
        steps, rounds = itertools.count(), itertools.cycle(ROUNDS)

        def call() -> None:
            metrics = [
                {"key": "loss", "value": value, "timestamp": time, "step": next(steps)}
                for _ in range(rounds_a_call)
                for value, time in zip(next(rounds), times(), strict=True)
            ]
            self._post("runs/log-batch", {"run_id": run_id, "metrics": metrics})

        return call

    def wide(self) -> Call:
        """One point of each of 1,000 metrics."""
        return self._wide(1)

    def large_wide(self) -> Call:
        """8 points of each of 1,000 metrics."""
        return self._wide(8)

    def _wide(self, steps_a_call: int) -> Call:
        run_id, steps = self._create(), itertools.count()
        rounds = itertools.cycle([dict(zip(KEYS, values, strict=True)) for values in ROUNDS])

        def call() -> None:
            metrics = [point for _ in range(steps_a_call) for point in _metrics(next(rounds), next(steps))]
            self._post("runs/log-batch", {"run_id": run_id, "metrics": metrics})

        return call

    def history(self) -> Call:
        """All of a metric of 100,000 points."""
        run_id = self._create()
        log = self._column(run_id, 1)
        for _ in range(100):
            log()
        query = f"metrics/get-history?run_id={run_id}&metric_key=loss"
        return lambda: json.loads(self._send("GET", query))

    def get_run(self) -> Call:
        """A run with params, metrics and tags."""
        run_id = self._create()
        batch = {"run_id": run_id, "params": _pairs(PARAMS), "metrics": _metrics(METRICS, 0)}
        self._post("runs/log-batch", {**batch, "tags": _pairs(TAGS)})
        return lambda: self._send("GET", f"runs/get?run_id={run_id}")

    def whole_run(self) -> Call:
        """A run's life: create, log params and metrics, finish."""

        def call() -> None:
            run_id = self._create()
            batch = {"run_id": run_id, "params": _pairs(PARAMS), "metrics": _metrics(METRICS, 0)}
            self._post("runs/log-batch", batch)
            self._post("runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": now()})

        return call

    def _create(self) -> str:
        answer = self._post("runs/create", {"experiment_id": "0", "start_time": now()})
        return str(json.loads(answer)["run"]["info"]["run_id"])

    def _post(self, method: str, body: dict[str, Any]) -> bytes:
        return self._send("POST", method, json.dumps(body).encode())

    def _send(self, verb: str, method: str, body: bytes | None = None) -> bytes:
        headers = {"Content-Type": "application/json"}
        self._connection.request(verb, f"/api/2.0/mlflow/{method}", body, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method}: {answer.status} {data[:300].decode(errors='replace')}")
        return data


def _metrics(values: dict[str, float], step: int) -> list[dict[str, Any]]:
    time = now()
    return [{"key": key, "value": value, "timestamp": time, "step": step} for key, value in values.items()]


def _pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


class DiskCalls:
    """The limit of the disk; its address is a folder."""

    def __init__(self, address: str) -> None:
        self._path = os.path.join(address, f"disk-{uuid.uuid4().hex}")
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def close(self) -> None:
        """Removes the file."""
        os.close(self._file)
        os.unlink(self._path)

    def append_page(self) -> Call:
        """A page appended to a file, and fdatasync."""
        page = os.urandom(4096)

        def call() -> None:
            os.write(self._file, page)
            os.fdatasync(self._file)

        return call


CALLERS: dict[str, type[Any]] = {
    "runwire": RunwireCalls,
    "client": ClientCalls,
    "rest": RestCalls,
    "disk": DiskCalls,
}
