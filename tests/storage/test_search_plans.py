"""Searches go the way that was meant for them: by which index, and without reading or sorting all runs."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import sqlalchemy as sa
from tests.bench.search_fill import START, fill_sqlite
from tests.storage.search_data import SqliteMemory, page_of

from runwire.v1 import experiment_pb2, run_pb2
from runwire_server.errors import InvalidArgument, NotFound
from runwire_server.storage import schema, search, search_plan, search_sql
from runwire_server.storage.sqlite import COMMON_PRAGMAS

RUNS = 3000
# So few candidates are many among 3,000 runs, as 5,000 are among a million.
CANDIDATES = 20
# The last few began later.
LATE = START + 1000 * (RUNS - 5)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Connection]:
    path = tmp_path_factory.mktemp("plans") / "runs.db"
    fill_sqlite(path, RUNS, lambda _: None)
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as opened:
        for pragma in COMMON_PRAGMAS:
            opened.exec_driver_sql(pragma)
        with mock.patch.object(search_plan, "MAX_CANDIDATES", CANDIDATES):
            yield opened
    engine.dispose()


def request(text: str, *order: str, page: str = "") -> run_pb2.SearchRunsRequest:
    return run_pb2.SearchRunsRequest(
        experiment_ids=["1"], filter=text, order_by=order, page_size=10, page_token=page
    )


def explained(connection: sa.Connection, asked: run_pb2.SearchRunsRequest) -> tuple[list[str], str]:
    """The ways that a search took, and SQLite's plans of all its statements."""
    plans: list[str] = []
    fetch = search_sql.Statement.fetch

    def spy(statement: search_sql.Statement, sql: str) -> object:
        rows = connection.execute(sa.text(f"EXPLAIN QUERY PLAN {sql}"), statement._values).all()
        plans.extend(row[3] for row in rows)
        return fetch(statement, sql)

    with mock.patch.object(search_sql.Statement, "fetch", spy):
        ways = search.explain(connection, asked)
    return ways, "\n".join(plans)


WALKS = [
    ("", [], ["walk runs_by_start_time() newest first"]),
    ("status = 'FINISHED'", [], ["walk runs_by_status(= 3) newest first"]),
    (
        "status IN ('FINISHED', 'RUNNING')",
        [],
        ["walk runs_by_status(= 1) newest first", "walk runs_by_status(= 3) newest first"],
    ),
    ("params.model = 'b'", [], ["walk params_by_value(model = 'b') newest first"]),
    (
        "tags.team = 't3' OR tags.team = 't7'",
        [],
        ["walk tags_by_value(team = 't3') newest first", "walk tags_by_value(team = 't7') newest first"],
    ),
    ("metrics.loss < 0.5", [], ["walk runs_by_start_time() newest first"]),
    (
        "metrics.loss < 0.5 AND params.model = 'b'",
        ["metrics.loss"],
        ["walk metric_series_by_latest(loss < 0.5) by value"],
    ),
    ("", ["metrics.loss DESC"], ["walk metric_series_by_latest(loss >= -inf) by value"]),
    ("", ["run_name"], ["walk runs_by_name() by value"]),
    ("", ["params.seed"], ["walk params_by_value(seed) by value", "walk params_long(seed) by value"]),
    ("", ["start_time ASC"], ["walk runs_by_start_time() by value"]),
    ("", ["status DESC"], ["walk runs_by_status(= 1) newest first"]),
]


def assert_walked(plans: str) -> None:
    """No table is read as a whole, and none but ties and the few long values are sorted."""
    few = r"SEARCH d USING INDEX params_long [^\n]*\nSEARCH r [^\n]*\nUSE TEMP B-TREE FOR ORDER BY"
    assert not re.search(r"SCAN [dr]\b|AUTOMATIC|FOR ORDER BY", re.sub(few, "", plans)), plans


@pytest.mark.parametrize(("text", "order", "ways"), WALKS)
def test_many_matches_are_walked_to(
    connection: sa.Connection, text: str, order: list[str], ways: list[str]
) -> None:
    taken, plans = explained(connection, request(text, *order))
    assert [way for way in taken if not way.startswith("nothing")] == ways
    assert_walked(plans)


@pytest.mark.parametrize(("text", "order", "ways"), WALKS)
def test_later_pages_begin_with_a_seek(
    connection: sa.Connection, text: str, order: list[str], ways: list[str]
) -> None:
    asked = request(text, *order)
    for _ in range(3):
        _, asked.page_token = page_of(connection, asked)
    taken, plans = explained(connection, asked)
    assert set(ways) <= set(taken)
    assert_walked(plans)
    # The bound of the cursor is one of the index search.
    assert re.search(r"(start_time|latest|value|name)[<>]\?", plans), plans


