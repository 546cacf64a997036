"""Filters and orders: what they are read as, and what is said about those that can not be read."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import oracle

from runwire.v1 import run_pb2
from runwire_server.domain.filter_terms import like_matcher
from runwire_server.domain.filters import (
    MAX_FILTER_BYTES,
    And,
    Field,
    Kind,
    Node,
    Not,
    Operator,
    Or,
    OrderKey,
    Term,
    Type,
    parse_experiment_filter,
    parse_experiment_order,
    parse_run_filter,
    parse_run_order,
)
from runwire_server.errors import InvalidArgument

LOSS = Field(Kind.METRIC, "loss", Type.REAL, "latest")
MODEL = Field(Kind.PARAM, "model", Type.TEXT)
STATUS = Field(Kind.ATTRIBUTE, "status", Type.STATUS)
START = Field(Kind.ATTRIBUTE, "start_time", Type.INTEGER)


def metric(key: str, part: str = "latest") -> Field:
    return Field(Kind.METRIC, key, Type.INTEGER if part == "count" else Type.REAL, part)


def param(key: str) -> Field:
    return Field(Kind.PARAM, key, Type.TEXT)


def field_of(text: str) -> Field:
    node = parse_run_filter(f"{text} IS NULL")
    assert isinstance(node, Term)
    return node.field


def refused(text: str, *, order: bool = False) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        parse_run_order([text]) if order else parse_run_filter(text)
    assert caught.value.reason == "INVALID_FILTER"
    return caught.value


class TestFields:
    @pytest.mark.parametrize(
        ("text", "field"),
        [
            ("metrics.loss", LOSS),
            ("metric.loss", LOSS),
            ("METRICS.loss", LOSS),
            ("metrics . loss", LOSS),
            ("params.model", MODEL),
            ("param.model", MODEL),
            ("parameter.model", MODEL),
            ("parameters.model", MODEL),
            ("params.`model`", MODEL),
            ('params."model"', MODEL),
            ("tags.a", Field(Kind.TAG, "a", Type.TEXT)),
            ("tag.a", Field(Kind.TAG, "a", Type.TEXT)),
            *(
                (name, START)
                for name in (
                    *("start_time", "attributes.start_time", "attribute.start_time", "attr.start_time"),
                    *("run.start_time", "Created", "attributes.Created", '"start_time"', "`created`"),
                )
            ),
            ("Run name", Field(Kind.ATTRIBUTE, "run_name", Type.TEXT)),
            ('attributes."Run name"', Field(Kind.ATTRIBUTE, "run_name", Type.TEXT)),
            ("run_name", Field(Kind.ATTRIBUTE, "run_name", Type.TEXT)),
            ("name", Field(Kind.ATTRIBUTE, "run_name", Type.TEXT)),
            ("attributes.name", Field(Kind.ATTRIBUTE, "run_name", Type.TEXT)),
        ],
    )
    def test_kinds_and_names_have_aliases(self, text: str, field: Field) -> None:
        assert field_of(text) == field

    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("params.mlflow.source.name", "mlflow.source.name"),
            ("params.train/lr", "train/lr"),
            ("params.lr-2", "lr-2"),
            ("params.2", "2"),
            ("params.schlüssel", "schlüssel"),
            ("params.and", "and"),
            ("params.in", "in"),
            ("params.`a b`", "a b"),
            ("params.`a``b`", "a`b"),
            ('params."a""b"', 'a"b'),
            ("params.`a.min`", "a.min"),
            ("params.a.min", "a.min"),
        ],
    )
    def test_keys_stand_bare_or_quoted(self, text: str, key: str) -> None:
        assert field_of(text) == param(key)

    @pytest.mark.parametrize(
        ("text", "field"),
        [
            ("metrics.loss.min", metric("loss", "min")),
            ("metrics.loss.max", metric("loss", "max")),
            ("metrics.loss.first", metric("loss", "first")),
            ("metrics.loss.count", metric("loss", "count")),
            ("metrics.a.b.max", metric("a.b", "max")),
            ("metrics.loss.mean", metric("loss.mean")),
            ("metrics.`loss.min`", metric("loss.min")),
            ("metrics.`loss.min`.min", metric("loss.min", "min")),
            ("metrics.`my loss`.max", metric("my loss", "max")),
            ('metrics."my loss".max', metric("my loss", "max")),
            ("metrics.min", metric("min")),
        ],
    )
    def test_a_part_of_a_metric_stands_behind_its_key(self, text: str, field: Field) -> None:
        assert field_of(text) == field


class TestTerms:
    @pytest.mark.parametrize(
        ("text", "term"),
        [
            ("metrics.loss < 0.1", Term(LOSS, Operator.LT, 0.1)),
            ("metrics.loss<-1", Term(LOSS, Operator.LT, -1.0)),
            ("metrics.loss >= 1e-3", Term(LOSS, Operator.GE, 0.001)),
            ("metrics.loss != .5", Term(LOSS, Operator.NE, 0.5)),
            ("metrics.loss = +2.", Term(LOSS, Operator.EQ, 2.0)),
            ("params.model = 'b'", Term(MODEL, Operator.EQ, "b")),
            ('params.model = "b"', Term(MODEL, Operator.EQ, "b")),
            ("params.model = 'it''s'", Term(MODEL, Operator.EQ, "it's")),
            ('params.model = "say ""x"""', Term(MODEL, Operator.EQ, 'say "x"')),
            ("params.model = ''", Term(MODEL, Operator.EQ, "")),
            ("params.model like '%x'", Term(MODEL, Operator.LIKE, "%x")),
            ("params.model NOT  like '%x'", Term(MODEL, Operator.NOT_LIKE, "%x")),
            ("params.model ILIKE 'x'", Term(MODEL, Operator.ILIKE, "x")),
            ("params.model not ilike 'x'", Term(MODEL, Operator.NOT_ILIKE, "x")),
            ("params.model IN ('a', \"b\")", Term(MODEL, Operator.IN, ("a", "b"))),
            ("params.model not in ('a')", Term(MODEL, Operator.NOT_IN, ("a",))),
            ("params.model is null", Term(MODEL, Operator.IS_NULL)),
            ("params.model IS NOT NULL", Term(MODEL, Operator.IS_NOT_NULL)),
            (
                "dataset.context = 'train'",
                Term(Field(Kind.DATASET, "context", Type.TEXT), Operator.EQ, "train"),
            ),
        ],
    )
    def test_are_read(self, text: str, term: Term) -> None:
        assert parse_run_filter(text) == term

    @pytest.mark.parametrize(
        ("text", "numbers"),
        [
            ("status = 'FAILED'", {4}),
            ("status != 'FAILED'", {1, 2, 3, 5, 6}),
            ("status IN ('FAILED', 'KILLED')", {4, 5}),
            ("status NOT IN ('FAILED', 'KILLED')", {1, 2, 3, 6}),
            ("status LIKE 'F%'", {3, 4}),
            ("status NOT LIKE 'F%'", {1, 2, 5, 6}),
            ("status LIKE 'f%'", set()),
            ("status ILIKE 'f%'", {3, 4}),
        ],
    )
    def test_about_a_status_become_sets(self, text: str, numbers: set[int]) -> None:
        assert len(run_pb2.RunStatus.values()) == 7
        assert parse_run_filter(text) == Term(STATUS, Operator.IN, tuple(sorted(numbers)))

    @pytest.mark.parametrize(
        ("text", "term"),
        [
            ("start_time < 5", Term(START, Operator.LT, 5)),
            ("start_time < 5.0", Term(START, Operator.LT, 5)),
            ("start_time < 5e3", Term(START, Operator.LT, 5000)),
            ("start_time < 5.5", Term(START, Operator.LE, 5)),
            ("start_time >= -5.5", Term(START, Operator.GT, -6)),
            ("start_time = 5.5", Term(START, Operator.IN, ())),
            ("start_time != 5.5", Term(START, Operator.NOT_IN, ())),
            ("start_time <= 9223372036854775807", Term(START, Operator.LE, 2**63 - 1)),
            ("start_time <= 9223372036854775808", Term(START, Operator.NOT_IN, ())),
            ("start_time > 1e300", Term(START, Operator.IN, ())),
            ("start_time > -1e300", Term(START, Operator.NOT_IN, ())),
            ("start_time = 1e300", Term(START, Operator.IN, ())),
            (f"start_time = 0{'0' * 5000}7", Term(START, Operator.EQ, 7)),
        ],
    )
    def test_about_whole_numbers_fit_64_bits(self, text: str, term: Term) -> None:
        assert parse_run_filter(text) == term


