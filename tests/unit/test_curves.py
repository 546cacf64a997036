"""Curves of cells and points: what is merged, what is not, and that no point is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwire.v1 import metric_pb2
from runwire_server.domain import curves
from runwire_server.domain.blocks import Placed, Points
from runwire_server.domain.curves import Piece, View
from runwire_server.domain.pyramids import CELL, COARSE_CELL, FIRST, HIGH, LAST, LOW, STEP, TIME, Cells

ALL = View(STEP, 10, None, None)


def view(**fields: int) -> View:
    return View.of(metric_pb2.GetMetricCurveRequest(**fields))


def placed(steps: list[int], times: list[int], values: list[float], first: int = 0) -> Placed:
    points = Points.of(["a"], np.array(steps), np.array(times), np.array(values))
    return Placed(points, np.arange(first, first + len(steps)))


def piece(low: tuple[int, int], high: tuple[int, int], first: int = 0) -> Piece:
    places = np.array([low[0], high[0], low[0], high[0]])[None, :, None]
    cells = Cells(np.array([64]), np.array([0]), np.array([[1.0], [2.0], [1.0], [2.0]]), places)
    return Piece(first, first + 64, low, high, cells)


def test_a_view_has_defaults_and_bounds() -> None:
    assert view() == View(STEP, 1_000, None, None)
    assert view(axis=metric_pb2.CURVE_AXIS_TIME, max_points=7, min_x=0, max_x=9) == View(TIME, 7, 0, 9)
    bounded = View(STEP, 10, 5, 9)
    assert bounded.misses((0, 0), (4, 9))
    assert bounded.misses((10, 0), (11, 0))
    assert not bounded.misses((0, 0), (5, 0))
    assert bounded.holds((5, 0), (9, 0))
    assert not bounded.holds((4, 0), (9, 0))
    assert not bounded.holds((5, 0), (10, 0))


@pytest.mark.parametrize(
    ("points", "cell"),
    [(1, 1), (8 * CELL * 1_000 - 1, 1), (8 * CELL * 1_000, CELL), (8 * COARSE_CELL * 1_000, COARSE_CELL)],
)
def test_cells_are_as_large_as_leaves_eight_a_bucket(points: int, cell: int) -> None:
    assert view().cell(points) == cell


def test_points_come_in_order_of_the_axis_then_of_the_other_then_of_arrival() -> None:
    blocks = [placed([2, 1, 1], [0, 9, 5], [1.0, 2.0, 3.0]), placed([1, 0], [5, 7], [4.0, 5.0], 3)]
    by_step = curves.points_of(ALL, blocks, "a")
    assert by_step is not None
    assert by_step.values[FIRST].tolist() == [5.0, 3.0, 4.0, 2.0, 1.0]
    by_time = curves.points_of(View(TIME, 10, 5, 7), blocks, "a")
    assert by_time is not None
    assert by_time.values[FIRST].tolist() == [3.0, 4.0, 5.0]
    assert by_time.places[0, FIRST].tolist() == [5, 5, 7]
    assert curves.points_of(ALL, blocks, "b") is None
    assert curves.points_of(View(STEP, 10, 3, None), blocks, "a") is None


def test_pieces_among_whose_points_others_lie_are_tangled() -> None:
    apart = [piece((10, 5), (19, 0)), piece((0, 0), (10, 4)), piece((20, 0), (29, 0))]
    assert curves.tangled(apart, None) == set()
    assert curves.tangled([*apart, piece((29, 0), (40, 0))], None) == {2, 3}
    # One that reaches over several.
    assert curves.tangled([*apart, piece((1, 0), (21, 0))], None) == {0, 1, 2, 3}
    late = curves.points_of(ALL, [placed([15, 30], [0, 0], [1.0, 2.0])], "a")
    assert curves.tangled(apart, late) == {0}


def test_pieces_and_points_are_woven_by_place() -> None:
    points = curves.points_of(ALL, [placed([5, 25], [0, 0], [1.0, 2.0])], "a")
    woven = curves.woven([piece((10, 0), (19, 0)), piece((0, 0), (4, 0))], points)
    assert woven is not None
    assert woven.places[0, FIRST].tolist() == [0, 5, 10, 25]
    assert woven.count.tolist() == [64, 1, 64, 1]
    assert curves.woven([], None) is None


@given(
    st.lists(
        st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-50, 50)),
        min_size=1,
        max_size=200,
    ),
    st.integers(1, 12),
)
def test_buckets_divide_any_range_and_keep_all_points(steps: list[int], buckets: int) -> None:
    steps.sort()
    values = [float(i % 7) for i in range(len(steps))]
    cells, bad = curves.drawn(
        View(STEP, buckets, None, None), [], [placed(steps, [0] * len(steps), values)], "a"
    )
    assert cells is not None
    assert not bad
    assert int(cells.count.sum()) == len(steps)
    assert len(cells) <= max(buckets, 1)
    if len(steps) <= buckets:
        assert len(cells) == len(steps)
        return
    width = (steps[-1] - steps[0]) // buckets + 1
    at = 0
    for i, count in enumerate(cells.count.tolist()):
        own = steps[at : at + count]
        assert len({(step - steps[0]) // width for step in own}) == 1
        assert (int(cells.places[0, FIRST, i]), int(cells.places[0, LAST, i])) == (own[0], own[-1])
        assert cells.values[LOW, i] == min(values[at : at + count])
        assert cells.values[HIGH, i] == max(values[at : at + count])
        at += count


def test_few_points_are_shown_one_by_one_even_if_cells_would_do() -> None:
    cells, bad = curves.drawn(View(STEP, 100, None, None), [piece((0, 0), (63, 0))], [], "a")
    assert (cells, bad) == (None, {0})


def test_series_are_read_together_by_run() -> None:
    series = [metric_pb2.Series(run_id=run, key=str(i)) for i, run in enumerate("aabbbba")]
    batches = [[one.key for one in batch] for batch in curves.batches(series, 3)]
    assert batches == [["0", "1"], ["2", "3", "4"], ["5"], ["6"]]
