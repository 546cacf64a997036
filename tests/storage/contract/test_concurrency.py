"""Many callers at once, and callers that go away."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from tests.support.messages import (
    as_dict,
    block,
    column,
    delete_run,
    find,
    get_run,
    history,
    log,
    new_experiment,
    new_run,
    params_of,
    point,
)

from runwire.v1 import experiment_pb2, run_pb2, server_pb2
from runwire_server.errors import AlreadyExists, FailedPrecondition, NotFound, RunwireError
from runwire_server.storage.base import Stores

RUN_ID = "0198c0ffee00700080000000000000ff"


async def outcomes(*calls: Any) -> list[Any]:
    """Runs calls at once; a failure that callers are promised is an outcome."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, RunwireError):
            raise result
    return results


async def test_writers_of_one_run_lose_nothing(stores: Stores) -> None:
    run = (await new_run(stores)).run_id
    await asyncio.gather(
        *(
            log(
                stores,
                run,
                block(["a", "b"], [(step, [1.0, float(step)]), (step, [2.0, -float(step)])]),
                tags={f"t{step % 7}": "x"},
                params={f"p{step % 5}": "x"},
            )
            for step in range(60)
        )
    )
    found = await get_run(stores, run)
    assert (len(found.tags), len(found.params)) == (7, 5)
    assert {m.key: (m.count, m.min_value, m.max_value) for m in found.metrics} == {
        "a": (120, 1.0, 2.0),
        "b": (120, -59.0, 59.0),
    }
    points = (await history(stores, run))[run]
    assert points["a"] == [point(step, value) for step in range(60) for value in (1.0, 2.0)]
    assert points["b"] == [point(step, sign * step) for step in range(60) for sign in (1.0, -1.0)]


async def test_one_of_many_values_of_a_param_wins(stores: Stores) -> None:
    run = (await new_run(stores)).run_id
    results = await outcomes(*(log(stores, run, params={"p": str(i), f"q{i}": ""}) for i in range(12)))
    lost = [r for r in results if isinstance(r, FailedPrecondition)]
    assert [r.reason for r in lost] == ["PARAM_IMMUTABLE"] * 11
    params = as_dict((await get_run(stores, run)).params)
    assert set(params) == {"p", f"q{params['p']}"}
    assert {r.metadata["stored"] for r in lost} == {params["p"]}


async def test_the_processes_of_one_job_create_one_run(stores: Stores) -> None:
    request = {"run_id": RUN_ID, "name": "job", "params": params_of({"p": "1"})}
    created = await asyncio.gather(*(new_run(stores, **request) for _ in range(12)))
    assert all(run == created[0] for run in created)
    assert await find(stores, "0") == [RUN_ID]


async def test_one_of_many_payloads_creates_the_run(stores: Stores) -> None:
    request = {"run_id": RUN_ID}
    results = await outcomes(*(new_run(stores, name=f"n{i}", **request) for i in range(12)))
    (won,) = [r for r in results if isinstance(r, run_pb2.Run)]
    assert {r.reason for r in results if isinstance(r, AlreadyExists)} == {"RUN_EXISTS"}
    assert await get_run(stores, RUN_ID) == won
    others = await asyncio.gather(
        *(new_run(stores, name=f"m{i}", allow_existing=True, **request) for i in range(12))
    )
    assert all(run == won for run in others)


async def test_one_of_many_gets_the_name(stores: Stores) -> None:
    results = await outcomes(*(new_experiment(stores, "wine") for _ in range(12)))
    (won,) = [r for r in results if isinstance(r, str)]
    lost = [r for r in results if isinstance(r, AlreadyExists)]
    assert len(lost) == 11
    assert {r.metadata["experiment_id"] for r in lost} == {won}


async def test_repeats_at_once_are_applied_once(stores: Stores) -> None:
    run = (await new_run(stores)).run_id
    await asyncio.gather(*(log(stores, run, column("a", (1, 1.0)), request_id="batch") for _ in range(12)))
    assert (await history(stores, run))[run] == {"a": [point(1, 1.0)]}
    request = run_pb2.CreateRunRequest(experiment_id="0", request_id="create")
    answers = await asyncio.gather(*(stores.runs.create(request) for _ in range(12)))
    assert all(answer == answers[0] for answer in answers)
    assert len(await find(stores, "0")) == 2


