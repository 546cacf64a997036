"""What every storage's search of runs must do: order, pages, views, the plain filters."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.messages import (
    QUIET_NAN,
    column,
    delete_experiment,
    delete_run,
    find,
    log,
    new_experiment,
    new_run,
    params_of,
    tags_of,
    timestamp,
)

from runwire.v1 import experiment_pb2
from runwire.v1 import run_pb2 as pb
from runwire_server.errors import InvalidArgument, NotFound
from runwire_server.storage.base import Stores

ACTIVE, DELETED, ALL = (
    experiment_pb2.LIFECYCLE_VIEW_ACTIVE_ONLY,
    experiment_pb2.LIFECYCLE_VIEW_DELETED_ONLY,
    experiment_pb2.LIFECYCLE_VIEW_ALL,
)
# Byte order; see test_values.
CODE_POINTS = ["A", "Z", "a", "b", "z", "Ä", "ß", "ä", "ﬀ", "Ａ", "🏔"]


def minted(number: int) -> str:
    return f"0198c0ffee0070008000{number:012x}"


async def add(stores: Stores, number: int, start: int = 0, experiment: str = "0", **fields: Any) -> str:
    """Creates the run of a number; those of equal starts are in the order of their numbers."""
    run = await new_run(stores, experiment, run_id=minted(number), start_time=timestamp(start), **fields)
    return run.run_id


async def numbers(stores: Stores, *experiments: str, **fields: Any) -> list[int]:
    return [int(run[20:], 16) for run in await find(stores, *(experiments or ("0",)), **fields)]


async def test_the_newest_run_comes_first_and_ids_break_ties(stores: Stores) -> None:
    assert await numbers(stores) == []
    for number, start in ((3, 20), (1, 10), (5, 20), (2, 30), (4, 20)):
        await add(stores, number, start)
    assert await numbers(stores) == [2, 3, 4, 5, 1]
    assert await numbers(stores, order_by=["start_time ASC"]) == [1, 3, 4, 5, 2]
    assert await numbers(stores, order_by=["start_time", "run_id DESC"]) == [1, 5, 4, 3, 2]


@pytest.mark.parametrize("order", [[], ["params.p DESC"], ["metrics.m"], ["run_name", "tags.t"]])
async def test_pages_of_any_size_make_one_list(stores: Stores, order: list[str]) -> None:
    for number in range(7):
        run = await add(
            stores,
            number,
            10 * (number // 2),
            params=params_of({"p": str(number % 2)}),
            name=f"n{number % 3}",
        )
        if number != 4:
            await log(stores, run, column("m", (1, float(number % 2))), tags={"t": str(number)})
    whole = await numbers(stores, order_by=order)
    assert sorted(whole) == list(range(7))
    for size in (1, 2, 3, 6, 7, 8, 1_000, 5_000):
        assert await numbers(stores, order_by=order, page_size=size) == whole


async def test_the_last_page_has_no_token(stores: Stores) -> None:
    for number in range(4):
        await add(stores, number)
    request = pb.SearchRunsRequest(experiment_ids=["0"], page_size=2)
    first = await stores.runs.search(request)
    assert len(first.runs) == 2
    assert first.next_page_token
    request.page_token = first.next_page_token
    second = await stores.runs.search(request)
    assert len(second.runs) == 2
    assert second.next_page_token == ""
    # The token is still good, and another question's is not.
    assert await stores.runs.search(request) == second
    request.filter = "status = 'RUNNING'"
    with pytest.raises(InvalidArgument) as refused:
        await stores.runs.search(request)
    assert refused.value.reason == "INVALID_PAGE_TOKEN"


async def test_runs_made_while_paging_disturb_no_page(stores: Stores) -> None:
    for number in range(10, 16):
        await add(stores, number, 100)
    request = pb.SearchRunsRequest(experiment_ids=["0"], page_size=2)
    found: list[int] = []
    # Before, between and behind what was seen: newer, an id within the tie, older.
    for new in ((1, 200), (12 * 2**8, 100), (3, 50)):
        page = await stores.runs.search(request)
        found += [int(run.run_id[20:], 16) for run in page.runs]
        await add(stores, *new)
        request.page_token = page.next_page_token
    page = await stores.runs.search(request)
    found += [int(run.run_id[20:], 16) for run in page.runs]
    assert found == [10, 11, 12, 13, 14, 15, 12 * 2**8, 3]


async def test_views(stores: Stores) -> None:
    for number in (1, 2):
        await add(stores, number, tags=tags_of({"t": "x"}))
    await delete_run(stores, minted(2))
    for filters in ("", "tags.t = 'x'"):
        assert await numbers(stores, filter=filters) == [1]
        assert await numbers(stores, filter=filters, view=ACTIVE) == [1]
        assert await numbers(stores, filter=filters, view=DELETED) == [2]
        assert await numbers(stores, filter=filters, view=ALL) == [1, 2]


async def test_the_runs_of_a_deleted_experiment_are_deleted(stores: Stores) -> None:
    wine = await new_experiment(stores, "wine")
    for number in (1, 2):
        await add(stores, number, experiment=wine, params=params_of({"p": "x"}))
    await delete_run(stores, minted(2))
    await delete_experiment(stores, wine)
    for filters in ("", "params.p = 'x'"):
        assert await numbers(stores, wine, filter=filters) == []
        assert await numbers(stores, wine, filter=filters, view=DELETED) == [1, 2]
        assert await numbers(stores, wine, filter=filters, view=ALL, page_size=1) == [1, 2]


async def test_several_experiments_are_one_list(stores: Stores) -> None:
    wine, beer = await new_experiment(stores, "wine"), await new_experiment(stores, "beer")
    for number, experiment in enumerate((wine, beer, wine, "0", beer)):
        await add(stores, number, number, experiment=experiment)
    assert await numbers(stores, wine, beer, page_size=3) == [4, 2, 1, 0]
    assert await numbers(stores, beer, "0") == [4, 3, 1]
    with pytest.raises(NotFound) as unknown:
        await numbers(stores, wine, "77")
    assert unknown.value.reason == "EXPERIMENT_NOT_FOUND"


FILTERS = {
    "params.p = 'a'": [1],
    "params.p != 'a'": [2, 3],
    "params.P = 'a'": [],
    "params.p LIKE 'A%'": [2],
    # A pattern that no range of an index serves.
    "params.p LIKE '%A'": [2],
    "params.p NOT LIKE '%A'": [1, 3],
    "params.p ILIKE 'a%'": [1, 2],
    "params.p IN ('a', 'b')": [1, 3],
    "params.p IS NULL": [4],
    "tags.`a b` = 'x'": [1],
    "NOT tags.\"a b\" = 'x'": [2, 3, 4],
    "metrics.m < 2": [1],
    "metrics.m >= 2": [2],
    "metrics.m != 1": [2, 3],
    "metrics.m.count = 2 AND metrics.m.min = 1": [1, 2],
    "metrics.m.first = 1 OR params.p = 'b'": [2, 3],
    "status = 'FINISHED'": [4],
    "attributes.run_name = 'n2' OR run_name = 'n3'": [2, 3],
    "(params.p = 'a' OR params.p = 'b') AND NOT metrics.m = 1": [3],
    "start_time > 0": [],
    "end_time IS NOT NULL": [4],
    "dataset.name = 'd'": [2],
    f"run_id = '{minted(3)}'": [3],
    f"parent_run_id = '{minted(1)}'": [4],
}


async def test_filters(stores: Stores) -> None:
    await add(stores, 1, name="n1", params=params_of({"p": "a"}), tags=tags_of({"a b": "x"}))
    await add(stores, 2, name="n2", params=params_of({"p": "A"}), tags=tags_of({"a b": "X"}))
    await add(stores, 3, name="n3", params=params_of({"p": "b"}))
    await add(stores, 4, name="n4", parent_run_id=minted(1))
    await log(stores, minted(1), column("m", (1, 2.0), (2, 1.0), times=[1, 2]))
    await log(stores, minted(1), column("other", (1, 1.0)))
    await log(stores, minted(2), column("m", (1, 1.0), (2, 2.0)))
    await log(stores, minted(3), column("m", (1, QUIET_NAN)))
    entry = pb.DatasetInput(dataset=pb.Dataset(name="d", digest="1"))
    await stores.runs.log_inputs(pb.LogInputsRequest(run_id=minted(2), inputs=[entry]))
    await stores.runs.finish(pb.FinishRunRequest(run_id=minted(4)))
    for text, expected in FILTERS.items():
        assert await numbers(stores, filter=text) == expected, text
        assert await numbers(stores, filter=text, page_size=1, order_by=["run_id DESC"]) == expected[::-1], (
            text
        )


async def test_nan_and_missing_come_last_in_both_directions(stores: Stores) -> None:
    for number, value in enumerate([1.0, QUIET_NAN, -1.0, None, float("inf")]):
        run = await add(stores, number)
        if value is not None:
            await log(stores, run, column("m", (1, value)))
    assert await numbers(stores, order_by=["metrics.m"], page_size=2) == [2, 0, 4, 1, 3]
    assert await numbers(stores, order_by=["metrics.m DESC"], page_size=2) == [4, 0, 2, 1, 3]


async def test_texts_are_in_the_order_of_code_points(stores: Stores) -> None:
    for number, text in enumerate(CODE_POINTS):
        await add(stores, number, name=text, params=params_of({"p": text}), tags=tags_of({"t": text}))
    for key in ("run_name", "params.p", "tags.t"):
        assert await numbers(stores, order_by=[key], page_size=4) == list(range(len(CODE_POINTS)))
        assert await numbers(stores, order_by=[f"{key} DESC"]) == list(reversed(range(len(CODE_POINTS))))


async def test_a_search_shows_what_was_written_before_it(stores: Stores) -> None:
    run = await add(stores, 1)
    for step in range(20):
        await log(stores, run, column("m", (step, float(step))), tags={"t": str(step)})
        assert await numbers(stores, filter=f"metrics.m = {step} AND tags.t = '{step}'") == [1]


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("filter", "params.p >", "INVALID_FILTER"),
        ("filter", "start_time = 'x'", "INVALID_FILTER"),
        ("order_by", "metrics.m UP", "INVALID_FILTER"),
        ("page_token", "garbage", "INVALID_PAGE_TOKEN"),
    ],
)
async def test_what_can_not_be_read(stores: Stores, field: str, text: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await numbers(stores, **{field: [text] if field == "order_by" else text})
    assert refused.value.reason == reason
