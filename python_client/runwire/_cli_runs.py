"""`runwire runs`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runwire import _cli_render, _results
from runwire._cli_options import FILTER, LIMIT, ORDER, VIEW, VIEWS, Options, connected, find
from runwire.client import Client


@click.group()
def runs() -> None:
    """List, search and change runs.

    \b
    Examples:
      runwire runs list wine
      runwire runs search wine -f "params.model = 'forest' AND metrics.accuracy > 0.9"
      runwire runs search wine other -o "metrics.accuracy.max DESC" -n 5
    """


def _show_runs(
    options: Options,
    client: Client,
    names: Sequence[str],
    filter_string: str,
    order_by: Sequence[str],
    view: str,
    limit: int,
) -> None:
    ids = [find(client, name).experiment_id for name in names or ("0",)]
    found = _results.gather(
        lambda size, token: client.search_runs(ids, filter_string, VIEWS[view], size, order_by, token), limit
    )
    options.show(_cli_render.runs, found)


@runs.command("list")
@click.argument("experiments", nargs=-1)
@VIEW
@LIMIT
@connected
def list_runs(options: Options, client: Client, experiments: tuple[str, ...], view: str, limit: int) -> None:
    """List the runs of EXPERIMENTS (ids or names; Default if none is given), the newest first."""
    _show_runs(options, client, experiments, "", (), view, limit)


@runs.command("search")
@click.argument("experiments", nargs=-1)
@FILTER
@ORDER
@VIEW
@LIMIT
@connected
def search_runs(
    options: Options,
    client: Client,
    experiments: tuple[str, ...],
    filter_string: str,
    order_by: tuple[str, ...],
    view: str,
    limit: int,
) -> None:
    """Search the runs of EXPERIMENTS (ids or names; Default if none is given)."""
    _show_runs(options, client, experiments, filter_string, order_by, view, limit)


@runs.command("get")
@click.argument("run_id")
@connected
def get_run(options: Options, client: Client, run_id: str) -> None:
    """Show one run, with its params, metrics, tags and data sets."""
    options.show(_cli_render.run, client.get_run(run_id))


@runs.command("delete")
@click.argument("run_id")
@connected
def delete_run(options: Options, client: Client, run_id: str) -> None:
    """Delete a run, until it is restored or `runwire gc` removes it."""
    client.delete_run(run_id)
    options.show(_cli_render.run, client.get_run(run_id))


@runs.command("restore")
@click.argument("run_id")
@connected
def restore_run(options: Options, client: Client, run_id: str) -> None:
    """Take the deletion of a run back."""
    client.restore_run(run_id)
    options.show(_cli_render.run, client.get_run(run_id))
