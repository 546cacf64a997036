"""Purge: for good, in bounded steps, and finished later when it is interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.duration_pb2 import Duration
from tests.support.messages import (
    block,
    column,
    delete_experiment,
    delete_run,
    find,
    get_experiment,
    get_run,
    history,
    log,
    new_experiment,
    new_run,
    params_of,
    point,
    tags_of,
)

from runwire.v1 import experiment_pb2, run_pb2, server_pb2
from runwire_server.errors import AlreadyExists, FailedPrecondition, NotFound
from runwire_server.metrics import backlogs
from runwire_server.storage.base import Stores
from runwire_server.storage.purge import RUN_CHILDREN, STEP, SqlMaintenance
from runwire_server.storage.schema import datasets, experiment_tags, experiments, run_inputs, runs
from runwire_server.storage.summaries import SqlSummaries

RUN_ID = "0198c0ffee00700080000000000000ff"
CHILDREN = (*RUN_CHILDREN, run_inputs)
ALL_VIEW = experiment_pb2.LIFECYCLE_VIEW_ALL


async def purge(stores: Stores, seconds: int = 0) -> tuple[int, int]:
    request = server_pb2.PurgeRequest(older_than=Duration(seconds=seconds))
    answer = await stores.maintenance.purge(request)
    return answer.runs, answer.experiments


async def full_run(stores: Stores, experiment: str = "0", **fields: Any) -> str:
    """Creates a run that has rows in every table."""
    values = {"params": params_of({"p": "x"}), "tags": tags_of({"t": "x"})}
    run = (await new_run(stores, experiment, **values, **fields)).run_id
    wide = [f"w{i}" for i in range(9)]
    await log(stores, run, column("m", (1, 1.0)), block(wide, [(1, [1.0] * 9)]))
    # A search has the summaries stored that it names.
    await find(stores, experiment, filter=" OR ".join(f"metrics.{key} > 1" for key in ("m", *wide)))
    entry = run_pb2.DatasetInput(dataset=run_pb2.Dataset(name="d", digest="1"))
    await stores.runs.log_inputs(run_pb2.LogInputsRequest(run_id=run, inputs=[entry]))
    return run


async def row_counts(world: Any, tables: Sequence[sa.Table] = CHILDREN) -> dict[str, int]:
    """Counts the rows of tables."""

    def count(connection: sa.Connection) -> dict[str, int]:
        query = {t.name: sa.select(sa.func.count()).select_from(t) for t in tables}
        return {name: connection.scalar(q) or 0 for name, q in query.items()}

    counts: dict[str, int] = await world.engine.read(count)
    return counts


async def test_a_deleted_run_is_gone_and_its_id_stays_taken(world: Any) -> None:
    stores = world.stores
    kept = await full_run(stores)
    before = await row_counts(world)
    gone = await full_run(stores, run_id=RUN_ID)
    await delete_run(stores, gone)
    assert await purge(stores) == (1, 0)
    assert await row_counts(world) == before
    with pytest.raises(NotFound) as unknown:
        await get_run(stores, gone)
    assert unknown.value.reason == "RUN_NOT_FOUND"
    with pytest.raises(NotFound):
        await history(stores, kept, gone)
    for call in (
        lambda: log(stores, gone, tags={"t": "1"}),
        lambda: stores.runs.restore(run_pb2.RestoreRunRequest(run_id=gone)),
        lambda: delete_run(stores, gone),
        lambda: new_run(stores, run_id=gone),
        lambda: new_run(stores, run_id=gone, allow_existing=True),
    ):
        with pytest.raises(FailedPrecondition) as purged:
            await call()
        assert (purged.value.reason, purged.value.metadata) == ("RUN_PURGED", {"run_id": gone})
    with pytest.raises(FailedPrecondition) as invalid:
        await new_run(stores, parent_run_id=gone)
    assert invalid.value.metadata["why"] == "not_found"
    for text in ("", "params.p = 'x'", "metrics.m = 1", "tags.t = 'x'", "dataset.name = 'd'"):
        assert await find(stores, "0", filter=text, view=ALL_VIEW) == [kept]
    assert (await history(stores, kept))[kept]["m"] == [point(1, 1.0)]
    assert await purge(stores) == (0, 0)


async def test_a_data_set_goes_with_the_last_run_that_has_it(world: Any) -> None:
    runs_of_set = [await full_run(world.stores) for _ in range(3)]
    for left, run in zip((1, 1, 0), runs_of_set, strict=True):
        await delete_run(world.stores, run)
        assert await purge(world.stores) == (1, 0)
        assert await row_counts(world, [datasets]) == {"datasets": left}


async def test_what_is_not_deleted_stays(stores: Stores) -> None:
    kept = await full_run(stores)
    restored = await full_run(stores)
    await delete_run(stores, restored)
    await stores.runs.restore(run_pb2.RestoreRunRequest(run_id=restored))
    before = await get_run(stores, kept), await get_run(stores, restored)
    assert await purge(stores) == (0, 0)
    assert (await get_run(stores, kept), await get_run(stores, restored)) == before


async def test_a_deleted_experiment_goes_with_its_runs_and_frees_its_name(world: Any) -> None:
    stores = world.stores
    before = await row_counts(world, [*CHILDREN, datasets, experiment_tags, experiments])
    wine = await new_experiment(stores, "wine", tags=tags_of({"a": "1"}))
    inside = [await full_run(stores, wine, run_id=RUN_ID), await full_run(stores, wine)]
    await delete_run(stores, inside[1])
    await delete_experiment(stores, wine)
    assert await purge(stores) == (2, 1)
    assert await row_counts(world, [*CHILDREN, datasets, experiment_tags, experiments]) == before
    with pytest.raises(NotFound):
        await get_experiment(stores, wine)
    with pytest.raises(NotFound):
        await stores.experiments.restore(experiment_pb2.RestoreExperimentRequest(experiment_id=wine))
    for run in inside:
        with pytest.raises(NotFound):
            await get_run(stores, run)
    with pytest.raises(FailedPrecondition) as purged:
        await new_run(stores, run_id=RUN_ID)
    assert purged.value.reason == "RUN_PURGED"
    # The name is free, the id is not.
    again = await new_experiment(stores, "wine")
    assert int(again) > int(wine)


async def test_the_id_of_the_last_experiment_is_not_used_again(stores: Stores) -> None:
    ids = []
    for _ in range(3):
        ids.append(int(await new_experiment(stores, "wine")))
        await delete_experiment(stores, str(ids[-1]))
        assert await purge(stores) == (0, 1)
    assert ids == sorted(set(ids))


async def test_only_what_was_deleted_long_enough_ago(stores: Stores, clock: Any) -> None:
    old, young = await full_run(stores), await full_run(stores)
    wine, beer = await new_experiment(stores, "wine"), await new_experiment(stores, "beer")
    in_wine = await full_run(stores, wine)
    await delete_run(stores, old)
    await delete_experiment(stores, wine)
    clock.now += 1
    await delete_run(stores, young)
    await delete_experiment(stores, beer)
    # A run that was deleted on its own long ago goes, though its experiment was deleted just now.
    clock.now += 9_999
    assert await purge(stores, seconds=11) == (0, 0)
    assert await purge(stores, seconds=10) == (2, 1)
    for run in (old, in_wine):
        with pytest.raises(NotFound):
            await get_run(stores, run)
    await get_run(stores, young)
    await get_experiment(stores, beer)
    clock.now += 1
    assert await purge(stores, seconds=10) == (1, 1)


class Watched:
    """An engine that counts rows around each write, and fails when told to."""

    def __init__(self, world: Any, fail_at: int = -1) -> None:
        self.engine = world.engine
        self._world = world
        self._fail_at = fail_at
        self.removed: list[int] = []

    async def write(self, unit: Any) -> Any:
        if len(self.removed) == self._fail_at:
            raise ConnectionError("interrupted")
        before = sum((await row_counts(self._world)).values())
        result = await self.engine.write(unit)
        self.removed.append(before - sum((await row_counts(self._world)).values()))
        return result


async def folded(world: Any) -> None:
    """Waits until all summaries are stored, so that no rows come while some are counted."""
    while await SqlSummaries(world.engine).unfolded():  # noqa: ASYNC110 - nothing tells across servers
        await asyncio.sleep(0.05)


async def test_removal_goes_in_bounded_steps(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nor does compaction take rows away meanwhile, however long it takes.
    monkeypatch.setattr(backlogs, "QUIET_SECONDS", 3600.0)
    stores = world.stores
    many = {f"k{i}": "v" for i in range(1_000)}
    for _ in range(3):
        run = await full_run(stores)
        await log(stores, run, params=many, tags=many)
        await log(stores, run, block(sorted(many), [(1, [1.0] * 1_000)]))
        await asyncio.gather(*(log(stores, run, column("m", (step, 1.0))) for step in range(60)))
        await delete_run(stores, run)
    small = await asyncio.gather(*(full_run(stores) for _ in range(60)))
    await asyncio.gather(*(delete_run(stores, run) for run in small))
    await folded(world)
    total = sum((await row_counts(world)).values())
    watched = Watched(world)
    answer = await SqlMaintenance(watched, world.clock).purge(server_pb2.PurgeRequest())
    assert answer.runs == 63
    assert sum(watched.removed) == total
    # Marking removes nothing; then no step takes much more than its bound.
    assert watched.removed[0] == 0
    assert max(watched.removed) <= 2 * STEP
    assert 6 <= len(watched.removed) <= 40


async def test_an_interrupted_purge_is_finished_later(world: Any) -> None:
    stores = world.stores
    before = await row_counts(world, [*CHILDREN, datasets, experiment_tags, experiments])
    steps = 0
    while True:
        wine = await new_experiment(stores, "wine", tags=tags_of({"a": "1"}))
        alone, inside = await full_run(stores), await full_run(stores, wine)
        await delete_run(stores, alone)
        await delete_experiment(stores, wine)
        # Marking always succeeds: before that, there is nothing to finish.
        steps += 1
        try:
            await SqlMaintenance(Watched(world, steps), world.clock).purge(server_pb2.PurgeRequest())
            break
        except ConnectionError:
            pass
        await assert_purged(stores, alone, inside, wine)
        await stores.maintenance.finish_purges()
        assert await row_counts(world, [*CHILDREN, datasets, experiment_tags, experiments]) == before
    assert steps >= 4
    await assert_purged(stores, alone, inside, wine)


async def assert_purged(stores: Stores, alone: str, inside: str, experiment: str) -> None:
    """What callers see does not depend on how far the removal has got."""
    for run in (alone, inside):
        with pytest.raises(NotFound):
            await get_run(stores, run)
        with pytest.raises(FailedPrecondition) as purged:
            await log(stores, run, tags={"t": "1"})
        assert purged.value.reason == "RUN_PURGED"
    with pytest.raises(NotFound):
        await get_experiment(stores, experiment)
    with pytest.raises(NotFound):
        await find(stores, experiment)
    for text in ("", "params.p = 'x'", "tags.t = 'x'", "metrics.m = 1", "dataset.name = 'd'"):
        for order in ([], ["params.p"], ["metrics.m DESC"], ["run_name"]):
            assert await find(stores, "0", filter=text, order_by=order, view=ALL_VIEW) == [], text


async def test_the_name_is_free_once_removal_is_done(world: Any) -> None:
    stores = world.stores
    wine = await new_experiment(stores, "wine")
    await delete_experiment(stores, wine)
    with pytest.raises(ConnectionError):
        await SqlMaintenance(Watched(world, 1), world.clock).purge(server_pb2.PurgeRequest())
    with pytest.raises(AlreadyExists) as taken:
        await new_experiment(stores, "wine")
    assert taken.value.metadata["lifecycle_stage"] == "deleted"
    await stores.maintenance.finish_purges()
    await new_experiment(stores, "wine")


async def test_a_purged_run_leaves_a_small_tombstone(world: Any) -> None:
    run = await full_run(world.stores)
    await delete_run(world.stores, run)
    await purge(world.stores)
    query = sa.select(runs.c.run_id, runs.c.purging)
    assert await world.engine.read(lambda c: [tuple(r) for r in c.execute(query)]) == [(run, 0)]
