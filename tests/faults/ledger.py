"""Compares what writers were promised with what a server has."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from tests.faults.writer import WIDE
from tests.support.messages import Point, as_dict, bits, points_of

from runwire.v1 import metric_pb2, metric_pb2_grpc, run_pb2, run_pb2_grpc

# What a server may lag behind the others of its database, with much to spare for a busy machine.
LAG_SECONDS = 120.0


@dataclass
class Ledger:
    """What one writer noted: the numbers of its calls by kind.

    Attributes:
        run: Its run.
        acked: Acknowledged, so applied exactly once.
        open: Tried without an answer, so applied once or not at all.
    """

    run: str = ""
    acked: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    open: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Reads a ledger; a writer that met an unexpected error noted it, and fails the test here."""
        ledger = cls()
        for line in path.read_text().splitlines():
            event = json.loads(line)
            assert "bad" not in event, event
            ledger.run = event.get("run", ledger.run)
            if "try" in event:
                ledger.open[event["kind"]].add(event["try"])
            if "ack" in event:
                ledger.open[event["kind"]].discard(event["ack"])
                ledger.acked[event["kind"]].add(event["ack"])
        return ledger

    def problems(self, kind: str, found: Counter[int]) -> list[str]:
        """Compares how often each numbered call of a kind was applied with how often it may have been."""
        return [
            *(f"{kind} {n}: acknowledged and lost" for n in sorted(self.acked[kind] - set(found))),
            *(f"{kind} {n}: there {count} times" for n, count in sorted(found.items()) if count != 1),
            *(
                f"{kind} {n}: there and never sent"
                for n in sorted(set(found) - self.acked[kind] - self.open[kind])
            ),
        ]


def compare(channel: grpc.Channel, ledgers: dict[str, Ledger], shared_run: str) -> list[str]:
    """Returns all that is wrong, in words.

    Args:
        channel: To the server, after its last start.
        ledgers: By the writers' names.
        shared_run: The run that all of them wrote to.
    """
    stub = run_pb2_grpc.RunServiceStub(channel)
    names = Counter(run.name for run in all_runs(stub))
    problems: list[str] = []
    shared = history(channel, shared_run)
    problems += summary_problems(stub, shared_run, shared)
    for writer, ledger in ledgers.items():
        points = history(channel, ledger.run)
        problems += summary_problems(stub, ledger.run, points)
        tags = as_dict(stub.GetRun(run_pb2.GetRunRequest(run_id=ledger.run)).run.tags)
        found = {
            "points": whole_batches(points, ["a", "b"], 3, problems),
            "wide": whole_batches(points, WIDE, 1, problems),
            "shared": whole_batches(shared, [writer], 1, problems),
            "run": Counter({n: names[f"{writer}-{n}"] for n in numbers(names, f"{writer}-")}),
            "tags": Counter(numbers(tags, "t")),
        }
        for kind, counts in found.items():
            problems += [f"{writer}: {p}" for p in ledger.problems(kind, counts)]
        last = int(tags.get("last", -1))
        if last != max(found["tags"], default=-1):
            problems.append(f"{writer}: the tag `last` is {last}")
    return problems


def numbers(names: Any, prefix: str) -> list[int]:
    """Returns the numbers behind a prefix in those names that have it and a number."""
    return [
        int(n.removeprefix(prefix)) for n in names if n.startswith(prefix) and n[len(prefix) :].isdecimal()
    ]


def whole_batches(
    points: dict[str, list[Point]], keys: list[str], rows: int, problems: list[str]
) -> Counter[int]:
    """Counts how often each batch is there; one that is there in parts is a problem."""
    counts: dict[int, set[int]] = defaultdict(set)
    seen = {key: Counter((p.step, p.time, p.bits) for p in points.get(key, ())) for key in keys}
    steps = {step for key in keys for step, _, _ in seen[key]}
    for step in steps:
        for key in keys:
            for row in range(rows):
                counts[step].add(seen[key][(step, row, bits(float(step)))])
    problems += [f"{keys[0]} {step}: in parts, {sorted(c)}" for step, c in counts.items() if len(c) != 1]
    return Counter({step: max(c) for step, c in counts.items()})


def history(channel: grpc.Channel, run_id: str) -> dict[str, list[Point]]:
    """Reads all points of a run, by key."""
    points: dict[str, list[Point]] = defaultdict(list)
    request = metric_pb2.GetMetricHistoryRequest(run_ids=[run_id])
    for message in metric_pb2_grpc.MetricServiceStub(channel).GetMetricHistory(request):
        for entry in message.blocks:
            for key, some in points_of(entry.block).items():
                points[key] += some
    return points


def summary_problems(stub: Any, run_id: str, points: dict[str, list[Point]]) -> list[str]:
    """Compares the counts of a run's summaries with its history.

    They may lag for a second behind what another server of the database stored: they are asked for
    until they are equal, or too late.
    """
    expected = {key: len(some) for key, some in points.items()}
    counts: dict[str, int] = {}
    deadline = time.monotonic() + LAG_SECONDS
    while counts != expected and time.monotonic() < deadline:
        run = stub.GetRun(run_pb2.GetRunRequest(run_id=run_id)).run
        counts = {m.key: m.count for m in run.metrics}
    return [] if counts == expected else [f"run {run_id}: summaries {counts}, history {expected}"]


def all_runs(stub: Any) -> list[run_pb2.Run]:
    """Returns all runs of the Default experiment, with their names only."""
    mask = run_pb2.RunMask()
    mask.fields.paths.append("name")
    request = run_pb2.SearchRunsRequest(experiment_ids=["0"], page_size=1_000, mask=mask)
    runs: list[run_pb2.Run] = []
    while True:
        page = stub.SearchRuns(request)
        runs += page.runs
        if not page.next_page_token:
            return runs
        request.page_token = page.next_page_token
