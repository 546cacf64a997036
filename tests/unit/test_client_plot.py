"""Curves as text."""

from __future__ import annotations

import math

import pytest

from runwire._plot import plot


def test_a_line_goes_from_corner_to_corner() -> None:
    lines = plot([0, 1, 2, 3], [0.0, 1.0, 2.0, 3.0], width=24, height=4, title="loss").split("\n")
    assert lines[0] == "loss"
    assert lines[1].startswith("  3 ┤")
    field = [line.partition("┤")[2] for line in lines[1:5]]
    assert field[0].startswith(" ")
    assert not field[0].endswith(" ")
    assert not field[-1].startswith(" ")
    assert lines[-1].split() == ["0", "3"]
    assert all(len(line) <= 24 for line in lines)


@pytest.mark.parametrize(
    "values",
    [[1.0], [2.0, 2.0, 2.0], [1.0, math.nan, math.inf, 3.0], [-1.7e308, 1.7e308], [5e-324, 0.0], [1e-9, 1e9]],
)
def test_odd_values_can_be_drawn(values: list[float]) -> None:
    drawing = plot(list(range(len(values))), values, width=40, height=5)
    assert len(drawing.split("\n")) == 7
    assert any("\u2800" < letter <= "\u28ff" for letter in drawing)


def test_nothing_finite_is_said() -> None:
    assert plot([], [], title="loss") == "loss\n(no finite values)"
    assert plot([1], [math.nan]) == "(no finite values)"


def test_steps_in_any_order_make_one_curve() -> None:
    assert plot([2, 0, 1], [4.0, 0.0, 1.0]) == plot([0, 1, 2], [0.0, 1.0, 4.0])
