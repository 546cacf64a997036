"""`runwire sync`: delivers what was logged offline, or left by processes that are gone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from runwire._cli_options import Options
from runwire._leftovers import spools
from runwire._sync import Outcome, deliver


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--as-new-writer",
    is_flag=True,
    help="Deliver what a spool holds under a new name, where the server and the spool have come apart.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_context
def sync(ctx: click.Context, folder: Path, as_new_writer: bool, as_json: bool) -> None:
    """Deliver the spools in DIR, or the spool DIR: all of it, each record once.

    It may be tried again, also on another machine and when half of it was delivered before. The server is
    --address, else the one that the spool was written for, else as always. Exit code 0 means that all has
    arrived; 1 that something is left, was rejected, or is in use by another process.

    \b
    Examples:
      runwire sync ./runwire-offline
      runwire -a runwire://tracking:50051 sync ./runwire-offline
    """
    options: Options = ctx.obj
    options.json = options.json or as_json
    found = spools(folder)
    outcomes = []
    for one in found:
        say = _sayer(one)
        outcomes.append(deliver(one, options.settings, as_new_writer=as_new_writer, say=say))
    options.show(_show, [_row(outcome) for outcome in outcomes] if options.json else outcomes)
    if not all(outcome.good for outcome in outcomes):
        sys.exit(1)


def _sayer(folder: Path) -> Any:
    return lambda text: click.echo(f"{folder}: {text}", err=True)


def _row(outcome: Outcome) -> dict[str, Any]:
    return {
        "spool": outcome.folder,
        "delivered_frames": outcome.delivered,
        "left_frames": outcome.left,
        "rejected": outcome.rejected,
        "skipped": outcome.skipped,
        "problem": outcome.problem,
    }


def _show(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        click.echo(f"{outcome.folder}: {outcome.delivered} frames delivered, {outcome.left} left")
        for line in [*outcome.skipped, *outcome.rejected, *filter(None, [outcome.problem])]:
            click.echo(f"  {line}")
    if not outcomes:
        click.echo("there is nothing to deliver")
