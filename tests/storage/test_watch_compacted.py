"""Watches that catch up while the log beneath them is compacted: each point once, each key's in order."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np
import pytest
from tests.support.messages import new_run

from runwire.v1 import metric_pb2, run_pb2
from runwire_server.domain import watch_messages
from runwire_server.domain.blocks import Points
from runwire_server.metrics.compactor import Compactor
from runwire_server.metrics.watch import Watches
from runwire_server.storage.base import Stores

SETS = (("a",), ("b", "c"), tuple(f"wide{n:02}" for n in range(20)))
BATCHES = 60
Steps = dict[str, list[int]]


async def log(stores: Stores, run_id: str, number: int) -> Steps:
    """Logs a batch of which each step is there once; returns them by key."""
    keys = SETS[number % len(SETS)]
    rows = 40 + number % 7
    steps = np.arange(1_000 * number, 1_000 * number + rows)
    points = Points.of(keys, steps, steps, np.ones((rows, len(keys))))
    await stores.runs.log_batch(run_pb2.LogBatchRequest(run_id=run_id), [points])
    return {key: steps.tolist() for key in keys}


async def messages(
    watches: Watches, run_id: str, cursor: str = "", keys: tuple[str, ...] = ()
) -> AsyncGenerator[metric_pb2.WatchMetricsResponse, None]:
    """Watches from the start, or from a cursor on."""
    request = metric_pb2.WatchMetricsRequest(run_ids=[run_id], cursor=cursor, keys=keys, from_start=True)
    async with aclosing(watches.watch(request)) as answers:
        async for found in answers:
            yield metric_pb2.WatchMetricsResponse.FromString(found.SerializeToString())


def take(steps: Steps, message: metric_pb2.WatchMetricsResponse) -> None:
    """Adds the steps of a message by key."""
    assert not message.resync_run_ids
    for one in message.blocks:
        for key in one.block.keys:
            steps.setdefault(key, []).extend(one.block.steps.steps)


def count(steps: Steps) -> int:
    return sum(map(len, steps.values()))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many messages of few points."""
    monkeypatch.setattr(watch_messages, "MESSAGE_BYTES", 3_000)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("keys", [(), ("c", "wide07")])
async def test_a_watch_goes_on_through_compactions(stores: Stores, keys: tuple[str, ...]) -> None:
    watches, compactor = Watches(stores.metrics, 60.0), Compactor(stores.compaction)
    run_id = (await new_run(stores)).run_id
    (run,) = await stores.metrics.find([run_id])
    expected: Steps = {}
    seen: Steps = {}
    cursor = ""
    chance = random.Random(5)
    for number in range(BATCHES):
        for key, steps in (await log(stores, run_id, number)).items():
            if not keys or key in keys:
                expected.setdefault(key, []).extend(steps)
        if chance.random() < 0.3:
            await compactor.compact(run)
        if chance.random() < 0.5:
            # A few messages, and on from the last cursor another time.
            reading = messages(watches, run_id, cursor, keys)
            for _ in range(chance.randrange(1, 8)):
                if cursor and count(seen) == count(expected):
                    break
                message = await anext(reading)
                take(seen, message)
                cursor = message.cursor
                if chance.random() < 0.2:
                    await compactor.compact(run)
            await reading.aclose()
    await compactor.compact(run)
    reading = messages(watches, run_id, cursor, keys)
    while count(seen) < count(expected):
        take(seen, await anext(reading))
    await reading.aclose()
    assert seen == expected
    assert watches.watchers == 0


@pytest.mark.usefixtures("small")
async def test_every_cursor_of_a_compacted_run_is_a_place_to_go_on(stores: Stores) -> None:
    watches, compactor = Watches(stores.metrics, 60.0), Compactor(stores.compaction)
    run_id = (await new_run(stores)).run_id
    (run,) = await stores.metrics.find([run_id])
    total = 0
    for number in range(12):
        total += count(await log(stores, run_id, number))
    await compactor.compact(run)
    whole: list[metric_pb2.WatchMetricsResponse] = []
    everything: Steps = {}
    async with aclosing(messages(watches, run_id)) as answers:
        while count(everything) < total:
            whole.append(await anext(answers))
            take(everything, whole[-1])
    assert len(whole) > 10
    for i in range(len(whole) - 1):
        after: Steps = {}
        for message in whole[i + 1 :]:
            take(after, message)
        rest: Steps = {}
        async with aclosing(messages(watches, run_id, whole[i].cursor)) as answers:
            while count(rest) < count(after):
                take(rest, await anext(answers))
        assert rest == after
