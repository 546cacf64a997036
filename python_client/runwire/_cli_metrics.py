"""`runwire metrics`."""

from __future__ import annotations

import contextlib

import click

from runwire import _cli_render, _tail
from runwire._cli_options import Options, connected
from runwire.client import Client


@click.group()
def metrics() -> None:
    """Look at what runs measured."""


@metrics.command("history")
@click.argument("run_id")
@click.argument("key")
@click.option("--min-step", type=int, help="Only steps from this one on.")
@click.option("--max-step", type=int, help="Only steps up to this one.")
@click.option("--plot", is_flag=True, help="Draw the curve.")
@connected
def metric_history(
    options: Options,
    client: Client,
    run_id: str,
    key: str,
    min_step: int | None,
    max_step: int | None,
    plot: bool,
) -> None:
    """Show the points of the metric KEY of a run.

    \b
    Examples:
      runwire metrics history 0198c5d2e0f57a3b8f1e2d3c4b5a6978 loss --plot
      runwire metrics history 0198c5d2e0f57a3b8f1e2d3c4b5a6978 loss --min-step 1000 --json
    """
    history = client.get_metric_history(run_id, key, min_step=min_step, max_step=max_step)
    options.show(_cli_render.curve if plot else _cli_render.history, history)


@metrics.command("curve")
@click.argument("run_id")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option(
    "--points",
    type=click.IntRange(1, 10_000),
    default=1000,
    show_default=True,
    help="Most buckets of a curve.",
)
@click.option(
    "--axis", type=click.Choice(["step", "time"]), default="step", show_default=True, help="What x is."
)
@click.option("--min-x", type=int, help="Only from this step, or time in unix ms, on.")
@click.option("--max-x", type=int, help="Only up to this one.")
@click.option("--plot", is_flag=True, help="Draw the curves.")
@connected
def metric_curve(
    options: Options,
    client: Client,
    run_id: str,
    keys: tuple[str, ...],
    points: int,
    axis: str,
    min_x: int | None,
    max_x: int | None,
    plot: bool,
) -> None:
    """Show metrics of a run in buckets that hide no spike, however many points there are.

    \b
    Examples:
      runwire metrics curve 0198c5d2e0f57a3b8f1e2d3c4b5a6978 loss --plot
      runwire metrics curve 0198c5d2e0f57a3b8f1e2d3c4b5a6978 loss accuracy --points 200 --json
    """
    found = client.get_metric_curves(
        run_ids=[run_id], keys=keys, max_points=points, axis=axis, min_x=min_x, max_x=max_x
    )
    options.show(_cli_render.plots if plot else _cli_render.curves, found)


@metrics.command("tail")
@click.argument("run_id")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("-f", "--follow", is_flag=True, help="Go on with new points until the run has ended.")
@click.option(
    "-n", "--lines", type=click.IntRange(0), default=10, show_default=True, help="Last points of each metric."
)
@connected
def metric_tail(
    options: Options, client: Client, run_id: str, keys: tuple[str, ...], follow: bool, lines: int
) -> None:
    """Show the last points of metrics of a run (of all, if no KEY is given), one a line.

    With --json each line is an object.

    \b
    Examples:
      runwire metrics tail 0198c5d2e0f57a3b8f1e2d3c4b5a6978 loss -n 20
      runwire metrics tail 0198c5d2e0f57a3b8f1e2d3c4b5a6978 -f
    """
    show = _cli_render.json_line if options.json else _cli_render.point_line
    try:
        if not follow:
            for point in _tail.last(client, run_id, keys, lines):
                show(point)
            return
        # Closed here and not when it is forgotten: it uses the client.
        with contextlib.closing(_tail.follow(client, run_id, keys, lines)) as points:
            for point in points:
                show(point)
    except KeyboardInterrupt:
        # How one leaves: no failure.
        return
