"""Compares what flushes of the public client have promised with what a server has."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
from tests.faults.client_writer import START_MS, bits, seed_of, steps_of
from tests.faults.frame_ledger import history

from runwire.v1 import run_pb2, run_pb2_grpc


def promises(ledger: Path) -> tuple[set[int], set[int]]:
    """Returns the batches that were flushed, and all that were tried."""
    tried: set[int] = set()
    flushed: set[int] = set()
    since: set[int] = set()
    last = -1
    for line in ledger.read_text().splitlines():
        word, _, number = line.partition(" ")
        batch = int(number)
        if word == "try":
            # A process that was started anew leaves out a number.
            since = since if batch == last + 1 else set()
            since.add(batch)
            tried.add(batch)
            last = batch
        else:
            assert word == "ack", line
            flushed |= since
    return flushed, tried


def compare(channel: grpc.Channel, ledger: Path, run_id: str) -> list[str]:
    """Returns all that is wrong with a run, in words."""
    flushed, tried = promises(ledger)
    found = history(channel, run_id)
    run = run_pb2_grpc.RunServiceStub(channel).GetRun(run_pb2.GetRunRequest(run_id=run_id)).run
    counts = {metric.key: metric.count for metric in run.metrics}
    problems = []
    if counts != {key: len(columns[0]) for key, columns in found.items()}:
        problems.append(f"summaries {counts}")
    for key in steps_of(0):
        steps, times, values = found[key]
        promised = np.concatenate([np.empty(0, int), *(steps_of(batch)[key] for batch in flushed)])
        possible = np.concatenate([steps_of(batch)[key] for batch in tried])
        there, times_there = np.unique(steps, return_counts=True)
        named = {
            "lost": np.setdiff1d(promised, there),
            "there more than once": there[times_there > 1],
            "never logged": np.setdiff1d(there, possible),
            "with other values": steps[values != bits(steps, seed_of(key))],
            "with other times": steps[times != START_MS + steps],
        }
        problems += [f"{key} {what}: {some[:5]} of {len(some)}" for what, some in named.items() if len(some)]
    return problems
