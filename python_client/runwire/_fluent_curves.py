"""The part of the fluent layer that reads curves and watches runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runwire._session import SESSION
from runwire._watch import MetricWatch
from runwire.curves import MetricCurve


def get_metric_curve(
    run_id: str,
    key: str,
    max_points: int = 1000,
    axis: str = "step",
    min_x: int | None = None,
    max_x: int | None = None,
) -> MetricCurve:
    """Returns one metric of one run as it is to be drawn; see `Client.get_metric_curve`.

    Args:
        run_id: The run.
        key: The metric.
        max_points: Most buckets, at most 10,000.
        axis: What x is: `step`, or `time` (unix ms).
        min_x: Only points with an x of at least this.
        max_x: Only points with an x of at most this.

    Returns:
        The curve; without buckets if the run has no such metric.
    """
    return SESSION.client().get_metric_curve(
        run_id, key, max_points=max_points, axis=axis, min_x=min_x, max_x=max_x
    )


def get_metric_curves(
    series: Iterable[Sequence[str]] | None = None,
    run_ids: Iterable[str] = (),
    keys: Iterable[str] = (),
    max_points: int = 1000,
    axis: str = "step",
    min_x: int | None = None,
    max_x: int | None = None,
) -> list[MetricCurve]:
    """Returns up to 100 curves in one call; see `Client.get_metric_curves`.

    Args:
        series: Pairs of a run id and a key; or None, and
        run_ids: runs, each with all of
        keys: these metrics.
        max_points: Most buckets of each, at most 10,000.
        axis: What x is: `step`, or `time` (unix ms).
        min_x: Only points with an x of at least this.
        max_x: Only points with an x of at most this.

    Returns:
        The curves, in the order asked for.
    """
    return SESSION.client().get_metric_curves(
        series, run_ids=run_ids, keys=keys, max_points=max_points, axis=axis, min_x=min_x, max_x=max_x
    )


def watch_metrics(
    run_ids: Iterable[str],
    keys: Iterable[str] = (),
    cursor: str | None = None,
    from_start: bool = False,
) -> MetricWatch:
    """Watches runs: gives each new point as soon as it is on the server's disk; see `Client.watch_metrics`.

    Args:
        run_ids: The runs.
        keys: The metrics; empty for all.
        cursor: The cursor of an earlier watch's event, to go on behind it.
        from_start: Without a cursor: begin with the first point of each run.

    Returns:
        An iterator over events, for ever.
    """
    return SESSION.client().watch_metrics(run_ids, keys, cursor=cursor, from_start=from_start)