@pytest.mark.parametrize(
    ("text", "order", "source"),
    [
        ("tags.stage = 'golden'", "metrics.loss", "tags_by_value(stage = 'golden')"),
        ("metrics.loss < 0.001", "", "metric_series_by_latest(loss < 0.001)"),
        ("metrics.loss < 0.001 AND metrics.loss > 0", "", "metric_series_by_latest(loss > 0.0, < 0.001)"),
        (
            "run_name LIKE 'bold-fox-299_'",
            "",
            "runs_by_name(>= 'bold-fox-299', < 'bold-fox-29:', LIKE 'bold-fox-299_')",
        ),
        (
            "run_id = 'x' OR run_name = 'bold-fox-7'",
            "status",
            "runs_by_run_id(= 'x') or runs_by_name(= 'bold-fox-7')",
        ),
        (f"start_time > {LATE}", "metrics.loss", f"runs_by_start_time(> {LATE})"),
    ],
)
def test_few_candidates_are_sorted(connection: sa.Connection, text: str, order: str, source: str) -> None:
    taken, plans = explained(connection, request(text, *order.split()))
    assert taken == [f"sort all of {source}"]
    assert not re.search(r"SCAN [dr]\b|AUTOMATIC", plans), plans


def test_an_empty_range_ends_a_search(connection: sa.Connection) -> None:
    taken, _ = explained(connection, request("params.model = 'none' AND metrics.loss < 0.5", "metrics.loss"))
    assert taken == ["nothing: an index range is empty"]


def test_a_long_walk_gives_way_to_a_shorter_range(connection: sa.Connection) -> None:
    text = "metrics.loss < 0.05 AND metrics.accuracy > 0.95"
    with mock.patch.object(search_plan, "SAMPLES", (100,)):
        taken, _ = explained(connection, request(text))
    assert taken[0].startswith("sort all of metric_series_by_latest(")


def test_a_rare_pattern_is_looked_for_in_its_key_only(connection: sa.Connection) -> None:
    text = "params.seed LIKE '%77'"
    with mock.patch.object(search_plan, "SAMPLES", (10,)), mock.patch.object(search_plan, "LONG_WALK", 100):
        taken, _ = explained(connection, request(text))
    assert taken == ["sort all of params_by_value(seed LIKE '%77') or params_long(seed LIKE '%77')"]


def test_the_sparser_of_two_long_ranges_is_walked(connection: sa.Connection) -> None:
    with mock.patch.object(search_plan, "REACH", 50):
        taken, _ = explained(connection, request("params.model = 'a' AND tags.team = 't3'"))
    assert taken == ["walk tags_by_value(team = 't3') newest first"]


def test_statements_are_few(connection: sa.Connection) -> None:
    connection.commit()
    seen: list[str] = []
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.set_trace_callback(seen.append)
    page_of(connection, request("metrics.loss < 0.5 AND params.model = 'b'", "metrics.loss"))
    raw.set_trace_callback(None)
    # The experiment, the counts, a sample, the page.
    assert len([sql for sql in seen if "SELECT" in sql]) == 4


@pytest.mark.parametrize("text", ["tags.stage = 'golden'", "metrics.loss < 2", "tags.team != 'x'"])
@pytest.mark.parametrize("order", ["", "metrics.loss", "params.lr"])
def test_purged_runs_stay_out_while_their_children_are_still_there(
    connection: sa.Connection, text: str, order: str
) -> None:
    before, _ = page_of(connection, request(text, *order.split()))
    connection.execute(
        sa.update(schema.runs).where(schema.runs.c.id == before[0]).values(lifecycle=schema.PURGED)
    )
    after, _ = page_of(connection, request(text, *order.split()))
    connection.rollback()
    assert before[0] not in after
    assert after[: len(before) - 1] == before[1:]


