"""A client process that writes without pause, and keeps a ledger of what it was promised.

    python writer.py ADDRESS LEDGER NAME SEED SHARED_RUN

It ends when its standard input does, after the call that it is at. For each acknowledged call it writes
one byte to standard output, so that others can go by its pace. The ledger has a line of JSON for each
event, on disk before the next call: `try` before the first attempt, `ack` after the answer, `drop` where
it gave up after a failure, not knowing whether the call was applied.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

import grpc

from runwire.v1 import block_pb2, experiment_pb2, run_pb2, run_pb2_grpc

WIDE = [f"w{i:02}" for i in range(12)]
# The ways in which a server or its database that is gone shows itself.
PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.ABORTED,
}
OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 100),
]


class Writer:
    """Makes calls one after the other, numbered from 0."""

    def __init__(self, stub: Any, ledger: Path, name: str, seed: int, shared_run: str) -> None:
        self._stub = stub
        self._ledger = ledger.open("a")
        self._name = name
        self._chance = random.Random(seed)
        self._shared = shared_run
        self._run = ""
        self._pause = 0.0

    def work(self, stopped: threading.Event) -> None:
        """Writes until told to stop."""
        request = run_pb2.CreateRunRequest(experiment_id="0", name=self._name, request_id=f"{self._name}-run")
        while not self._run:
            try:
                self._run = self._stub.CreateRun(request, wait_for_ready=True, timeout=5).run.run_id
            except grpc.RpcError as error:
                self._check(error)
        self._note(run=self._run)
        number = 0
        while not stopped.is_set():
            kind = self._chance.choice(["points", "points", "shared", "wide", "run", "tags"])
            self._note(**{"try": number, "kind": kind})
            self._deliver(number, kind)
            number += 1

    def _deliver(self, number: int, kind: str) -> None:
        method, request = self._call(number, kind)
        while True:
            try:
                method(request, wait_for_ready=True, timeout=5)
            except grpc.RpcError as error:
                self._check(error)
                if self._chance.random() < 0.2:
                    self._note(drop=number, kind=kind)
                    return
            else:
                self._pause = 0.0
                self._note(ack=number, kind=kind)
                os.write(1, b".")
                return

    def _call(self, number: int, kind: str) -> tuple[Any, Any]:
        request_id = f"{self._name}-{number}"
        if kind == "run":
            request = run_pb2.CreateRunRequest(experiment_id="0", name=request_id, request_id=request_id)
            return self._stub.CreateRun, request
        if kind == "tags":
            tags = [experiment_pb2.Tag(key=k, value=str(number)) for k in ("last", f"t{number}")]
            request = run_pb2.SetRunTagsRequest(run_id=self._run, tags=tags, request_id=request_id)
            return self._stub.SetRunTags, request
        keys = {"points": ["a", "b"], "shared": [self._name], "wide": WIDE}[kind]
        rows = 3 if kind == "points" else 1
        block = block_pb2.Block(
            keys=keys,
            steps=block_pb2.StepList(steps=[number] * rows),
            timestamps_ms=range(rows),
            values=[float(number)] * (rows * len(keys)),
        )
        run_id = self._shared if kind == "shared" else self._run
        return self._stub.LogBatch, run_pb2.LogBatchRequest(
            run_id=run_id, blocks=[block], request_id=request_id
        )

    def _check(self, error: Any) -> None:
        # For whoever finds that it stands still.
        print(f"{self._name}: {error.code()}: {error.details()}", file=sys.stderr)
        if error.code() not in PASSING:
            self._note(bad=f"{error.code()}: {error.details()}")
            raise SystemExit(f"unexpected: {error}")
        # The first at once, then as clients do: what would come back is not kept from it by the noise.
        time.sleep(self._pause)
        self._pause = min(2 * self._pause + 0.01, 0.5)

    def _note(self, **event: Any) -> None:
        self._ledger.write(json.dumps(event) + "\n")
        self._ledger.flush()
        os.fsync(self._ledger.fileno())


def main(address: str, ledger: str, name: str, seed: str, shared_run: str) -> None:
    """Writes until standard input ends."""
    stopped = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        stopped.set()

    threading.Thread(target=watch, daemon=True).start()
    with grpc.insecure_channel(address, OPTIONS) as channel:
        stub = run_pb2_grpc.RunServiceStub(channel)
        Writer(stub, Path(ledger), name, int(seed), shared_run).work(stopped)


if __name__ == "__main__":
    main(*sys.argv[1:])
