"""`runwire experiments`."""

from __future__ import annotations

import click

from runwire import _cli_render, _results
from runwire._cli_options import FILTER, LIMIT, ORDER, VIEW, VIEWS, Options, connected, find
from runwire.client import Client


@click.group()
def experiments() -> None:
    """Create, list and change experiments.

    An EXPERIMENT is an id (digits) or a name.
    """


def _tag(text: str) -> tuple[str, str]:
    key, mark, value = text.partition("=")
    if not mark or not key:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--tag")
    return key, value


@experiments.command("create")
@click.argument("name")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag; may be given several times.")
@connected
def create_experiment(options: Options, client: Client, name: str, tags: tuple[str, ...]) -> None:
    """Create the experiment NAME and print it."""
    created = client.create_experiment(name, tags=dict(map(_tag, tags)))
    options.show(_cli_render.experiment, client.get_experiment(created))


@experiments.command("list")
@FILTER
@ORDER
@VIEW
@LIMIT
@connected
def list_experiments(
    options: Options, client: Client, filter_string: str, order_by: tuple[str, ...], view: str, limit: int
) -> None:
    """List experiments, the newest first."""
    found = _results.gather(
        lambda size, token: client.search_experiments(VIEWS[view], size, filter_string, order_by, token),
        limit,
    )
    options.show(_cli_render.experiments, found)


@experiments.command("get")
@click.argument("experiment")
@connected
def get_experiment(options: Options, client: Client, experiment: str) -> None:
    """Show one experiment."""
    options.show(_cli_render.experiment, find(client, experiment))


@experiments.command("rename")
@click.argument("experiment")
@click.argument("new_name")
@connected
def rename_experiment(options: Options, client: Client, experiment: str, new_name: str) -> None:
    """Give an experiment a new name."""
    found = find(client, experiment)
    client.rename_experiment(found.experiment_id, new_name)
    options.show(_cli_render.experiment, client.get_experiment(found.experiment_id))


@experiments.command("delete")
@click.argument("experiment")
@connected
def delete_experiment(options: Options, client: Client, experiment: str) -> None:
    """Delete an experiment with its runs, until it is restored or `runwire gc` removes it."""
    found = find(client, experiment)
    client.delete_experiment(found.experiment_id)
    options.show(_cli_render.experiment, client.get_experiment(found.experiment_id))


@experiments.command("restore")
@click.argument("experiment")
@connected
def restore_experiment(options: Options, client: Client, experiment: str) -> None:
    """Take the deletion of an experiment back."""
    found = find(client, experiment)
    client.restore_experiment(found.experiment_id)
    options.show(_cli_render.experiment, client.get_experiment(found.experiment_id))
