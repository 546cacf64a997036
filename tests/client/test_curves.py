"""Curves, by both clients and the command, from a real server."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from tests.client.reading import fill, new_run, said

from runwire import Client, errors


def test_a_short_series_comes_point_by_point(client: Any) -> None:
    run = new_run(client)
    fill(client, run, [3.0, math.nan, -math.inf, 4.0])
    curve = client.get_metric_curve(run, "loss")
    assert (curve.run_id, curve.key, curve.axis, curve.points, len(curve)) == (run, "loss", "step", 4, 4)
    assert curve.first_x.tolist() == curve.last_x.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(curve.first, [3.0, math.nan, -math.inf, 4.0])
    assert curve.count.tolist() == [1, 1, 1, 1]
    assert curve.nan_count.tolist() == [0, 1, 0, 0]
    table = curve.to_pandas()
    assert list(table.columns[:2]) == ["first_x", "last_x"]
    assert table["max"].iloc[3] == 4.0
    xs, values = curve.line()
    assert [(x, value) for x, value in zip(xs, values, strict=True) if not math.isnan(value)] == [
        (0, 3.0),
        (2, -math.inf),
        (3, 4.0),
    ]


def test_a_long_series_keeps_its_spikes(client: Any) -> None:
    run = new_run(client)
    values = np.zeros(50_000)
    values[31_234], values[31_235] = 7.0, -7.0
    fill(client, run, values)
    curve = client.get_metric_curve(run, "loss", max_points=100)
    assert (curve.points, int(curve.count.sum())) == (50_000, 50_000)
    assert len(curve) <= 100
    assert curve.max_x[curve.max.argmax()] == 31_234
    assert curve.min_x[curve.min.argmin()] == 31_235
    xs, line = curve.line()
    assert (31_234, 7.0) in set(zip(xs, line, strict=True))
    assert xs == sorted(xs)


def test_the_axis_and_its_range(client: Any) -> None:
    run = new_run(client)
    fill(client, run, [float(step) for step in range(100)])
    curve = client.get_metric_curve(run, "loss", axis="time", min_x=1_000_010, max_x=1_000_019)
    assert (curve.axis, curve.points) == ("time", 10)
    assert curve.first_x.tolist() == list(range(1_000_010, 1_000_020))
    assert client.get_metric_curve(run, "loss", min_x=95).first.tolist() == [95.0, 96.0, 97.0, 98.0, 99.0]


def test_many_series_in_the_order_asked_for(client: Any) -> None:
    runs = [new_run(client) for _ in range(2)]
    for run in runs:
        for key in ("a", "b"):
            fill(client, run, [1.0, 2.0], key)
    found = client.get_metric_curves(run_ids=runs, keys=["b", "a", "missing"])
    assert [(c.run_id, c.key, len(c)) for c in found] == [
        (run, key, size) for run in runs for key, size in (("b", 2), ("a", 2), ("missing", 0))
    ]
    (one,) = client.get_metric_curves([(runs[1], "a")])
    assert (one.run_id, one.key) == (runs[1], "a")
    with pytest.raises(errors.NotFound):
        client.get_metric_curve("f" * 32, "a")


@pytest.fixture
def direct(server: Any) -> Any:
    """A client beside the command."""
    with Client(server.address) as client:
        yield client


def test_the_command_shows_curves(server: Any, direct: Client) -> None:
    run = new_run(direct)
    fill(direct, run, [math.sin(step / 50) for step in range(2000)])
    fill(direct, run, [1.0, math.nan], "rate")
    loss, rate = json.loads(
        said(server, "metrics", "curve", run, "loss", "rate", "--points", "100", "--json")
    )
    assert (loss["key"], loss["points"], sum(loss["count"])) == ("loss", 2000, 2000)
    assert len(loss["max"]) <= 100
    assert rate["first"] == [1.0, "NaN"]
    lines = said(server, "metrics", "curve", run, "rate").splitlines()
    assert lines[0].split()[:3] == ["metric", "first", "step"]
    assert lines[1].split() == ["rate", "0", "0", "1.0", "1.0", "1.0", "1.0", "1"]
    drawn = said(server, "metrics", "curve", run, "loss", "rate", "--plot")
    assert "loss  (2000 points)" in drawn
    assert "rate  (2 points)" in drawn
    assert any("\u2800" < letter <= "\u28ff" for letter in drawn)