class TestTrees:
    A, B, C = (Term(param(key), Operator.IS_NULL) for key in "abc")

    @pytest.mark.parametrize(
        ("text", "node"),
        [
            ("params.a IS NULL AND params.b IS NULL AND params.c IS NULL", And((A, B, C))),
            ("params.a IS NULL or params.b IS NULL and params.c IS NULL", Or((A, And((B, C))))),
            ("(params.a IS NULL or params.b IS NULL) and params.c IS NULL", And((Or((A, B)), C))),
            ("not params.a IS NULL and params.b IS NULL", And((Not(A), B))),
            ("NOT (params.a IS NULL and params.b IS NULL)", Not(And((A, B)))),
            ("NOT NOT params.a IS NULL", Not(Not(A))),
            ("((params.a IS NULL))", A),
            ("\n params.a\tIS NULL \n", A),
        ],
    )
    def test_bind_as_in_sql(self, text: str, node: Node) -> None:
        assert parse_run_filter(text) == node

    @pytest.mark.parametrize("text", ["", " ", "\n\t "])
    def test_blank_matches_all(self, text: str) -> None:
        assert parse_run_filter(text) is None


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "position", "expected"),
        [
            ("metrics.loss 5", 13, "a comparison operator"),
            ("metrics.loss", 12, "a comparison operator"),
            ("metrics.loss <", 14, "a number, or a text in quotes"),
            ("metrics.loss < 'x", 15, "a closing quote"),
            ("metrics.loss < 'x'", 15, "a number, without quotes"),
            ("metrics.loss < 1e999", 15, "a number that a double can hold"),
            ("metrics.loss < nan", 15, "a number, or a text in quotes"),
            ("metrics.loss LIKE 'x'", 13, "one of =, !=, <, <=, >, >="),
            ("params.x = 5", 11, "a text in quotes"),
            ("params.x < 'a'", 9, "one of =, !=, LIKE, NOT LIKE, ILIKE, NOT ILIKE, IN, NOT IN"),
            ("params.x LIKE 'a\\'", 16, "a character behind the last backslash, which escapes it"),
            (
                "params. = 'x'",
                8,
                "a key; in backticks if it has other characters than letters, digits and _ - . /",
            ),
            ("params.`` = 'x'", 0, "a key that is not empty"),
            ("params.`a`.min = 'x'", 0, "a quoted key without anything behind it"),
            ("metrics.`a`.mean > 1", 0, "one of .min, .max, .first, .count behind the metric's key"),
            ("params.x = 'a\0'", 13, "a character other than NUL"),
            ("params.x NOT = 'y'", 13, "LIKE, ILIKE or IN"),
            ("params.x IS 'y'", 12, "NULL or NOT NULL"),
            ("params.x IN 'y'", 12, "an opening bracket"),
            ("params.x IN ('y' 'z')", 17, "a comma or a closing bracket"),
            ("(params.x = 'y'", 15, "AND, OR or a closing bracket"),
            ("params.x = 'y')", 14, "AND, OR or the end"),
            ("params.x = 'y' params.z = 'y'", 15, "AND, OR or the end"),
            ("params.x = 'y' AND", 18, "a field, such as metrics.loss, params.model or status"),
            ("()", 1, "a field, such as metrics.loss, params.model or status"),
            ("dataset.source = 'x'", 0, "dataset.name, dataset.digest or dataset.context"),
            ("dataset.name IS NULL", 13, "a comparison operator"),
            ("status = 'DONE'", 9, "one of RUNNING, SCHEDULED, FINISHED, FAILED, KILLED, LOST"),
            ("foo = 'x'", 0, "one of run_id, run_name, status, parent_run_id, start_time, end_time"),
            ("foo.bar = 'x'", 0, "one of metrics, params, tags, attributes, dataset"),
        ],
    )
    def test_say_where_and_what_instead(self, text: str, position: int, expected: str) -> None:
        error = refused(text)
        assert error.metadata == {"field": "filter", "position": str(position), "expected": expected}
        assert [violation.field for violation in error.violations] == ["filter"]

    def test_quote_the_line_above_a_caret(self) -> None:
        assert str(refused("status = 'FAILED'\n  AND metrics.loss 5")).splitlines() == [
            "filter: expected a comparison operator at position 37",
            "    AND metrics.loss 5",
            "                     ^",
        ]

    def test_quote_a_part_of_a_long_line(self) -> None:
        text = " AND ".join(["params.x = 'y'"] * 20) + " AND metrics.loss 5 AND " + "params.x = 'y' AND " * 20
        _, line, caret = str(refused(text)).splitlines()
        assert len(line) < 140
        assert line[caret.index("^") :].startswith("5 AND params.x")

    @given(st.text(max_size=60) | st.text("()'\"`.= andornotinislike%<>1\\", max_size=60))
    def test_never_say_anything_else(self, text: str) -> None:
        caught = None
        try:
            parse_run_filter(text)
        except InvalidArgument as error:
            caught = error
        if caught:
            assert caught.reason == "INVALID_FILTER"
            assert 0 <= int(caught.metadata["position"]) <= len(text)
            assert "Token" not in str(caught)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("(" * 10_000, "at most 50 levels of nesting"),
            ("NOT " * 4000, "a field, such as metrics.loss, params.model or status"),
            ("NOT " * 4000 + "status = 'FAILED'", "at most 50 levels of nesting"),
            ("NOT (" * 26 + "status = 'FAILED'" + ")" * 26, "at most 50 levels of nesting"),
            ("a='b' OR " * 1800, "at most 200 terms"),
            (" " + "x" * MAX_FILTER_BYTES, "at most 16384 bytes"),
            ("é" * (MAX_FILTER_BYTES // 2 + 1), "at most 16384 bytes"),
            ("'" * 16_001, "a closing quote"),
            ("params.x = '" + "''" * 8000, "a closing quote"),
        ],
    )
    def test_come_at_once_for_what_is_too_much(self, text: str, expected: str) -> None:
        parse_run_filter("status = 'FAILED'")
        # Of this thread alone, and with room for a collection of garbage.
        began = time.thread_time()
        assert refused(text).metadata["expected"] == expected
        assert time.thread_time() - began < 2

    def test_limits_can_be_reached(self) -> None:
        assert parse_run_filter("(" * 50 + "status = 'FAILED'" + ")" * 50)
        assert parse_run_filter("NOT " * 50 + "status = 'FAILED'")
        assert parse_run_filter(" OR ".join(["params.`and or` = 'x or y'"] * 200))


