"""Whatever is searched, however it is paged: the same runs in the same order as the oracle's."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import oracle
from tests.storage.search_data import Database, PostgresDatabase, SqliteMemory, StoredRun, refill

from runwire.v1 import experiment_pb2, metric_pb2, run_pb2
from runwire_server.domain import filters
from runwire_server.storage import search, search_plan
from runwire_server.storage.schema import ACTIVE, DELETED, PURGED


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    if request.param == "sqlite":
        opened: Any = SqliteMemory()
    else:
        postgres = request.getfixturevalue("postgres")
        opened = PostgresDatabase(asyncio.run(postgres.create_database()))
    yield opened
    opened.close()


# Small pools, so that runs are alike in most things, and ties abound. `long` differ behind what
# the index of values holds.
LONG = ["x" * 200, "x" * 201, "x" * 250 + "a", "x" * 250 + "b", "Y" * 300]
KEYS = st.sampled_from(["a", "b", "min", "a.min", "with space"])
TEXTS = st.sampled_from(
    ["", "a", "A", "b", "ab", "aB", "é", "É", "a%b", "a_b", "a\\b", "10", "9", "'q\"", *LONG]
)
REALS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.1, 1e300, 5e-324, math.inf, -math.inf, math.nan])
TIMES = st.integers(0, 4)
IDS = [f"{n:032x}" for n in range(40)]


@st.composite
def metrics(draw: st.DrawFn) -> metric_pb2.MetricSummary:
    summary = metric_pb2.MetricSummary(
        key=draw(KEYS), value=draw(REALS), count=draw(st.integers(1, 3)), first_value=draw(REALS)
    )
    if not math.isnan(low := draw(REALS)):
        summary.min_value = low
    if not math.isnan(high := draw(REALS)):
        summary.max_value = high
    return summary


@st.composite
def stored_runs(draw: st.DrawFn) -> list[StoredRun]:
    ids = draw(st.lists(st.sampled_from(IDS), max_size=24, unique=True))
    return [draw(stored_run(run_id)) for run_id in ids]


@st.composite
def stored_run(draw: st.DrawFn, run_id: str) -> StoredRun:
    run = run_pb2.Run(
        run_id=run_id,
        experiment_id=str(draw(st.sampled_from([1, 1, 1, 2, 3]))),
        name=draw(st.sampled_from(["a", "A", "b", "é", "x" * 300])),
        status=draw(st.sampled_from(run_pb2.RunStatus.values()[1:])),
        parent_run_id=draw(st.sampled_from(["", "", IDS[0], IDS[1]])),
        params=[
            run_pb2.Param(key=key, value=value)
            for key, value in draw(st.dictionaries(KEYS, TEXTS, max_size=4)).items()
        ],
        tags=[
            experiment_pb2.Tag(key=key, value=value)
            for key, value in draw(st.dictionaries(KEYS, TEXTS, max_size=4)).items()
        ],
        metrics=draw(st.lists(metrics(), max_size=4, unique_by=lambda metric: metric.key)),
        inputs=[
            run_pb2.DatasetInput(dataset=run_pb2.Dataset(name=name, digest=digest), context=context)
            for name, digest, context in draw(
                st.lists(st.tuples(*[st.sampled_from(["a", "A", "b"])] * 3), max_size=2)
            )
        ],
    )
    run.start_time.FromMilliseconds(draw(TIMES))
    if (end := draw(st.none() | TIMES)) is not None:
        run.end_time.FromMilliseconds(end)
    return StoredRun(run, draw(st.sampled_from([ACTIVE] * 5 + [DELETED, PURGED])))


def quoted(text: str, quote: str = "'") -> str:
    return quote + text.replace(quote, quote * 2) + quote


KEYED = {"params": TEXTS, "tags": TEXTS}
NAMES = {
    "run_id": st.sampled_from(IDS),
    "run_name": TEXTS,
    "parent_run_id": st.sampled_from(IDS[:3]),
    "dataset.name": st.sampled_from(["a", "A", "c"]),
    "dataset.digest": st.sampled_from(["a", "b"]),
    "dataset.context": st.sampled_from(["a", "b"]),
}
PATTERNS = st.sampled_from(
    ["%", "a%", "A_%", "%b", "_", "a\\%b", "a\\_b", "a\\\\b", "", "é", "%É%", "x%a", "\\a%"]
)
METRIC_FIELDS = st.builds(
    lambda key, part: f"metrics.{quoted(key, '`')}{part}",
    KEYS,
    st.sampled_from(["", "", "", ".min", ".max", ".first", ".count"]),
)
NUMBERS = st.sampled_from(["0", "-0.0", "1", "-1", "0.1", "1e300", "5e-324", "2.5", "1e30"])
COMPARISONS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


@st.composite
def terms(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["metrics", "params", "tags", "names", "times", "status"]))
    if kind == "metrics":
        field = draw(METRIC_FIELDS)
        return draw(
            st.builds("{} {} {}".format, st.just(field), COMPARISONS, NUMBERS)
            | st.sampled_from([f"{field} IS NULL", f"{field} IS NOT NULL"])
        )
    if kind == "times":
        field = draw(st.sampled_from(["start_time", "start_time", "end_time"]))
        return draw(
            st.builds("{} {} {}".format, st.just(field), COMPARISONS, NUMBERS)
            | st.sampled_from([f"{field} IS NULL", f"{field} IS NOT NULL"])
        )
    if kind == "status":
        statuses = st.sampled_from(list(run_pb2.RunStatus.keys())[1:]).map(
            lambda n: n.removeprefix("RUN_STATUS_")
        )
        return draw(text_terms("status", statuses))
    if kind == "names":
        name = draw(st.sampled_from(list(NAMES)))
        return draw(text_terms(name, NAMES[name], nullable=not name.startswith("dataset")))
    return draw(text_terms(f"{kind}.{quoted(draw(KEYS), '`')}", TEXTS))


@st.composite
def text_terms(draw: st.DrawFn, field: str, values: st.SearchStrategy[str], nullable: bool = True) -> str:
    one = values.map(quoted)
    return draw(
        st.builds("{} {} {}".format, st.just(field), st.sampled_from(["=", "=", "!="]), one)
        | st.builds(
            "{} {} {}".format,
            st.just(field),
            st.sampled_from(["LIKE", "ilike", "NOT LIKE", "not ILIKE"]),
            PATTERNS.map(quoted),
        )
        | st.builds(
            lambda word, some: f"{field} {word} ({', '.join(some)})",
            st.sampled_from(["IN", "NOT IN"]),
            st.lists(one, min_size=1, max_size=3),
        )
        | (st.sampled_from([f"{field} IS NULL", f"{field} IS NOT NULL"]) if nullable else st.nothing())
    )


FILTERS = st.just("") | st.recursive(
    terms(),
    lambda inner: (
        st.builds(
            lambda joint, some: joint.join(f"({one})" for one in some),
            st.sampled_from([" AND ", " and ", " OR "]),
            st.lists(inner, min_size=2, max_size=3),
        )
        | inner.map(lambda one: f"NOT ({one})")
    ),
    max_leaves=6,
)
ORDER_FIELDS = st.sampled_from(
    [
        *("start_time", "end_time", "status", "run_name", "run_id", "parent_run_id"),
        *("metrics.a", "metrics.`a.min`", "metrics.a.min", "metrics.b", "metrics.a.count"),
        *("params.a", "params.b", "tags.a", "tags.`with space`"),
    ]
)
ORDERS = st.lists(ORDER_FIELDS, max_size=3, unique=True).flatmap(
    lambda fields: st.tuples(*[st.sampled_from([f, f"{f} ASC", f"{f} desc"]) for f in fields])
)
VIEWS = st.sampled_from(experiment_pb2.LifecycleView.values())

EXPERIMENTS = {1: ACTIVE, 2: DELETED, 3: ACTIVE}


def visible(one: StoredRun, request: run_pb2.SearchRunsRequest) -> bool:
    if one.run.experiment_id not in request.experiment_ids or one.lifecycle == PURGED:
        return False
    deleted = one.lifecycle == DELETED or EXPERIMENTS[int(one.run.experiment_id)] == DELETED
    match request.view:
        case experiment_pb2.LIFECYCLE_VIEW_ALL:
            return True
        case experiment_pb2.LIFECYCLE_VIEW_DELETED_ONLY:
            return deleted
        case _:
            return not deleted


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    stored=stored_runs(),
    ids=st.lists(st.sampled_from(["1", "2", "3"]), min_size=1, max_size=3, unique=True),
    text=FILTERS,
    order=ORDERS,
    view=VIEWS,
    page_sizes=st.lists(st.integers(1, 8), min_size=1, max_size=3),
    candidates=st.sampled_from([0, 2, 5000]),
    samples=st.sampled_from([1, 4, 300]),
)
def test_pages_are_what_the_oracle_says(
    database: Database,
    stored: list[StoredRun],
    ids: list[str],
    text: str,
    order: tuple[str, ...],
    view: int,
    page_sizes: list[int],
    candidates: int,
    samples: int,
) -> None:
    request = run_pb2.SearchRunsRequest(experiment_ids=ids, filter=text, order_by=order, view=view)  # type: ignore[arg-type]
    node = filters.parse_run_filter(text)
    keys = filters.parse_run_order(order)
    expected = oracle.ordered(
        (one.run for one in stored if visible(one, request) and oracle.matches(node, one.run)), keys
    )

    def unit(connection: sa.Connection) -> list[str]:
        by_key = refill(connection, EXPERIMENTS, stored)
        found: list[str] = []
        for size in itertools.cycle(page_sizes):
            request.page_size = size
            page, request.page_token = search.search_runs(connection, request)
            found += [by_key[key].run_id for key in page]
            if not request.page_token:
                return found
            assert len(page) == size
        raise AssertionError

    # Low bounds bring the ways for many runs to a few runs.
    with (
        mock.patch.object(search_plan, "MAX_CANDIDATES", candidates),
        mock.patch.object(search_plan, "REACH", 1),
        mock.patch.object(search_plan, "SAMPLES", (samples,)),
        mock.patch.object(search_plan, "LONG_WALK", samples),
    ):
        assert database.run(unit) == [run.run_id for run in expected]
