"""The commands of `runwire`, in click."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from runwire import _cli_render, _results, _server_entry, errors
from runwire._channel import DEFAULT_TIMEOUT
from runwire._version import __version__
from runwire.client import Client
from runwire.entities import Experiment, ViewType

_PURGE_SECONDS: Final = 3600.0
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_VIEWS: Final = {"active": ViewType.ACTIVE_ONLY, "deleted": ViewType.DELETED_ONLY, "all": ViewType.ALL}


class _Failures(click.Group):
    """Turns what a call raises into one line on stderr and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command."""
        try:
            return super().invoke(ctx)
        except errors.RunwireError as error:
            raise click.ClickException(_one_line(error)) from error
        except (OSError, ValueError, TypeError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise click.ClickException(" ".join(str(error).split())) from error


def _one_line(error: errors.RunwireError) -> str:
    if error.reason == "INVALID_FILTER":
        return error.message  # It points at the place with a caret, on a line of its own.
    message = " ".join(error.message.split())
    told = [f"{v.field}: {v.description}" for v in error.violations if v.description not in message]
    return "; ".join([message, *told])


class _Options:
    """What the global options say."""

    def __init__(
        self, address: str | None, token_file: Path | None, tls_ca: Path | None, timeout: float
    ) -> None:
        self._address = address
        self._token_file = token_file
        self._tls_ca = tls_ca
        self._timeout = timeout
        self.json = False

    def client(self) -> Client:
        """Makes the client."""
        token = self._token_file.read_text(encoding="utf-8").strip() if self._token_file else None
        return Client(self._address, token=token, tls_ca=self._tls_ca, timeout=self._timeout)

    def show(self, table: Callable[[Any], None], found: Any) -> None:
        """Prints a result, for a program or for a person."""
        (_cli_render.as_json if self.json else table)(found)


def _connected(function: Callable[..., None]) -> Callable[..., None]:
    """Gives a command its options and a client, and --json as a last word too."""

    @functools.wraps(function)
    def run(ctx: click.Context, as_json: bool, **given: Any) -> None:
        options: _Options = ctx.obj
        options.json = options.json or as_json
        with options.client() as client:
            function(options, client, **given)

    passed: Any = click.pass_context(run)
    option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
    decorated: Callable[..., None] = option(passed)
    return decorated


_HELP = """Records machine-learning runs, and looks at them.

\b
Examples:
  runwire server --data-dir ./runwire-data
  runwire experiments list
  runwire runs search wine --filter "metrics.loss < 0.1" --order-by "metrics.loss ASC"
  runwire metrics history RUN_ID loss --plot
  runwire --address runwires://tracking:50051 --token-file token.txt runs list wine --json