class TestExperiments:
    def test_have_fields_of_their_own(self) -> None:
        assert parse_experiment_filter("name ILIKE 'a%' AND creation_time > 5 AND tags.a = 'b'")
        with pytest.raises(InvalidArgument, match="no attribute"):
            parse_experiment_filter("status = 'FAILED'")
        with pytest.raises(InvalidArgument, match="has no fields here"):
            parse_experiment_filter("metrics.a > 5")

    def test_ids_are_what_the_server_hands_out(self) -> None:
        field = Field(Kind.ATTRIBUTE, "experiment_id", Type.ID)
        ids = "('1', '007', 'x', '9223372036854775808', 0)"
        assert parse_experiment_filter(f"experiment_id IN {ids}") == Term(field, Operator.IN, (1, 0))
        assert parse_experiment_filter("experiment_id != '1'") == Term(field, Operator.NOT_IN, (1,))

    def test_order(self) -> None:
        (key,) = parse_experiment_order(["last_update_time DESC"])
        assert key.descending
        assert key.field.key == "last_update_time"


class TestOrders:
    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("metrics.loss", OrderKey(LOSS)),
            ("metrics.loss ASC", OrderKey(LOSS)),
            ("metrics.loss desc", OrderKey(LOSS, descending=True)),
            ("metrics.`my loss`.max DESC", OrderKey(metric("my loss", "max"), descending=True)),
            ("params.desc", OrderKey(param("desc"))),
            ("Created", OrderKey(START)),
        ],
    )
    def test_are_read(self, text: str, key: OrderKey) -> None:
        assert parse_run_order([text]) == (key,)

    @pytest.mark.parametrize(
        ("text", "position", "expected"),
        [
            ("metrics.loss down", 13, "ASC, DESC or the end"),
            ("metrics.loss DESC DESC", 18, "ASC, DESC or the end"),
            ("metrics.loss < 5", 13, "ASC, DESC or the end"),
            ("dataset.name", 0, "a metric, param, tag or attribute"),
            ("", 0, "a field, such as metrics.loss, params.model or status"),
            ("x" * 5000, 1024, "at most 1024 characters"),
        ],
    )
    def test_errors_name_the_key(self, text: str, position: int, expected: str) -> None:
        error = refused(text, order=True)
        assert error.metadata == {"field": "order_by[0]", "position": str(position), "expected": expected}

    def test_a_field_stands_once(self) -> None:
        with pytest.raises(InvalidArgument, match="twice") as caught:
            parse_run_order(["metrics.loss", "metric.`loss` DESC"])
        assert caught.value.metadata["field"] == "order_by[1]"

    def test_there_are_at_most_ten(self) -> None:
        assert len(parse_run_order([f"params.k{i}" for i in range(10)])) == 10
        with pytest.raises(InvalidArgument, match="at most 10") as caught:
            parse_run_order([f"params.k{i}" for i in range(11)])
        assert caught.value.reason == "INVALID_FIELD"


@given(text=st.text("aAbé%_\\", max_size=6), pattern=st.text("aAbé%_\\", max_size=6), fold=st.booleans())
def test_like_is_what_the_oracle_says(text: str, pattern: str, fold: bool) -> None:
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        return
    wanted = oracle.like(oracle.lower(text), oracle.lower(pattern)) if fold else oracle.like(text, pattern)
    assert like_matcher(pattern, fold=fold)(text) == wanted


@pytest.mark.parametrize("part", ["%", "%_", "%E", "%\\\\"])
def test_no_pattern_takes_the_server_long(part: str) -> None:
    began = time.thread_time()
    node = parse_run_filter(f"status LIKE '{part * 5000}X'")
    assert time.thread_time() - began < 10
    assert isinstance(node, Term)
    assert node.value == ()
