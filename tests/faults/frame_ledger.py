"""Compares what a server holds of the writers of frames with what it has to hold."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from tests.faults.frame_plan import Array, Plan
from tests.faults.frame_writer import last_of
from tests.support.frames import FrameStream

from runwire.v1 import metric_pb2, run_pb2, run_pb2_grpc
from runwire_server.domain import packed

_HISTORY = "/runwire.v1.MetricService/GetMetricHistory"
_Answer: Any = packed.message_class("GetMetricHistoryResponse")

Columns = dict[str, tuple[Array, Array, Array]]


def compare(channel: grpc.Channel, plans: dict[Path, Plan]) -> list[str]:
    """Returns all that is wrong, in words.

    A writer's frames are there up to the sequence that the server has committed, each once and as it was
    sent, and that is no less than what was acknowledged.

    Args:
        channel: To the server, after its last start.
        plans: The writers' plans by their ledgers.
    """
    problems: list[str] = []
    shared: Columns = {}
    for ledger, plan in plans.items():
        acked, crc = last_of(ledger)
        with FrameStream(channel, plan.writer_id, acked_sequence=acked, acked_crc=crc) as stream:
            welcome = stream.welcome
        committed = welcome.committed_sequence
        if committed < acked:
            problems.append(f"{plan.name}: {acked} acknowledged, {committed} there")
        expected = plan.expected(committed)
        problems += run_problems(channel, plan.run_id, expected.get(plan.run_id, {}))
        shared |= expected.get(plan.shared_run, {})
        problems += _children(channel, plan, committed)
        rejected = sum(one.records for one in welcome.rejections)
        if rejected != plan.bad(committed):
            problems.append(f"{plan.name}: {rejected} records rejected, not {plan.bad(committed)}")
    (shared_run,) = {plan.shared_run for plan in plans.values()}
    return problems + run_problems(channel, shared_run, shared)


def run_problems(channel: grpc.Channel, run_id: str, expected: Columns) -> list[str]:
    """Compares the history and the summaries of a run with the points that it has to have."""
    found = history(channel, run_id) if expected else {}
    problems = (
        [f"run {run_id}: keys {sorted(set(found) ^ set(expected))}"] if set(found) != set(expected) else []
    )
    for key in sorted(set(found) & set(expected)):
        problems += [f"run {run_id}, {key}: {what}" for what in _differences(found[key], expected[key])]
    if expected:
        problems += summary_problems(channel, run_id, expected)
    return problems


def summary_problems(channel: grpc.Channel, run_id: str, expected: Columns) -> list[str]:
    """Compares the summaries of a run with the points that it has to have."""
    run = run_pb2_grpc.RunServiceStub(channel).GetRun(run_pb2.GetRunRequest(run_id=run_id)).run
    found = {m.key: (m.count, m.nan_count, m.step, _bits(m.value)) for m in run.metrics}
    wanted = {}
    for key, (steps, _, bits) in expected.items():
        nan = np.isnan(bits.view(np.float64)).sum()
        wanted[key] = (len(steps), int(nan), int(steps[-1]), int(bits[-1]))
    return [
        f"run {run_id}, {key}: summary {found.get(key)}, not {wanted.get(key)}"
        for key in sorted(set(found) | set(wanted))
        if found.get(key) != wanted.get(key)
    ]


def history(channel: grpc.Channel, run_id: str) -> Columns:
    """Reads the points of a run: steps, times and bits by key, in the order they came in."""
    parts: dict[str, list[tuple[Array, Array, Array]]] = defaultdict(list)
    call = channel.unary_stream(
        _HISTORY,
        request_serializer=metric_pb2.GetMetricHistoryRequest.SerializeToString,
        response_deserializer=_Answer.FromString,
    )
    for message in call(metric_pb2.GetMetricHistoryRequest(run_ids=[run_id])):
        for entry in message.blocks:
            block = entry.block
            times = np.frombuffer(packed.numbers(block.timestamps_ms), "<i8")
            if block.WhichOneof("axis") == "steps":
                steps = np.frombuffer(packed.numbers(block.steps.steps), "<i8")
            else:
                steps = block.range.first + block.range.stride * np.arange(len(times))
            bits = np.frombuffer(packed.numbers(block.values), "<u8").reshape(len(times), -1)
            for number, key in enumerate(block.keys):
                parts[key].append((steps, times, bits[:, number]))
    joined: Columns = {}
    for key, columns in parts.items():
        steps, times, bits = (np.concatenate(part) for part in zip(*columns, strict=True))
        joined[key] = (steps, times, bits)
    return joined


def _differences(found: tuple[Array, Array, Array], expected: tuple[Array, Array, Array]) -> list[str]:
    if all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True)):
        return []
    there, counts = np.unique(found[0], return_counts=True)
    lost = np.setdiff1d(expected[0], there)
    doubled = there[counts > 1]
    strange = np.setdiff1d(there, expected[0])
    named = {"lost": lost, "there more than once": doubled, "never sent": strange}
    said = [
        f"{what}: {len(steps)} points, from step {steps[0]}" for what, steps in named.items() if len(steps)
    ]
    return said or ["other points or another order"]


def _children(channel: grpc.Channel, plan: Plan, through: int) -> list[str]:
    stub = run_pb2_grpc.RunServiceStub(channel)
    problems = []
    for run_id in sorted(plan.children(through)):
        try:
            run = stub.GetRun(run_pb2.GetRunRequest(run_id=run_id)).run
        except grpc.RpcError as error:
            problems.append(f"{plan.name}: run {run_id}: {error}")
            continue
        if run.status != run_pb2.RUN_STATUS_FINISHED or len(run.params) != 1:
            problems.append(f"{plan.name}: run {run_id} is in parts: {run}")
    return problems


def _bits(value: float) -> int:
    return int(np.float64(value).view(np.uint64))
