"""Params, tags and inputs of runs, on every storage."""

from __future__ import annotations

import pytest
from tests.support.messages import (
    as_dict,
    column,
    get_run,
    history,
    log,
    new_experiment,
    new_run,
    params_of,
    point,
    tags_of,
)

from runwire.v1 import run_pb2 as pb
from runwire_server.errors import FailedPrecondition, NotFound
from runwire_server.storage.base import Stores

# In the order of their code points, which is also that of their bytes in UTF-8. Languages would put `a`
# beside `A`, and UTF-16 the emoji (a surrogate pair) before U+FF21.
CODE_POINTS = ["A", "Z", "_", "a", "ab", "b", "z", "Ä", "ß", "ä", "ﬀ", "Ａ", "🏔"]


@pytest.fixture
async def run(stores: Stores) -> str:
    return (await new_run(stores, params=params_of({"a": "1"}), tags=tags_of({"a": "1"}))).run_id


async def test_a_param_is_written_once(stores: Stores, run: str) -> None:
    await log(stores, run, params={"a": "1", "b": "2"})
    with pytest.raises(FailedPrecondition) as refused:
        await log(stores, run, params={"b": "3"})
    assert refused.value.reason == "PARAM_IMMUTABLE"
    assert refused.value.metadata == {"run_id": run, "key": "b", "stored": "2", "sent": "3"}
    assert as_dict((await get_run(stores, run)).params) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("other", ["", "1 ", "１", "01", "1.0"])
async def test_another_value_is_one_that_differs_in_any_byte(stores: Stores, run: str, other: str) -> None:
    with pytest.raises(FailedPrecondition):
        await log(stores, run, params={"a": other})


async def test_a_long_value_is_shortened_in_the_error_only(stores: Stores, run: str) -> None:
    await log(stores, run, params={"long": "x" * 6_000})
    with pytest.raises(FailedPrecondition) as refused:
        await log(stores, run, params={"long": "y" * 6_000})
    assert refused.value.metadata["stored"] == "x" * 200 + "..."
    assert as_dict((await get_run(stores, run)).params)["long"] == "x" * 6_000


async def test_a_batch_is_all_or_nothing(stores: Stores, run: str) -> None:
    with pytest.raises(FailedPrecondition):
        await log(
            stores, run, column("m", (1, 1.0)), params={"b": "2", "a": "other"}, tags={"a": "2", "b": "2"}
        )
    found = await get_run(stores, run)
    assert as_dict(found.params) == as_dict(found.tags) == {"a": "1"}
    assert list(found.metrics) == []
    assert await history(stores, run) == {}
    await log(stores, run, column("m", (1, 1.0)), params={"b": "2", "a": "1"}, tags={"a": "2", "b": "2"})
    found = await get_run(stores, run)
    assert as_dict(found.params) == {"a": "1", "b": "2"}
    assert as_dict(found.tags) == {"a": "2", "b": "2"}
    assert await history(stores, run) == {run: {"m": [point(1, 1.0)]}}


async def test_tags_overwrite_and_go(stores: Stores, run: str) -> None:
    await stores.runs.set_tags(pb.SetRunTagsRequest(run_id=run, tags=tags_of({"a": "", "b": "2"})))
    assert as_dict((await get_run(stores, run)).tags) == {"a": "", "b": "2"}
    await stores.runs.delete_tag(pb.DeleteRunTagRequest(run_id=run, key="a"))
    with pytest.raises(NotFound) as unknown:
        await stores.runs.delete_tag(pb.DeleteRunTagRequest(run_id=run, key="a"))
    assert (unknown.value.reason, unknown.value.metadata) == ("TAG_NOT_FOUND", {"key": "a"})
    assert as_dict((await get_run(stores, run)).tags) == {"b": "2"}


async def test_keys_that_differ_in_case_are_different(stores: Stores, run: str) -> None:
    await log(stores, run, column("A", (1, 2.0)), column("a", (1, 1.0)), params={"A": "2"}, tags={"A": "2"})
    found = await get_run(stores, run)
    assert as_dict(found.params) == as_dict(found.tags) == {"A": "2", "a": "1"}
    assert {m.key: m.value for m in found.metrics} == {"A": 2.0, "a": 1.0}
    assert await history(stores, run, keys=["A"]) == {run: {"A": [point(1, 2.0)]}}


async def test_keys_come_in_the_order_of_code_points(stores: Stores) -> None:
    keys = dict.fromkeys(reversed(CODE_POINTS), "")
    run = (await new_run(stores, params=params_of(keys), tags=tags_of(keys))).run_id
    await log(stores, run, *(column(key, (1, 1.0)) for key in keys))
    found = await get_run(stores, run)
    assert [p.key for p in found.params] == CODE_POINTS
    assert [t.key for t in found.tags] == CODE_POINTS
    assert [m.key for m in found.metrics] == CODE_POINTS
    assert list((await history(stores, run))[run]) == CODE_POINTS


async def test_a_thousand_params_and_tags_at_once(stores: Stores, run: str) -> None:
    many = {f"k/{i:03}": str(i) for i in range(1_000)}
    await log(stores, run, params=many, tags=many)
    found = await get_run(stores, run)
    assert as_dict(found.params) == as_dict(found.tags) == {"a": "1", **many}


def entry(name: str, context: str = "", **fields: str) -> pb.DatasetInput:
    return pb.DatasetInput(dataset=pb.Dataset(name=name, digest="d", **fields), context=context)


async def test_inputs_keep_their_order_and_come_once(stores: Stores, run: str) -> None:
    first = [entry("b", "training", source="s3://x", source_type="s3", schema="{}", profile="[]"), entry("a")]
    more = [entry("a"), entry("a", "validation"), entry("c")]
    for inputs in (first, more, more):
        await stores.runs.log_inputs(pb.LogInputsRequest(run_id=run, inputs=inputs))
    assert list((await get_run(stores, run)).inputs) == [*first, *more[1:]]


async def test_a_data_set_is_the_same_when_all_its_fields_are(stores: Stores, run: str) -> None:
    inputs = [entry("a"), entry("a", profile="1"), entry("a", source="x"), entry("a", schema="x")]
    await stores.runs.log_inputs(pb.LogInputsRequest(run_id=run, inputs=inputs))
    assert list((await get_run(stores, run)).inputs) == inputs


async def test_runs_share_data_sets_but_not_inputs(stores: Stores, run: str) -> None:
    other = (await new_run(stores)).run_id
    elsewhere = (await new_run(stores, await new_experiment(stores, "wine"))).run_id
    for i, run_id in enumerate((run, other, elsewhere)):
        await stores.runs.log_inputs(pb.LogInputsRequest(run_id=run_id, inputs=[entry("a", str(i))]))
    for i, run_id in enumerate((run, other, elsewhere)):
        assert list((await get_run(stores, run_id)).inputs) == [entry("a", str(i))]
