"""Curves as lines and tables, with and without numpy."""

from __future__ import annotations

import math
from array import array

import pytest

from runwire import _convert, _metric_requests
from runwire.curves import MetricCurve
from runwire.v1 import metric_pb2

RUN = "a" * 32

# Three buckets: of one point; rising to its maximum last; the lowest before the highest in between.
MESSAGE = metric_pb2.Curve(
    series=metric_pb2.Series(run_id=RUN, key="loss"),
    points=9,
    first_x=[0, 1, 10],
    last_x=[0, 4, 13],
    min_x=[0, 1, 11],
    max_x=[0, 4, 12],
    first=[5.0, 1.0, 2.0],
    last=[5.0, 3.0, 2.5],
    min=[5.0, 1.0, -8.0],
    max=[5.0, 3.0, 8.0],
    count=[1, 4, 4],
    nan_count=[0, 0, 1],
)


def curve(axis: str = "step") -> MetricCurve:
    """Reads the message as a client does."""
    call = _metric_requests.metric_curves([(RUN, "loss")], 1000, axis, None, None)
    (found,) = call.convert([metric_pb2.GetMetricCurveResponse(curves=[MESSAGE])])
    return found


@pytest.mark.parametrize("numpy", [True, False])
def test_a_line_has_each_corner_once(numpy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not numpy:
        monkeypatch.setattr(_convert, "as_numpy", list)
    found = curve()
    assert isinstance(found.count, array) is not numpy
    assert len(found) == 3
    xs, values = found.line()
    assert list(zip(xs, values, strict=True)) == [
        (0, 5.0),
        (1, 1.0),
        (4, 3.0),
        (10, 2.0),
        (11, -8.0),
        (12, 8.0),
        (13, 2.5),
    ]


def test_the_highest_may_come_before_the_lowest() -> None:
    message = metric_pb2.Curve()
    message.CopyFrom(MESSAGE)
    message.min_x[2], message.max_x[2] = 12, 11
    call = _metric_requests.metric_curves([(RUN, "loss")], 1000, "step", None, None)
    (found,) = call.convert([metric_pb2.GetMetricCurveResponse(curves=[message])])
    xs, values = found.line()
    assert list(zip(xs, values, strict=True))[3:] == [(10, 2.0), (11, 8.0), (12, -8.0), (13, 2.5)]


def test_a_table_has_a_row_for_each_bucket() -> None:
    table = curve("time").to_pandas()
    assert list(table.columns) == [
        "first_x",
        "last_x",
        "min_x",
        "max_x",
        "first",
        "last",
        "min",
        "max",
        "count",
        "nan_count",
    ]
    assert table["nan_count"].tolist() == [0, 0, 1]
    assert {str(kind) for kind in table.dtypes} == {"int64", "float64"}


def test_only_nan_is_no_number() -> None:
    message = metric_pb2.Curve(
        first_x=[1], last_x=[1], min_x=[1], max_x=[1], count=[1], nan_count=[1], points=1
    )
    for column in (message.first, message.last, message.min, message.max):
        column.append(math.nan)
    call = _metric_requests.metric_curves([(RUN, "loss")], 1000, "step", None, None)
    (found,) = call.convert([metric_pb2.GetMetricCurveResponse(curves=[message])])
    assert all(math.isnan(value) for value in found.line()[1])


def test_what_is_asked_for() -> None:
    call = _metric_requests.metric_curves([(RUN, "a"), (RUN, "b")], 50, "time", -5, 7)
    assert call.request == metric_pb2.GetMetricCurveRequest(
        series=[metric_pb2.Series(run_id=RUN, key="a"), metric_pb2.Series(run_id=RUN, key="b")],
        max_points=50,
        axis=metric_pb2.CURVE_AXIS_TIME,
        min_x=-5,
        max_x=7,
    )
    assert _metric_requests.pairs(None, ["r", "s"], ["a", "b"]) == [
        ("r", "a"),
        ("r", "b"),
        ("s", "a"),
        ("s", "b"),
    ]