async def test_a_purge_beside_writers(stores: Stores) -> None:
    doomed = [(await new_run(stores)).run_id for _ in range(6)]
    kept = (await new_run(stores)).run_id

    async def write(run: str, step: int) -> None:
        await log(stores, run, column("a", (step, 1.0)), params={f"p{step}": "1"})

    await asyncio.gather(*(delete_run(stores, run) for run in doomed))
    results = await outcomes(
        stores.maintenance.purge(server_pb2.PurgeRequest()),
        *(write(run, step) for step in range(8) for run in (kept, *doomed)),
    )
    reasons = Counter(r.reason for r in results if isinstance(r, RunwireError))
    assert set(reasons) <= {"RUN_DELETED", "RUN_PURGED"}
    assert reasons.total() == 8 * len(doomed)
    assert await find(stores, "0", view=experiment_pb2.LIFECYCLE_VIEW_ALL) == [kept]
    assert len((await history(stores, kept))[kept]["a"]) == 8


async def test_a_mixed_crowd_meets_only_documented_errors(stores: Stores) -> None:
    chance = random.Random(3)
    experiments = ["0", await new_experiment(stores, "wine")]
    runs = [(await new_run(stores, chance.choice(experiments))).run_id for _ in range(4)]

    async def act(number: int) -> None:
        run, experiment = chance.choice(runs), experiments[1]
        request_id = f"id-{chance.randrange(40)}" if chance.random() < 0.3 else ""
        match chance.randrange(9):
            case 0:
                runs.append((await new_run(stores, chance.choice(experiments))).run_id)
            case 1:
                await delete_run(stores, run)
            case 2:
                await stores.runs.restore(run_pb2.RestoreRunRequest(run_id=run))
            case 3:
                await stores.experiments.delete(
                    experiment_pb2.DeleteExperimentRequest(experiment_id=experiment)
                )
            case 4:
                await stores.experiments.restore(
                    experiment_pb2.RestoreExperimentRequest(experiment_id=experiment)
                )
            case 5:
                if number % 20 == 0:
                    await stores.maintenance.purge(server_pb2.PurgeRequest())
            case 6:
                await find(stores, *experiments, filter="metrics.a > 0", page_size=2)
            case _:
                await log(stores, run, column("a", (number, 1.0)), tags={"t": "1"}, request_id=request_id)

    async def worker(worker_number: int) -> list[Any]:
        return [(await outcomes(act(worker_number * 100 + i)))[0] for i in range(40)]

    results = await asyncio.gather(*(worker(n) for n in range(8)))
    reasons = {r.reason for some in results for r in some if isinstance(r, RunwireError)}
    assert reasons <= {
        "RUN_DELETED",
        "RUN_PURGED",
        "RUN_NOT_FOUND",
        "EXPERIMENT_DELETED",
        "EXPERIMENT_NOT_FOUND",
        "REQUEST_ID_REUSED",
    }
    # The summary of each run that is left is that of its history.
    for run in runs:
        try:
            found, points = await get_run(stores, run), await history(stores, run)
        except NotFound:
            continue
        assert [m.count for m in found.metrics] == [len(p) for p in points.get(run, {}).values()]


@pytest.mark.parametrize("wait", [0, 1, 2, 5, 20])
async def test_a_cancelled_write_is_stored_whole_or_not_at_all(stores: Stores, wait: int) -> None:
    run = (await new_run(stores)).run_id
    keys = [f"k{i}" for i in range(20)]
    tasks = [
        asyncio.ensure_future(
            log(stores, run, block(keys, [(step, [1.0] * 20)]), params={f"p{step}": "1"}, tags={"t": "1"})
        )
        for step in range(40)
    ]
    # Gone before their turn, in the middle of it, or behind it.
    for _ in range(wait):
        await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(r, run_pb2.LogBatchResponse) for r in results[1::2])
    answered = {step for step, r in enumerate(results) if isinstance(r, run_pb2.LogBatchResponse)}
    # What is under way when its caller leaves may still be committed, also between two reads.
    params, stored = {""}, set[int]()
    while params != {f"p{step}" for step in stored}:
        params = {p.key for p in (await get_run(stores, run)).params}
        points = (await history(stores, run))[run]
        stored = {p.step for p in points["k0"]}
    assert answered <= stored
    for key in keys:
        assert points[key] == [point(step, 1.0) for step in sorted(stored)]


async def test_readers_that_leave_do_not_hold_up_others(stores: Stores) -> None:
    run = (await new_run(stores)).run_id
    await log(stores, run, column("a", *((step, 1.0) for step in range(1_000))))
    for wait in range(25):
        tasks = [asyncio.ensure_future(history(stores, run)) for _ in range(20)]
        for _ in range(wait):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(get_run(stores, run) for _ in range(40)))
    await asyncio.gather(*(log(stores, run, column("a", (step, 1.0))) for step in range(40)))
    assert len((await history(stores, run))[run]["a"]) == 1_040
