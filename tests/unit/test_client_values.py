"""From what callers have to what the wire takes."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwire import Dataset, Metric, MetricBlock, Param, errors
from runwire import _series as series
from runwire._convert import steps as steps_of
from runwire._records import Records
from runwire._values import blocks, integer, number, pairs, texts
from runwire.v1 import block_pb2

NOW = 1_700_000_000_000
ODD_NAN = struct.unpack("<d", bytes.fromhex("efbeadde0000f87f"))[0]


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


class Tensor:
    """What torch and JAX scalars look like from outside."""

    def __init__(self, *values: Any) -> None:
        self._values = values

    def item(self) -> Any:
        if len(self._values) != 1:
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")
        return self._values[0]


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (1, 1.0),
        (0.1, 0.1),
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.int16(-3), -3.0),
        (np.array(2.5), 2.5),
        (np.array([2.5]), 2.5),
        (np.longdouble(0.5), 0.5),
        (Tensor(0.75), 0.75),
        (Decimal("0.5"), 0.5),
        (Fraction(1, 4), 0.25),
        (math.inf, math.inf),
    ],
)
def test_numbers_are_taken(given_value: Any, expected: float) -> None:
    found = number("loss", given_value)
    assert type(found) is float
    assert found == expected


@pytest.mark.parametrize(
    "value",
    [
        True,
        np.bool_(True),
        Tensor(True),
        None,
        "0.1",
        b"1",
        np.array("0.1"),
        1j,
        np.complex128(1),
        [1.0],
        np.array([1.0, 2.0]),
        np.array([]),
        Tensor(1.0, 2.0),
        np.datetime64("2024-01-01"),
        object(),
    ],
)
def test_what_is_no_number_is_refused_by_the_key(value: Any) -> None:
    with pytest.raises(TypeError, match="'loss'"):
        number("loss", value)


NO_DOUBLES: list[Any] = [
    10**400,
    2**53 + 1,
    -(2**53) - 1,
    2**63 - 1,
    np.int64(2**53 + 1),
    np.uint64(2**64 - 1),
    Decimal("1e400"),
    Decimal("-1e400"),
    Fraction(10**400),
    np.longdouble("1e400"),
]


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("value", NO_DOUBLES)
def test_a_number_that_no_double_holds_is_refused_by_the_key(value: Any) -> None:
    with pytest.raises(ValueError, match="'loss'"):
        number("loss", value)
    with pytest.raises(ValueError, match="'loss'"):
        list(series.blocks("loss", [0.5, value], None, None, NOW))


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("value", [value for value in NO_DOUBLES if hasattr(value, "dtype")])
def test_an_array_of_what_no_double_holds_is_refused_by_the_key(value: Any) -> None:
    with pytest.raises(ValueError, match="'loss'"):
        list(series.blocks("loss", np.array([1, value], dtype=value.dtype), None, None, NOW))


@pytest.mark.parametrize(
    "value", [2**53, -(2**53), 2**53 + 2, 2**1000, -(2**63), np.uint64(2**63), Decimal("Infinity")]
)
def test_a_large_number_that_a_double_holds_is_taken(value: Any) -> None:
    assert number("loss", value) == value
    assert list(series.blocks("loss", np.array([float(value)]), None, None, NOW)) == list(
        series.blocks("loss", [value], None, None, NOW)
    )


@pytest.mark.parametrize("value", [ODD_NAN, -0.0, 5e-324, -math.inf, np.float64(ODD_NAN), np.array(ODD_NAN)])
def test_every_bit_of_a_float_is_kept(value: Any) -> None:
    (block,) = blocks([Metric("x", value)], NOW)
    assert bits(block.values[0]) == bits(float(value))


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63), np.int64(7), np.uint8(7)])
def test_integers_are_taken(value: Any) -> None:
    assert integer("step", value) == int(value)


@pytest.mark.parametrize("value", [1.0, True, "1", None, np.float32(1), np.array([1, 2])])
def test_what_is_no_integer_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="step must be an int"):
        integer("step", value)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_integers_beyond_64_bits_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        integer("step", value)


def test_a_text_is_no_list_of_texts() -> None:
    with pytest.raises(TypeError, match="run_ids must be a list"):
        texts("run_ids", "abc")


def test_pairs_come_from_dicts_and_from_objects() -> None:
    assert pairs("param", {"a": 1, "b": None}) == [("a", "1"), ("b", "None")]
    assert pairs("param", [Param("a", 0.1)]) == [("a", "0.1")]
    assert pairs("param", None) == []
    with pytest.raises(TypeError, match="key must be a str"):
        pairs("param", {1: "a"})
    with pytest.raises(TypeError, match="list of objects with key and value"):
        pairs("param", [("a", "b")])  # type: ignore[list-item]


def test_equal_keys_over_steps_make_one_block_with_a_range() -> None:
    metrics = [Metric(key, step / 2, NOW + step, step) for step in range(5) for key in ("a", "b")]
    (block,) = blocks(metrics, NOW)
    assert list(block.keys) == ["a", "b"]
    assert (block.range.first, block.range.stride) == (0, 1)
    assert list(block.values) == [v for step in range(5) for v in (step / 2, step / 2)]


def test_one_column_after_the_other_makes_one_block_each() -> None:
    metrics = [Metric(key, 1.0, NOW, step) for key in ("a", "b") for step in (0, 1, 5)]
    found = blocks(metrics, NOW)
    assert [list(block.keys) for block in found] == [["a"], ["b"]]
    assert [list(block.steps.steps) for block in found] == [[0, 1, 5]] * 2


def test_a_dict_is_a_row_at_step_0_now() -> None:
    (block,) = blocks({"a": 1, "b": 2}, NOW)
    assert (list(block.keys), list(steps_of(block)), list(block.timestamps_ms)) == (["a", "b"], [0], [NOW])


def test_dicts_and_foreign_objects_are_points_too() -> None:
    class Theirs:
        key, value, step, timestamp = "a", 2.0, 3, 4

    (block,) = blocks([{"key": "a", "value": 1.0, "step": 2, "timestamp": 3}, Theirs()], NOW)
    assert (list(steps_of(block)), list(block.timestamps_ms)) == ([2, 3], [3, 4])


@pytest.mark.parametrize(
    "values", [[1.0, 2.0, 3.0, 4.0], [[1.0, 2.0], [3.0, 4.0]], np.array([[1.0, 2.0], [3.0, 4.0]])]
)
def test_a_block_is_flat_or_in_rows(values: Any) -> None:
    (block,) = blocks([MetricBlock(["a", "b"], [10, 8], values)], NOW)
    assert list(block.values) == [1.0, 2.0, 3.0, 4.0]
    assert list(steps_of(block)) == [10, 8]
    assert list(block.timestamps_ms) == [NOW, NOW]


def test_a_block_with_columns_of_several_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 2 timestamps and 4 values, and has 2 and 3"):
        blocks([MetricBlock(["a", "b"], [0, 1], [1.0, 2.0, 3.0])], NOW)
    with pytest.raises(TypeError, match="'b'"):
        blocks([MetricBlock(["a", "b"], [0], [1.0, "x"])], NOW)


POINTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 1)), max_size=40)


@given(POINTS)
def test_folding_keeps_every_point_and_the_order_within_each_key(points: list[tuple[str, int, int]]) -> None:
    metrics = [Metric(key, float(i), time, step) for i, (key, step, time) in enumerate(points)]
    expected: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for metric in metrics:
        expected[metric.key].append((metric.step, metric.timestamp or 0, metric.value))
    found: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for block in blocks(metrics, NOW):
        assert len(set(block.keys)) == len(block.keys)
        for s, (step, time) in enumerate(zip(steps_of(block), block.timestamps_ms, strict=True)):
            for k, key in enumerate(block.keys):
                found[key].append((step, time, block.values[s * len(block.keys) + k]))
    assert found == expected


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5))
def test_steps_survive_the_choice_of_axis(steps: list[int]) -> None:
    metrics = [MetricBlock(["a"], steps, [0.0] * len(steps))]
    (block,) = blocks(metrics, NOW)
    assert list(steps_of(block)) == steps


def test_a_message_that_a_caller_gives_stays_his() -> None:
    block = block_pb2.Block(keys=[f"k{i}" for i in range(12)], timestamps_ms=[1], values=[1.0] * 12)
    block.range.first = 0
    before = block.SerializeToString()
    records = Records()
    first = records.batch("0" * 32, [block], None, None)
    assert block.SerializeToString() == before
    # Said again, it is named by its group, which the frame declares.
    again = records.batch("0" * 32, [block], None, None)
    assert (first.points, again.points) == (12, 12)
    assert again.groups
    block.group = b"x" * 16
    with pytest.raises(ValueError, match="must name its keys"):
        records.batch("0" * 32, [block], None, None)


def test_more_keys_than_a_block_may_have_are_several_blocks() -> None:
    found = blocks({f"k{i}": float(i) for i in range(10_001)}, NOW)
    assert [len(block.keys) for block in found] == [10_000, 1]


@pytest.mark.parametrize(
    "value", [np.datetime64(5, "ns"), np.timedelta64(5, "ns"), np.array(np.timedelta64(5, "ns"))]
)
def test_a_time_is_no_value(value: Any) -> None:
    with pytest.raises(TypeError, match="'loss'"):
        number("loss", value)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda it: it.batch("0" * 32, None, {"p": "\udc80"}, None), "params[0].value"),
        (lambda it: it.batch("0" * 32, None, {"a": 1, "\udc80": 1}, None), "params[1].key"),
        (lambda it: it.batch("0" * 32, None, None, {"t": "\udc80"}), "tags[0].value"),
        (lambda it: it.batch("0" * 32, [Metric("\udc80", 1.0)], None, None), "blocks.keys"),
        (lambda it: it.resume("0" * 32, "\udc80"), "name"),
        (lambda it: it.inputs("0" * 32, [Dataset("\udc80", "d", "", "")]), "dataset.name"),
        (lambda it: it.inputs("0" * 32, [Dataset("a\nb", "d", "", "")]), "inputs[0].dataset.name"),
    ],
)
def test_text_that_can_not_be_sent_is_refused_by_its_field(make: Any, field: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        make(Records())
    assert caught.value.metadata == {"field": field}
