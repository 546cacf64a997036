"""The life of experiments, on every storage."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from tests.support.messages import as_dict, delete_experiment, get_experiment, new_experiment, tags_of

from runwire.v1 import experiment_pb2 as pb
from runwire_server.errors import AlreadyExists, FailedPrecondition, NotFound
from runwire_server.storage.base import Stores

ACTIVE, DELETED = pb.LIFECYCLE_STAGE_ACTIVE, pb.LIFECYCLE_STAGE_DELETED


async def rename(stores: Stores, experiment_id: str, name: str) -> pb.Experiment:
    request = pb.UpdateExperimentRequest(
        experiment_id=experiment_id, name=name, update_mask=FieldMask(paths=["name"])
    )
    return (await stores.experiments.update(request)).experiment


async def restore(stores: Stores, experiment_id: str) -> pb.Experiment:
    request = pb.RestoreExperimentRequest(experiment_id=experiment_id)
    return (await stores.experiments.restore(request)).experiment


async def set_tags(stores: Stores, experiment_id: str, **tags: str) -> None:
    request = pb.SetExperimentTagsRequest(experiment_id=experiment_id, tags=tags_of(tags))
    await stores.experiments.set_tags(request)


async def delete_tag(stores: Stores, experiment_id: str, key: str) -> None:
    await stores.experiments.delete_tag(pb.DeleteExperimentTagRequest(experiment_id=experiment_id, key=key))


async def by_name(stores: Stores, name: str) -> pb.Experiment:
    return (await stores.experiments.get(pb.GetExperimentRequest(name=name))).experiment


async def search(stores: Stores, **fields: Any) -> list[str]:
    request = pb.SearchExperimentsRequest(**fields)
    names: list[str] = []
    while True:
        page = await stores.experiments.search(request)
        names += [e.name for e in page.experiments]
        if not page.next_page_token:
            return names
        request.page_token = page.next_page_token


async def test_a_fresh_storage_has_the_default_experiment(stores: Stores) -> None:
    default = await get_experiment(stores, "0")
    assert (default.experiment_id, default.name, default.lifecycle_stage) == ("0", "Default", ACTIVE)
    assert await search(stores) == ["Default"]


async def test_what_is_created_can_be_read_by_id_and_by_name(stores: Stores, clock: Any) -> None:
    request = pb.CreateExperimentRequest(name="wine", tags=tags_of({"b": "2", "a": ""}))
    created = (await stores.experiments.create(request)).experiment
    assert created.experiment_id.isdecimal()
    assert created.lifecycle_stage == ACTIVE
    assert list(as_dict(created.tags).items()) == [("a", ""), ("b", "2")]
    assert created.create_time.ToMilliseconds() == created.update_time.ToMilliseconds() == clock.now
    assert await get_experiment(stores, created.experiment_id) == created
    assert await by_name(stores, "wine") == created


async def test_a_name_belongs_to_one_experiment_also_while_it_is_deleted(stores: Stores) -> None:
    first = await new_experiment(stores, "wine")
    with pytest.raises(AlreadyExists) as taken:
        await new_experiment(stores, "wine")
    assert taken.value.reason == "EXPERIMENT_EXISTS"
    assert taken.value.metadata == {"name": "wine", "experiment_id": first, "lifecycle_stage": "active"}
    await delete_experiment(stores, first)
    with pytest.raises(AlreadyExists) as taken:
        await new_experiment(stores, "wine")
    assert taken.value.metadata["lifecycle_stage"] == "deleted"
    other = await new_experiment(stores, "beer")
    with pytest.raises(AlreadyExists) as taken:
        await rename(stores, other, "wine")
    assert taken.value.reason == "EXPERIMENT_EXISTS"
    assert (await get_experiment(stores, other)).name == "beer"


@pytest.mark.parametrize("name", ["Wine", "wine ", "wïne", "wi\u0308ne", "WINE"])
async def test_names_are_compared_byte_by_byte(stores: Stores, name: str) -> None:
    wine = await new_experiment(stores, "wine")
    with pytest.raises(NotFound):
        await by_name(stores, name)
    other = await new_experiment(stores, name)
    assert (await by_name(stores, name)).experiment_id == other
    assert (await by_name(stores, "wine")).experiment_id == wine


async def test_rename(stores: Stores, clock: Any) -> None:
    wine = await new_experiment(stores, "wine")
    clock.now += 5
    renamed = await rename(stores, wine, "beer")
    assert renamed.name == "beer"
    assert renamed.update_time.ToMilliseconds() == clock.now
    assert renamed.create_time.ToMilliseconds() == clock.now - 5
    # Its own name is free for it, the old one for others.
    assert (await rename(stores, wine, "beer")).name == "beer"
    assert await new_experiment(stores, "wine") != wine


async def test_delete_and_restore(stores: Stores, clock: Any) -> None:
    wine = await new_experiment(stores, "wine", tags=tags_of({"a": "1"}))
    clock.now += 5
    answer = await stores.experiments.delete(pb.DeleteExperimentRequest(experiment_id=wine))
    assert answer.experiment.lifecycle_stage == DELETED
    assert answer.experiment.update_time.ToMilliseconds() == clock.now
    assert await get_experiment(stores, wine) == answer.experiment
    clock.now += 5
    again = await stores.experiments.delete(pb.DeleteExperimentRequest(experiment_id=wine))
    assert again == answer
    assert await search(stores) == ["Default"]
    assert await search(stores, view=pb.LIFECYCLE_VIEW_DELETED_ONLY) == ["wine"]
    assert sorted(await search(stores, view=pb.LIFECYCLE_VIEW_ALL)) == ["Default", "wine"]
    restored = await restore(stores, wine)
    assert restored.lifecycle_stage == ACTIVE
    assert as_dict(restored.tags) == {"a": "1"}
    assert restored.update_time.ToMilliseconds() == clock.now
    clock.now += 5
    assert await restore(stores, wine) == restored


async def test_a_deleted_experiment_can_not_change(stores: Stores) -> None:
    wine = await new_experiment(stores, "wine", tags=tags_of({"a": "1"}))
    await delete_experiment(stores, wine)
    before = await get_experiment(stores, wine)
    for change in (
        lambda: rename(stores, wine, "beer"),
        lambda: set_tags(stores, wine, a="2"),
        lambda: delete_tag(stores, wine, "a"),
    ):
        with pytest.raises(FailedPrecondition) as refused:
            await change()
        assert refused.value.reason == "EXPERIMENT_DELETED"
        assert refused.value.metadata == {"experiment_id": wine}
    assert await get_experiment(stores, wine) == before


async def test_the_default_experiment_is_protected(stores: Stores) -> None:
    for change in (lambda: rename(stores, "0", "other"), lambda: delete_experiment(stores, "0")):
        with pytest.raises(FailedPrecondition) as refused:
            await change()
        assert refused.value.reason == "EXPERIMENT_PROTECTED"
    await set_tags(stores, "0", a="1")
    assert as_dict((await get_experiment(stores, "0")).tags) == {"a": "1"}


@pytest.mark.parametrize("experiment_id", ["77", str(2**63 - 1)])
async def test_an_unknown_experiment(stores: Stores, experiment_id: str) -> None:
    for call in (
        lambda: get_experiment(stores, experiment_id),
        lambda: rename(stores, experiment_id, "x"),
        lambda: delete_experiment(stores, experiment_id),
        lambda: restore(stores, experiment_id),
        lambda: set_tags(stores, experiment_id, a="1"),
        lambda: delete_tag(stores, experiment_id, "a"),
    ):
        with pytest.raises(NotFound) as unknown:
            await call()
        assert unknown.value.reason == "EXPERIMENT_NOT_FOUND"
        assert unknown.value.metadata == {"experiment_id": experiment_id}
    with pytest.raises(NotFound) as unknown:
        await by_name(stores, "nowhere")
    assert unknown.value.metadata == {"name": "nowhere"}


async def test_tags_overwrite_and_go(stores: Stores, clock: Any) -> None:
    wine = await new_experiment(stores, "wine", tags=tags_of({"a": "1", "b": "2"}))
    clock.now += 1
    await set_tags(stores, wine, b="3", c="4")
    found = await get_experiment(stores, wine)
    assert as_dict(found.tags) == {"a": "1", "b": "3", "c": "4"}
    assert found.update_time.ToMilliseconds() == clock.now
    await delete_tag(stores, wine, "a")
    with pytest.raises(NotFound) as unknown:
        await delete_tag(stores, wine, "a")
    assert (unknown.value.reason, unknown.value.metadata) == ("TAG_NOT_FOUND", {"key": "a"})
    assert as_dict((await get_experiment(stores, wine)).tags) == {"b": "3", "c": "4"}


async def test_the_newest_experiment_comes_first(stores: Stores, clock: Any) -> None:
    # The Default experiment was made by the real clock, which is not the test's.
    everything = {"filter": "name LIKE 'e%'"}
    for name in ("e1", "e2", "e3"):
        clock.now += 1
        await new_experiment(stores, name)
    # Created in the same millisecond: the lower id first.
    await new_experiment(stores, "e4")
    assert await search(stores, **everything) == ["e3", "e4", "e2", "e1"]
    for size in (1, 2, 3, 4, 5):
        assert await search(stores, page_size=size, **everything) == ["e3", "e4", "e2", "e1"]
    assert await search(stores, order_by=["name"], **everything) == ["e1", "e2", "e3", "e4"]
    assert await search(stores, order_by=["name DESC"], page_size=3, **everything) == ["e4", "e3", "e2", "e1"]


async def test_search_sees_tags_names_and_case(stores: Stores) -> None:
    await new_experiment(stores, "Wine", tags=tags_of({"team": "Red"}))
    await new_experiment(stores, "wine", tags=tags_of({"team": "red"}))
    assert await search(stores, filter="tags.team = 'red'") == ["wine"]
    assert await search(stores, filter="name LIKE 'W%'") == ["Wine"]
    assert sorted(await search(stores, filter="name ILIKE 'W%'")) == ["Wine", "wine"]
    assert await search(stores, filter="tags.Team = 'red'") == []


async def test_an_experiment_made_while_paging_disturbs_no_page(stores: Stores, clock: Any) -> None:
    for name in ("e1", "e2", "e3", "e4"):
        clock.now += 1
        await new_experiment(stores, name)
    request = pb.SearchExperimentsRequest(filter="name LIKE 'e%'", page_size=2)
    first = await stores.experiments.search(request)
    clock.now += 1
    await new_experiment(stores, "e5")
    request.page_token = first.next_page_token
    second = await stores.experiments.search(request)
    assert [e.name for e in (*first.experiments, *second.experiments)] == ["e4", "e3", "e2", "e1"]
    assert second.next_page_token == ""