The address is --address, else RUNWIRE_TRACKING_URI, else runwire://127.0.0.1:50051; the token is
--token-file's, else RUNWIRE_TOKEN's.
"""


@click.group(cls=_Failures, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-a", "--address", metavar="ADDRESS", help="The server: runwire://host:port, runwires:// or unix:path."
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
    ctx.obj = _Options(address, token_file, tls_ca, timeout)
    ctx.obj.json = as_json


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


@app.group()
def experiments() -> None:
    """Create, list and change experiments.

    An EXPERIMENT is an id (digits) or a name.
    """


def _find(client: Client, experiment: str) -> Experiment:
    """Finds an experiment: digits are an id, and a name where there is no such id."""
    if experiment.isdecimal():
        try:
            return client.get_experiment(experiment)
        except errors.NotFound:
            pass
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise click.ClickException(f"there is no experiment {experiment!r}")
    return found


def _tag(text: str) -> tuple[str, str]:
    key, mark, value = text.partition("=")
    if not mark or not key:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--tag")
    return key, value


_VIEW = click.option(
    "--view", type=click.Choice(list(_VIEWS)), default="active", show_default=True, help="Which to look at."
)
_LIMIT = click.option(
    "-n", "--limit", type=click.IntRange(1), default=100, show_default=True, help="Most rows to show."
)
_FILTER = click.option(
    "-f", "--filter", "filter_string", default="", metavar="FILTER", help="What to look for."
)
_ORDER = click.option(
    "-o", "--order-by", multiple=True, metavar="'FIELD [ASC|DESC]'", help="Order; may be given several times."
)


@experiments.command("create")
@click.argument("name")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag; may be given several times.")
@_connected
def create_experiment(options: _Options, client: Client, name: str, tags: tuple[str, ...]) -> None:
    """Create the experiment NAME and print it."""
    created = client.create_experiment(name, tags=dict(map(_tag, tags)))
    options.show(_cli_render.experiment, client.get_experiment(created))


@experiments.command("list")
@_FILTER
@_ORDER
@_VIEW
@_LIMIT
@_connected
def list_experiments(
    options: _Options, client: Client, filter_string: str, order_by: tuple[str, ...], view: str, limit: int
) -> None:
    """List experiments, the newest first."""
    found = _results.gather(
        lambda size, token: client.search_experiments(_VIEWS[view], size, filter_string, order_by, token),
        limit,
    )
    options.show(_cli_render.experiments, found)


@experiments.command("get")
@click.argument("experiment")
@_connected
def get_experiment(options: _Options, client: Client, experiment: str) -> None:
    """Show one experiment."""
    options.show(_cli_render.experiment, _find(client, experiment))


@experiments.command("rename")
@click.argument("experiment")
@click.argument("new_name")
@_connected
def rename_experiment(options: _Options, client: Client, experiment: str, new_name: str) -> None:
    """Give an experiment a new name."""
    found = _find(client, experiment)
    client.rename_experiment(found.experiment_id, new_name)
    options.show(_cli_render.experiment, client.get_experiment(found.experiment_id))


@experiments.command("delete")
@click.argument("experiment")
@_connected
def delete_experiment(options: _Options, client: Client, experiment: str) -> None:
    """Delete an experiment with its runs, until it is restored or `runwire gc` removes it."""
    found = _find(client, experiment)
    client.delete_experiment(found.experiment_id)
    options.show(_cli_render.experiment, client.get_experiment(found.experiment_id))


@experiments.command("restore")
@click.argument("experiment")
@_connected
def restore_experiment(options: _Options, client: Client, experiment: str) -> None:
    """Take the deletion of an experiment back."""
    found = _find(client, experiment)
    client.restore_experiment(found.experiment_id)
    options.show(_cli_render.experiment, client.get_experiment(found.experiment_id))


@app.group()
def runs() -> None:
    """List, search and change runs.

    \b
    Examples:
      runwire runs list wine
      runwire runs search wine -f "params.model = 'forest' AND metrics.accuracy > 0.9"
      runwire runs search wine other -o "metrics.accuracy.max DESC" -n 5
    """


def _show_runs(
    options: _Options,
    client: Client,
    names: Sequence[str],
    filter_string: str,
    order_by: Sequence[str],
    view: str,
    limit: int,
) -> None:
    ids = [_find(client, name).experiment_id for name in names or ("0",)]
    found = _results.gather(
        lambda size, token: client.search_runs(ids, filter_string, _VIEWS[view], size, order_by, token), limit
    )
    options.show(_cli_render.runs, found)


@runs.command("list")
@click.argument("experiments", nargs=-1)
@_VIEW
@_LIMIT
@_connected
def list_runs(options: _Options, client: Client, experiments: tuple[str, ...], view: str, limit: int) -> None:
    """List the runs of EXPERIMENTS (ids or names; Default if none is given), the newest first."""
    _show_runs(options, client, experiments, "", (), view, limit)


@runs.command("search")
@click.argument("experiments", nargs=-1)
@_FILTER
@_ORDER
@_VIEW
@_LIMIT
@_connected
def search_runs(
    options: _Options,
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
@_connected
def get_run(options: _Options, client: Client, run_id: str) -> None:
    """Show one run, with its params, metrics, tags and data sets."""
    options.show(_cli_render.run, client.get_run(run_id))


@runs.command("delete")
@click.argument("run_id")
@_connected
def delete_run(options: _Options, client: Client, run_id: str) -> None:
    """Delete a run, until it is restored or `runwire gc` removes it."""
    client.delete_run(run_id)
    options.show(_cli_render.run, client.get_run(run_id))


@runs.command("restore")
@click.argument("run_id")
@_connected
def restore_run(options: _Options, client: Client, run_id: str) -> None:
    """Take the deletion of a run back."""
    client.restore_run(run_id)
    options.show(_cli_render.run, client.get_run(run_id))


@app.group()
def metrics() -> None:
    """Look at what runs measured."""


@metrics.command("history")
@click.argument("run_id")
@click.argument("key")
@click.option("--min-step", type=int, help="Only steps from this one on.")
@click.option("--max-step", type=int, help="Only steps up to this one.")
@click.option("--plot", is_flag=True, help="Draw the curve.")
@_connected
def metric_history(
    options: _Options,
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


def _age(ctx: click.Context, parameter: click.Parameter, text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", text.strip())
    if match is None or (not match[2] and float(match[1]) != 0):
        raise click.BadParameter(f"{text!r} is not a number with s, m, h, d or w, such as 30d")
    return float(match[1]) * _UNITS.get(match[2], 0)


@app.command()
@click.option(
    "--older-than",
    callback=_age,
    default="30d",
    show_default=True,
    metavar="AGE",
    help="Only what was deleted at least this long ago: 90s, 12h, 30d; 0 for all that is deleted.",
)
@_connected
def gc(options: _Options, client: Client, older_than: float) -> None:
    """Remove for good what was deleted. This can not be undone."""
    options.show(_cli_render.purged, client.purge(older_than, timeout=_PURGE_SECONDS))