class TestTokens:
    def test_belong_to_a_query(self, connection: sa.Connection) -> None:
        _, token = page_of(connection, request("", "metrics.loss"))
        for other in (
            request("", "metrics.loss DESC", page=token),
            request("", page=token),
            request("params.model = 'a'", "metrics.loss", page=token),
        ):
            with pytest.raises(InvalidArgument) as caught:
                page_of(connection, other)
            assert caught.value.reason == "INVALID_PAGE_TOKEN"

    def test_outlive_other_page_sizes_masks_and_the_default_view(self, connection: sa.Connection) -> None:
        first, token = page_of(connection, request(""))
        other = request("", page=token)
        other.page_size = 25
        other.view = experiment_pb2.LIFECYCLE_VIEW_ACTIVE_ONLY
        other.mask.metric_keys.append("loss")
        second, _ = page_of(connection, other)
        assert first + second == list(range(RUNS, RUNS - 35, -1))

    def test_go_on_where_they_were_while_runs_are_added(self, connection: sa.Connection) -> None:
        first, token = page_of(connection, request(""))
        row = connection.execute(sa.select(schema.runs).where(schema.runs.c.id == RUNS)).one()
        newer = {**row._mapping, "id": RUNS + 1, "run_id": "f" * 32, "start_time": row.start_time + 1}
        connection.execute(schema.runs.insert(), newer)
        second, _ = page_of(connection, request("", page=token))
        connection.rollback()
        assert first + second == list(range(RUNS, RUNS - 20, -1))


@pytest.mark.parametrize(
    "experiment_id", ["2", "01", "x", "", "9223372036854775807", "9223372036854775808", "²", "-1"]
)
def test_unknown_experiments_are_not_found(connection: sa.Connection, experiment_id: str) -> None:
    with pytest.raises(NotFound) as caught:
        page_of(connection, run_pb2.SearchRunsRequest(experiment_ids=["1", experiment_id]))
    assert caught.value.metadata == {"experiment_id": experiment_id}


class TestExperiments:
    @pytest.fixture
    def experiments(self) -> Iterator[sa.Connection]:
        database = SqliteMemory()
        names = ["Default", "a", "A", "b%", "deleted"]
        with database.engine.begin() as opened:
            for key, name in enumerate(names):
                opened.execute(
                    schema.experiments.insert(),
                    {
                        "id": key + 8 if key else 0,
                        "name": name,
                        "lifecycle": int(name == "deleted"),
                        "create_time": key // 2,
                        "update_time": 10 - key,
                    },
                )
            opened.execute(
                schema.experiment_tags.insert(),
                [
                    {"experiment": 9, "key": "team", "value": "x"},
                    {"experiment": 11, "key": "team", "value": "y"},
                ],
            )
            yield opened
        database.close()

    @pytest.mark.parametrize(
        ("text", "order", "found"),
        [
            # Newest first; then by id, as a number.
            ("", [], [10, 11, 0, 9]),
            ("name LIKE 'a'", [], [9]),
            ("name ILIKE 'a'", [], [10, 9]),
            ("name LIKE 'b\\%'", [], [11]),
            ("name IN ('a', 'b%')", ["name DESC"], [11, 9]),
            ("NOT name = 'a'", ["experiment_id"], [0, 10, 11]),
            ("experiment_id IN ('9', '11', '09')", ["experiment_id DESC"], [11, 9]),
            ("experiment_id != '9'", ["last_update_time"], [11, 10, 0]),
            ("tags.team IS NULL", [], [10, 0]),
            ("tags.team != 'x'", [], [11]),
            ("NOT tags.team = 'x'", [], [10, 11, 0]),
            ("creation_time >= 1 AND (tags.team = 'y' OR name = 'A')", [], [10, 11]),
            ("", ["tags.team DESC"], [11, 9, 0, 10]),
            ("", ["name"], [10, 0, 9, 11]),
        ],
    )
    def test_are_found_page_by_page(
        self, experiments: sa.Connection, text: str, order: list[str], found: list[int]
    ) -> None:
        for size in (1, 2, 100):
            asked = experiment_pb2.SearchExperimentsRequest(filter=text, order_by=order, page_size=size)
            pages: list[int] = []
            while True:
                page, asked.page_token = search.search_experiments(experiments, asked)
                pages += page
                if not asked.page_token:
                    break
            assert pages == found

    def test_lifecycle_views(self, experiments: sa.Connection) -> None:
        found = {
            view: search.search_experiments(
                experiments, experiment_pb2.SearchExperimentsRequest(view=view, order_by=["experiment_id"])
            )[0]
            for view in experiment_pb2.LifecycleView.values()
        }
        assert list(found.values()) == [[0, 9, 10, 11], [0, 9, 10, 11], [12], [0, 9, 10, 11, 12]]


def test_the_file_is_not_needed_any_more(tmp_path: Path) -> None:
    """The bench keeps a filled file: filling must not leave it open or half indexed."""
    fill_sqlite(tmp_path / "runs.db", 10, lambda _: None)
    with sqlite3.connect(tmp_path / "runs.db") as opened:
        names = {row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    opened.close()
    assert {index.name for table in schema.metadata.tables.values() for index in table.indexes} <= names
