"""What the commands of `runwire` share: options, a client, and failures told in one line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from runwire import _cli_render, errors
from runwire._channel import Settings, settings
from runwire.client import Client
from runwire.entities import Experiment, ViewType

VIEWS: Final = {"active": ViewType.ACTIVE_ONLY, "deleted": ViewType.DELETED_ONLY, "all": ViewType.ALL}


class Failures(click.Group):
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


class Options:
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
        return Client(self._address, token=self._token(), tls_ca=self._tls_ca, timeout=self._timeout)

    def settings(self, address: str) -> Settings:
        """Makes what a client is told, for an address that is meant unless another was given."""
        return settings(self._address or address or None, self._token(), self._tls_ca, self._timeout, None)

    def _token(self) -> str | None:
        return self._token_file.read_text(encoding="utf-8").strip() if self._token_file else None

    def show(self, table: Callable[[Any], None], found: Any) -> None:
        """Prints a result, for a program or for a person."""
        (_cli_render.as_json if self.json else table)(found)


def connected(function: Callable[..., None]) -> Callable[..., None]:
    """Gives a command its options and a client, and --json as a last word too."""

    @functools.wraps(function)
    def run(ctx: click.Context, as_json: bool, **given: Any) -> None:
        options: Options = ctx.obj
        options.json = options.json or as_json
        with options.client() as client:
            function(options, client, **given)

    passed: Any = click.pass_context(run)
    option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
    decorated: Callable[..., None] = option(passed)
    return decorated


def find(client: Client, experiment: str) -> Experiment:
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


VIEW = click.option(
    "--view", type=click.Choice(list(VIEWS)), default="active", show_default=True, help="Which to look at."
)
LIMIT = click.option(
    "-n", "--limit", type=click.IntRange(1), default=100, show_default=True, help="Most rows to show."
)
FILTER = click.option(
    "-f", "--filter", "filter_string", default="", metavar="FILTER", help="What to look for."
)
ORDER = click.option(
    "-o", "--order-by", multiple=True, metavar="'FIELD [ASC|DESC]'", help="Order; may be given several times."
)
