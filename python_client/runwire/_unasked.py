"""What the fluent layer does with a client where no server can be asked: offline, and as the process ends."""

from __future__ import annotations

from typing import Any

from runwire import _convert
from runwire.client import Client
from runwire.entities import Experiment, Run


def begin(
    client: Client,
    experiment_id: str | None,
    experiment_name: str | None,
    run_name: str | None,
    parent_run_id: str | None,
    tags: dict[str, Any],
) -> Run:
    """Begins a run, in its parent's experiment if that began here.

    Args:
        client: The client.
        experiment_id: The experiment, or
        experiment_name: its name.
        run_name: The run's name; None for one that is made up.
        parent_run_id: The parent; None for none.
        tags: The tags.

    Returns:
        The run, as far as it is known here.
    """
    begins = client._pipeline.begins
    parent = begins.get(parent_run_id or "")
    if parent is not None:
        experiment_id = parent.message.run.experiment_id or None
        experiment_name = parent.message.experiment_name or None
    run_id = client.begin_run(
        experiment_id,
        experiment_name=experiment_name,
        run_name=run_name,
        parent_run_id=parent_run_id,
        tags=tags,
    )
    return _convert.begun_run(begins[run_id].message)


def resume(client: Client, run_id: str, run_name: str | None, tags: dict[str, Any]) -> Run:
    """Has a run go on.

    Args:
        client: The client.
        run_id: The run.
        run_name: Its new name; None to keep it.
        tags: Tags to set.

    Returns:
        The run, as far as it is known here.
    """
    client._pipeline.record(client._records.resume(run_id, run_name))
    if tags:
        client.set_tags(run_id, tags)
    client.keep_alive(run_id)
    return _convert.unknown_run(run_id, "RUNNING")


def end(client: Client, run_id: str, status: str) -> None:
    """Ends a run without waiting for the delivery.

    Args:
        client: The client.
        run_id: The run.
        status: `FINISHED`, `FAILED` or `KILLED`.
    """
    client._pipeline.finish(client._records.finish(run_id, status, None))


def experiment(name: str, experiment_id: str) -> Experiment:
    """Makes an experiment of which only the name or the id is known."""
    return Experiment(experiment_id, name, "active", None, None)
