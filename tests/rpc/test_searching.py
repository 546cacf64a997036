"""Searches that can not be read, and page tokens that do not belong."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.message import Message
from tests.rpc.asking import Api, Failure, fresh

from runwire.v1 import experiment_pb2 as experiments
from runwire.v1 import run_pb2 as runs

IDS_ONLY = {"fields": {"paths": ["run_id"]}}


@pytest.fixture
def experiment(api: Api) -> str:
    """An experiment of five runs."""
    experiment_id = api.new_experiment()
    for i in range(5):
        api.new_run(experiment_id, start_time={"seconds": i}, params=[{"key": "p", "value": str(i)}])
    return experiment_id


def search(experiment_id: str, **fields: Any) -> runs.SearchRunsRequest:
    return runs.SearchRunsRequest(**{"experiment_ids": [experiment_id], "mask": IDS_ONLY, **fields})


# What is wrong, where it is, and what was expected there.
UNREADABLE = [
    ("params.a = 'b", 11, "a closing quote"),
    ('params.a = "b', 11, "a closing quote"),
    ("params.`a = 'b'", 7, "a closing quote"),
    ("params.a = 'b' AND", 18, "a field"),
    ("params.a = 'b' params.c = 'd'", 15, "AND, OR or the end"),
    ("(params.a = 'b'", 15, "AND, OR or a closing bracket"),
    ("params.a = 'b')", 14, "AND, OR or the end"),
    ("()", 1, "a field"),
    ("params.a", 8, "a comparison operator"),
    ("params.a == 'b'", 10, ""),
    ("params.a = ", 11, "a number, or a text in quotes"),
    ("params. = 'b'", 8, "a key"),
    ("params.`` = 'b'", 0, "a key that is not empty"),
    ("AND params.a = 'b'", 4, "a comparison operator"),
    ("= 'b'", 0, "a field"),
    ("'b' = params.a", 0, "a field"),
    ("__import__('os')", 10, "a comparison operator"),
    ("nothing = 'b'", 0, "one of run_id"),
    ("attributes.nothing = 'b'", 0, "one of run_id"),
    ("nothing.a = 'b'", 0, "one of metrics"),
    ("metrics.m = 'b'", 12, "a number"),
    ("metrics.m LIKE 'b'", 10, "one of ="),
    ("metrics.m IN ('b')", 10, "one of ="),
    ("metrics.`m`.middle > 1", 0, "one of .min"),
    ("params.a = 5", 11, "a text in quotes"),
    ("params.a > 'b'", 9, "one of ="),
    ("params.a IN ()", 13, ""),
    ("params.a IN ('b'", 16, "a comma or a closing bracket"),
    ("params.a LIKE 'b\\'", 16, "a character behind the last backslash"),
    ("params.a IS 'b'", 12, "NULL or NOT NULL"),
    ("status = 'DONE'", 9, "one of RUNNING"),
    ("start_time > 'yesterday'", 13, "a number"),
    ("metrics.m > 1e999", 12, "a number that a double can hold"),
    ("dataset.size = 'b'", 0, "dataset.name"),
    ("dataset.name IS NULL", 13, "a comparison operator"),
    ("params.a = 'b';", 14, ""),
    ("params.a = 'b' -- c", 15, ""),
    ("params.a = 'b' UNION SELECT 1", 15, "AND, OR or the end"),
    ("params.a = 'b' AND\n  status = DONE", 30, "a number, or a text in quotes"),
    ("(" * 10_000, 50, "at most 50 levels"),
    ("NOT " * 3_000 + "status = 'FAILED'", None, "at most 50 levels"),
    ("(" * 51 + "status = 'FAILED'" + ")" * 51, 50, "at most 50 levels"),
    (" AND ".join(["status = 'FAILED'"] * 201), 22 * 200 - 4, "at most 200 terms"),
    ("status = '" + "x" * 16_384 + "'", 0, "at most 16384 bytes"),
    ("status = '" + "😀" * 4_096 + "'", 0, "at most 16384 bytes"),
]


def check_caret(failure: Failure, text: str, expected: str) -> None:
    """Checks that the message quotes the line, with the caret below the place that it names."""
    position = int(failure.metadata["position"])
    assert failure.metadata["expected"].startswith(expected)
    assert len(failure.message) < 500
    assert len(failure.violations) == 1
    _, line, caret = failure.message.split("\n")
    assert caret.strip() == "^"
    quoted = line[len(caret) - 1 :].removesuffix("...")
    end = text.find("\n", position) if "\n" in text[position:] else len(text)
    assert quoted == text[position:end][: len(quoted)]
    assert quoted or position == len(text)


@pytest.mark.parametrize(("text", "position", "expected"), UNREADABLE, ids=lambda v: str(v)[:30])
def test_unreadable_filters(
    api: Api, experiment: str, text: str, position: int | None, expected: str
) -> None:
    failure = api.refused(search(experiment, filter=text), "INVALID_ARGUMENT", "INVALID_FILTER", "filter")
    assert position is None or failure.metadata["position"] == str(position)
    check_caret(failure, text, expected)
    assert len(api(search(experiment)).runs) == 5


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("nothing DESC", 0, "one of run_id"),
        ("start_time DOWN", 11, "ASC, DESC or the end"),
        ("start_time DESC, run_id", 15, ""),
        ("", 0, "a field"),
        ("params.`a", 7, "a closing quote"),
        ("dataset.name", 0, "a metric, param, tag or attribute"),
        ("start_time; DROP TABLE runs", 10, ""),
        ("x" * 10_000, 1_024, "at most 1024 characters"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_unreadable_orders(api: Api, experiment: str, text: str, position: int, expected: str) -> None:
    request = search(experiment, order_by=["run_name", text])
    failure = api.refused(request, "INVALID_ARGUMENT", "INVALID_FILTER", "order_by[1]")
    assert failure.metadata["position"] == str(position)
    check_caret(failure, text, expected)


def test_orders_that_are_too_many_or_twice(api: Api, experiment: str) -> None:
    api.bad_field(search(experiment, order_by=[f"params.p{i}" for i in range(11)]), "order_by")
    twice = search(experiment, order_by=["start_time", "status", "start_time DESC"])
    api.refused(twice, "INVALID_ARGUMENT", "INVALID_FILTER", "order_by[2]")


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("metrics.m > 1", 0),
        ("params.a = 'b'", 0),
        ("name = 5", 7),
        ("tags.`a` = 'b", 11),
        ("status = 'x'", 0),
    ],
)
def test_unreadable_filters_of_experiments(api: Api, text: str, position: int) -> None:
    request = experiments.SearchExperimentsRequest(filter=text)
    failure = api.refused(request, "INVALID_ARGUMENT", "INVALID_FILTER", "filter")
    assert failure.metadata["position"] == str(position)
    check_caret(failure, text, "")


def test_what_is_just_allowed(api: Api, experiment: str) -> None:
    terms = " OR ".join(["params.p = '1'"] * 200)
    deep = "(" * 50 + "params.p = '1'" + ")" * 50
    long = "params.p = '1' OR params.p = '" + "x" * (16_384 - 31) + "'"
    assert len(long) == 16_384
    for text in (terms, deep, long):
        assert len(api(search(experiment, filter=text)).runs) == 1


@pytest.mark.parametrize("text", ["'; DROP TABLE runs; --", "1' OR '1'='1", "%", "_", "\\", "\u202e", "😀"])
def test_values_are_values(api: Api, experiment: str, text: str) -> None:
    quoted = text.replace("'", "''")
    assert not api(search(experiment, filter=f"params.p = '{quoted}'")).runs
    assert len(api(search(experiment, filter=f"params.p = '{quoted}' OR params.p = '1'")).runs) == 1
    key = text.replace("`", "``")
    assert not api(search(experiment, filter=f"params.`{key}` = '1'", order_by=[f"tags.`{key}`"])).runs


@pytest.mark.parametrize(
    ("filters", "orders"),
    [
        ("params.p = 'a\0b'", []),
        ("params.p LIKE 'a\0%'", []),
        ("params.`a\0b` = '1'", []),
        ("run_name = '\0'", []),
        ("params.p = '1'", ["params.`a\0b`"]),
    ],
    ids=repr,
)
def test_nul_is_refused(api: Api, experiment: str, filters: str, orders: list[str]) -> None:
    # No text holds one, and PostgreSQL can not even be asked.
    failure = api.fails(search(experiment, filter=filters, order_by=orders))
    assert failure.reason == "INVALID_FILTER"


def test_nan_is_above_no_number(api: Api, experiment: str) -> None:
    values = {"nan": float("nan"), "inf": float("inf"), "one": 1.0}
    made = {}
    for name, value in values.items():
        made[name] = api.new_run(experiment)
        api.log(made[name], {"keys": ["m"], "range": {}, "timestamps_ms": [1], "values": [value]})

    def found(text: str, **fields: Any) -> list[str]:
        answer = api(search(experiment, filter=text, **fields))
        names = {run_id: name for name, run_id in made.items()}
        return [names[run.run_id] for run in answer.runs]

    assert sorted(found("metrics.m > 0")) == ["inf", "one"]
    assert sorted(found("metrics.m.first >= 1")) == ["inf", "one"]
    assert sorted(found("metrics.m != 1")) == ["inf", "nan"]
    assert found("metrics.m IS NOT NULL", order_by=["metrics.m DESC"]) == ["inf", "one", "nan"]
    assert found("metrics.m IS NOT NULL", order_by=["metrics.m"]) == ["one", "inf", "nan"]


def paged(api: Api, request: Any) -> Iterator[Any]:
    """Yields all pages."""
    while True:
        page = api(request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def garbled(token: str) -> list[str]:
    """Texts that are no token, but were one, or look like one."""
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    flipped = []
    for place in range(0, len(raw), 3):
        other = bytearray(raw)
        other[place] ^= 1
        flipped.append(base64.urlsafe_b64encode(other).decode().rstrip("="))
    return [
        *flipped,
        token[:-2],
        token[1:],
        token + "AAAA",
        token * 2,
        "x",
        "!",
        " ",
        "\0",
        "é",
        "A" * 10_000,
        "0",
    ]


@pytest.mark.parametrize("what", ["runs", "experiments"])
def test_garbled_tokens(api: Api, experiment: str, what: str) -> None:
    request: Any = search(experiment, page_size=2)
    if what == "experiments":
        api.new_experiment()
        request = experiments.SearchExperimentsRequest(page_size=1)
    token = api(request).next_page_token
    assert token
    for text in garbled(token):
        request.page_token = text
        api.refused(request, "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token")
    request.page_token = token
    api(request)


OTHER_QUERIES = [
    {"filter": "params.p != '9'"},
    {"order_by": ["start_time"]},
    {"order_by": ["start_time DESC", "run_id"]},
    {"view": experiments.LIFECYCLE_VIEW_ALL},
    {"view": experiments.LIFECYCLE_VIEW_DELETED_ONLY},
    {"experiment_ids": ["0"]},
]


@pytest.mark.parametrize("other", OTHER_QUERIES, ids=str)
def test_tokens_of_another_query(api: Api, experiment: str, other: dict[str, Any]) -> None:
    token = api(search(experiment, page_size=2)).next_page_token
    strange = search(experiment, page_size=2, page_token=token)
    for name, value in other.items():
        if isinstance(value, list):
            getattr(strange, name)[:] = value
        else:
            setattr(strange, name, value)
    api.refused(strange, "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token")
    # Size and mask may change from page to page.
    same = search(experiment, page_size=1, page_token=token, mask={})
    assert len(api(same).runs) == 1


def test_a_token_of_the_other_search(api: Api, experiment: str) -> None:
    api.new_experiment()
    of_runs = api(search(experiment, page_size=1)).next_page_token
    of_experiments = api(experiments.SearchExperimentsRequest(page_size=1)).next_page_token
    requests: list[Message] = [
        search(experiment, page_token=of_experiments),
        experiments.SearchExperimentsRequest(page_token=of_runs),
    ]
    for request in requests:
        api.refused(request, "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token")


def test_bad_sizes_and_views(api: Api, experiment: str) -> None:
    for size in (-1, -(2**31)):
        api.bad_field(search(experiment, page_size=size), "page_size")
        api.bad_field(experiments.SearchExperimentsRequest(page_size=size), "page_size")
    for view in (4, -1):
        api.bad_field(search(experiment, view=view), "view")
        api.bad_field(experiments.SearchExperimentsRequest(view=view), "view")
    many = runs.SearchRunsRequest(experiment_ids=[str(i) for i in range(101)])
    api.bad_field(many, "experiment_ids")


def test_page_sizes(api: Api) -> None:
    experiment = api.new_experiment()
    calls = [
        api.method("CreateRun").future(runs.CreateRunRequest(experiment_id=experiment)) for _ in range(1_001)
    ]
    created = {call.result().run.run_id for call in calls}
    for size, expected in {0: 100, 1: 1, 100: 100, 1_000: 1_000, 1_001: 1_000, 2**31 - 1: 1_000}.items():
        page = api(search(experiment, page_size=size))
        assert len(page.runs) == expected
        assert page.next_page_token
    pages = list(paged(api, search(experiment, page_size=400)))
    assert [len(page.runs) for page in pages] == [400, 400, 201]
    assert {run.run_id for page in pages for run in page.runs} == created


def test_the_last_full_page_is_the_last(api: Api) -> None:
    stem = fresh("paged")
    for i in range(4):
        api.new_experiment(f"{stem} {i}")
    request = experiments.SearchExperimentsRequest(
        filter=f"name LIKE '{stem}%'", order_by=["name"], page_size=2
    )
    pages = [[e.name[-1] for e in page.experiments] for page in paged(api, request)]
    assert pages == [["0", "1"], ["2", "3"]]


def test_pages_of_large_runs_end_early(api: Api) -> None:
    # The channel takes 4 MiB, as every client does that was not told otherwise.
    experiment = api.new_experiment()
    params = [{"key": f"p{i:03}", "value": "v" * 5_000} for i in range(180)]
    created = []
    for _ in range(11):
        created.append(api.new_run(experiment_id=experiment))
        api(runs.LogBatchRequest(run_id=created[-1], params=params))
    pages = list(paged(api, search(experiment, page_size=10, order_by=["start_time ASC"], mask={})))
    assert [len(page.runs) for page in pages] == [4, 4, 3]
    assert [run.run_id for page in pages for run in page.runs] == created
    assert all(len(run.params) == len(params) for page in pages for run in page.runs)
    masked = search(experiment, order_by=["start_time ASC"], mask={"param_keys": ["p000"]})
    assert len(api(masked).runs) == len(created)


def test_metrics_that_were_just_logged_end_a_page_too(api: Api) -> None:
    experiment = api.new_experiment()
    keys = [f"metric {k:04} {'long' * 50}" for k in range(2_500)]
    created = [api.new_run(experiment_id=experiment) for _ in range(8)]
    for run_id in created:
        block = {"keys": keys, "steps": {"steps": [1]}, "timestamps_ms": [1], "values": [0.5] * len(keys)}
        api(runs.LogBatchRequest(run_id=run_id, blocks=[block]))
    pages = list(paged(api, search(experiment, order_by=["start_time ASC"], mask={})))
    assert [run.run_id for page in pages for run in page.runs] == created
    assert all(len(run.metrics) == len(keys) for page in pages for run in page.runs)
    assert len(pages) >= 2
