"""Whatever is searched, however it is paged: the same runs in the same order as the oracle's."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import oracle
from tests.storage.search_data import Database, PostgresDatabase, SqliteMemory, StoredRun, page_of, refill

from runwire.v1 import block_pb2, experiment_pb2, run_pb2
from runwire_server.domain import filters
from runwire_server.storage import search_plan
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
KEYS = st.sampled_from(["a", "a", "b", "a.min"])
TEXTS = st.sampled_from(
    ["", "a", "A", "b", "ab", "aB", "é", "É", "a%b", "a_b", "a\\b", "10", "9", "'q\"", *LONG]
)
REALS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.1, 1e300, 5e-324, math.inf, -math.inf, math.nan])
TIMES = st.integers(0, 4)
IDS = [f"{n:032x}" for n in range(40)]


@st.composite
def metrics(draw: st.DrawFn) -> block_pb2.MetricSummary:
    summary = block_pb2.MetricSummary(
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
        *("params.a", "params.b", "tags.a", "tags.`a.min`"),
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


def pages(connection: sa.Connection, request: run_pb2.SearchRunsRequest, sizes: Sequence[int]) -> list[int]:
    """The row keys of all pages, whose sizes go round."""
    found: list[int] = []
    for size in itertools.cycle(sizes):
        request.page_size = size
        page, request.page_token = page_of(connection, request)
        found += page
        if not request.page_token:
            break
        assert len(page) == size
    return found


def expected(stored: Iterable[StoredRun], request: run_pb2.SearchRunsRequest) -> list[str]:
    node = filters.parse_run_filter(request.filter)
    runs = (one.run for one in stored if visible(one, request) and oracle.matches(node, one.run))
    return [run.run_id for run in oracle.ordered(runs, filters.parse_run_order(request.order_by))]


@settings(
    max_examples=300,
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

    def unit(connection: sa.Connection) -> list[str]:
        by_key = refill(connection, EXPERIMENTS, stored)
        return [by_key[key].run_id for key in pages(connection, request, page_sizes)]

    with bounds(candidates, samples):
        assert database.run(unit) == expected(stored, request)


@contextlib.contextmanager
def bounds(candidates: int, samples: int) -> Iterator[None]:
    """Low bounds bring the ways for many runs to a few runs."""
    with (
        mock.patch.object(search_plan, "MAX_CANDIDATES", candidates),
        mock.patch.object(search_plan, "REACH", 1),
        mock.patch.object(search_plan, "SAMPLES", (samples,)),
        mock.patch.object(search_plan, "LONG_WALK", samples),
    ):
        yield


def special_runs() -> Iterator[StoredRun]:
    """Runs with each special value, all of them thrice, and with times that tie."""
    reals = [0.0, -0.0, 1.0, -1.0, 5e-324, math.inf, -math.inf, math.nan, math.nan, None]
    texts = ["", "a", "A", "ab", "é", "É", "a%b", "a_b", "a\\b", None, *LONG]
    statuses = run_pb2.RunStatus.values()[1:]
    for i in range(3 * len(texts)):
        run = run_pb2.Run(
            # Ids and row keys disagree.
            run_id=f"{(7 * i) % 101:032x}",
            experiment_id="1",
            name=texts[(i + 3) % len(texts)] or "a",
            status=statuses[i % len(statuses)],
            parent_run_id=["", IDS[1]][i % 2],
        )
        run.start_time.FromMilliseconds(i // 4)
        if i % 3:
            run.end_time.FromMilliseconds(5 - i // 10)
        if (real := reals[i % len(reals)]) is not None:
            metric = run.metrics.add(
                key="a", value=real, count=i % 4 + 1, first_value=reals[(i + 2) % 8] or 0
            )
            if not math.isnan(real):
                metric.min_value, metric.max_value = real, real
        if (text := texts[i % len(texts)]) is not None:
            run.params.add(key="a", value=text)
            run.tags.add(key="a", value=texts[-i % len(texts)] or "")
        if i % 4 == 1:
            run.inputs.add(dataset=run_pb2.Dataset(name="a", digest="b"), context="A")
            run.inputs.add(dataset=run_pb2.Dataset(name="b", digest="b"), context=str(i % 8))
        yield StoredRun(run, ACTIVE)


METRIC_FILTERS = [
    f"{field} {rest}"
    for field in ("metrics.a", "metrics.a.min", "metrics.a.max", "metrics.a.first", "metrics.a.count")
    for rest in ("= 0", "!= 0", "!= 7", "< 1", "<= -0.0", "> -1e308", ">= 1", "IS NULL", "IS NOT NULL")
]
TEXT_FILTERS = [
    f"{field} {rest}"
    for field in ("params.a", "tags.a", "run_name", "parent_run_id")
    for rest in (
        *("= 'a'", "!= 'a'", "!= 'z'", "IN ('a', 'ab', '')", "NOT IN ('a', 'é')", "IS NULL", "IS NOT NULL"),
        *(
            "LIKE 'a%'",
            "LIKE 'a_b'",
            "LIKE 'a\\_b'",
            "LIKE 'a\\\\b'",
            "LIKE '%É'",
            "NOT LIKE 'a%'",
            "LIKE ''",
        ),
        *(
            "ILIKE 'A%'",
            "ILIKE 'é'",
            "ILIKE 'É'",
            "NOT ILIKE 'a%'",
            "LIKE 'x%b'",
            "LIKE 'xx%'",
            f"= '{LONG[2]}'",
        ),
        *(f"= '{LONG[0]}'", f"IN ('a', '{LONG[1]}')", f"LIKE '{LONG[1]}%'"),
    )
]
OTHER_FILTERS = [
    *("dataset.name = 'a'", "dataset.name != 'a'", "dataset.context ILIKE 'a'", "dataset.digest IN ('b')"),
    *("end_time < 4", "end_time != 4", "end_time IS NULL", "start_time >= 4.5", "start_time = 4"),
    *("status = 'FAILED'", "status LIKE 'F%'", "status != 'FAILED'", "run_id LIKE '%5'", "run_id != 'x'"),
    "metrics.a < 1 AND metrics.a > -1 AND metrics.a <= 0",
    "metrics.a < 1 AND metrics.a < 0",
    "metrics.a > 1 AND metrics.a < 1",
    "start_time > 2 AND start_time < 9 AND start_time <= 5 AND params.a LIKE 'a%'",
    "params.a = 'a' OR params.a = 'A' OR (tags.a = 'a' AND start_time > 3)",
    "params.a = 'a' AND tags.a = 'a' OR dataset.name = 'a' AND start_time < 6",
]


@pytest.mark.parametrize("ways", [(5000, 300), (0, 300), (0, 1)], ids=["sort", "walk", "switch"])
def test_special_values_are_what_the_oracle_says(database: Database, ways: tuple[int, int]) -> None:
    stored = list(special_runs())
    orders = itertools.cycle(
        [
            *([], ["metrics.a"], ["metrics.a DESC", "params.a"], ["params.a"], ["tags.a DESC"], ["status"]),
            *(["run_name DESC"], ["start_time"], ["end_time DESC", "metrics.a"], ["metrics.a.min"]),
        ]
    )

    def unit(connection: sa.Connection) -> None:
        by_key = refill(connection, EXPERIMENTS, stored)
        for text in [*METRIC_FILTERS, *TEXT_FILTERS, *OTHER_FILTERS]:
            for one in (text, f"NOT ({text})"):
                request = run_pb2.SearchRunsRequest(experiment_ids=["1"], filter=one, order_by=next(orders))
                wanted = expected(stored, request)
                assert [by_key[key].run_id for key in pages(connection, request, (3, 7))] == wanted, one

    with bounds(*ways):
        database.run(unit)
