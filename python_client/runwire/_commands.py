"""The `runwire` command, in click: the root, and what belongs to no group."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from runwire import _cli_render, _server_entry
from runwire._channel import DEFAULT_TIMEOUT
from runwire._cli_experiments import experiments
from runwire._cli_metrics import metrics
from runwire._cli_options import Failures, Options, connected
from runwire._cli_runs import runs
from runwire._cli_sync import sync
from runwire._version import __version__
from runwire.client import Client

_PURGE_SECONDS: Final = 3600.0
_STATS_SECONDS: Final = 600.0
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

_HELP = """Records machine-learning runs, and looks at them.

\b
Examples:
  runwire server --data-dir ./runwire-data
  runwire experiments list
  runwire runs search wine --filter "metrics.loss < 0.1" --order-by "metrics.loss ASC"
  runwire metrics curve RUN_ID loss --plot
  runwire metrics tail RUN_ID -f
  runwire sync ./runwire-offline
  runwire --address runwires://tracking:50051 --token-file token.txt runs list wine --json

The address is --address, else RUNWIRE_TRACKING_URI, else the folder ./runwire-data, for which a server is
started if it has none; the token is --token-file's, else RUNWIRE_TOKEN's.
"""


@click.group(cls=Failures, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-a",
    "--address",
    metavar="ADDRESS",
    help="The server: runwire://host:port, runwires://, unix:path, or a folder.",
)
@click.option("--token-file", type=click.Path(path_type=Path), help="File that holds the server's token.")
@click.option("--tls-ca", type=click.Path(path_type=Path), help="PEM file with the certificates to trust.")
@click.option(
    "--timeout", type=float, default=DEFAULT_TIMEOUT, show_default=True, help="Seconds that a call may take."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.version_option(__version__, prog_name="runwire")
@click.pass_context
def app(
    ctx: click.Context,
    address: str | None,
    token_file: Path | None,
    tls_ca: Path | None,
    timeout: float,
    as_json: bool,
) -> None:
    """The root command; its help text is above."""
    ctx.obj = Options(address, token_file, tls_ca, timeout)
    ctx.obj.json = as_json


app.add_command(experiments)
app.add_command(runs)
app.add_command(metrics)
app.add_command(sync)


def _forward(entry: Callable[[], Callable[[Sequence[str]], object]], arguments: Sequence[str]) -> None:
    code = entry()(list(arguments))
    sys.exit(code if isinstance(code, int) else 0)


_FORWARDED: Final = {"ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=_FORWARDED, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def server(arguments: tuple[str, ...]) -> None:
    """Start a server; `runwire server --help` shows its options."""
    _forward(_server_entry.server_entry, arguments)


@app.group()
def db() -> None:
    """Look after a server's database."""


@db.command("upgrade", context_settings=_FORWARDED, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def db_upgrade(arguments: tuple[str, ...]) -> None:
    """Bring a database to this version; `runwire db upgrade --help` shows its options."""
    _forward(_server_entry.upgrade_entry, arguments)


def _age(ctx: click.Context, parameter: click.Parameter, text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", text.strip())
    if match is None or (not match[2] and float(match[1]) != 0):
        raise click.BadParameter(f"{text!r} is not a number with s, m, h, d or w, such as 30d")
    return float(match[1]) * _UNITS.get(match[2], 0)


@db.command("stats")
@connected
def db_stats(options: Options, client: Client) -> None:
    """Show what the metric points take on the server's disk, by part."""
    options.show(_cli_render.storage, client.storage_stats(timeout=_STATS_SECONDS))


@app.command()
@click.option(
    "--older-than",
    callback=_age,
    default="30d",
    show_default=True,
    metavar="AGE",
    help="Only what was deleted at least this long ago: 90s, 12h, 30d; 0 for all that is deleted.",
)
@connected
def gc(options: Options, client: Client, older_than: float) -> None:
    """Remove for good what was deleted. This can not be undone."""
    options.show(_cli_render.purged, client.purge(older_than, timeout=_PURGE_SECONDS))
