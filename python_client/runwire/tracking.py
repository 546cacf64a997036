"""The fluent layer: MLflow's functions, that log to the current run.

The server and the experiment are the process's, the current run is each thread's. What is logged
outside of a run starts one. Logging returns at once and is delivered in the background, exactly once;
`flush`, `end_run` and the exit of the process wait for it, and the first two raise what went wrong. Runs
that are open when the interpreter exits end as FINISHED; on SIGTERM, if the program does not handle that
itself, as KILLED, and the process is gone within some seconds.

Environment: RUNWIRE_TRACKING_URI names the server, RUNWIRE_TOKEN its token, RUNWIRE_EXPERIMENT the
experiment, RUNWIRE_RUN_ID the run that the first `start_run` resumes. With RUNWIRE_MODE=offline no server is
asked: runs begin, log and end in the folder RUNWIRE_SPOOL_DIR (else ./runwire-offline), for `runwire sync` to
deliver.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from runwire import _results, _unasked, errors
from runwire._messages import Pairs
from runwire._session import (
    SESSION,
    ActiveRun,
    get_or_create_experiment,
    source_tags,
)
from runwire.client import Client
from runwire.entities import Experiment, MetricHistory, Run, RunStatus, ViewType

_DEFAULT_EXPERIMENT = "0"


def set_tracking_uri(uri: str) -> None:
    """Sets the server that everything goes to from now on; runs that are open go on where they are.

    Args:
        uri: `runwire://host:port`, `runwires://host:port`, `unix:path` or `host:port`.

    Raises:
        ValueError: It is none of these.
    """
    SESSION.move(uri)


def get_tracking_uri() -> str:
    """Returns the address of the server that everything goes to."""
    return SESSION.address


def set_experiment(experiment_name: str | None = None, experiment_id: str | None = None) -> Experiment:
    """Sets the experiment that runs are started in; one with a new name is created.

    Args:
        experiment_name: Its name, or
        experiment_id: its id.

    Returns:
        The experiment.

    Raises:
        ValueError: Both are given, or neither.
        FailedPrecondition: The experiment is deleted.
        NotFound: There is no experiment with the id.
    """
    if (experiment_name is None) == (experiment_id is None):
        raise ValueError("set_experiment takes either a name or an experiment_id")
    if SESSION.client().mode == "offline":
        SESSION.experiment_id, SESSION.experiment_name = experiment_id, experiment_name
        return _unasked.experiment(experiment_name or "", experiment_id or "")
    if experiment_name is not None:
        found = get_or_create_experiment(SESSION.client(), experiment_name)
    else:
        found = get_experiment(str(experiment_id))
    if found.lifecycle_stage == "deleted":
        raise errors.FailedPrecondition(
            f"the experiment {found.name!r} is deleted; restore it, or purge it to use the name again",
            reason="EXPERIMENT_DELETED",
            metadata={"experiment_id": found.experiment_id},
        )
    SESSION.experiment_id = found.experiment_id
    return found


def _experiment_id() -> str:
    # One that was set offline is known by its name only.
    named = SESSION.experiment_name or os.environ.get("RUNWIRE_EXPERIMENT")
    if SESSION.experiment_id is None and named:
        set_experiment(named)
    return SESSION.experiment_id or _DEFAULT_EXPERIMENT


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
) -> ActiveRun:
    """Starts a run, or resumes one, and makes it this thread's current run.

    Args:
        run_id: The run to resume; it is RUNNING again. None for a new run.
        experiment_id: The experiment of a new run; None for the one that is set, else Default.
        run_name: Its name; None for one that the server makes up.
        nested: Allow a current run, which becomes the new run's parent.
        parent_run_id: The parent, where it is not the current run.
        tags: Tags to set.
        description: A text about the run, kept as the tag `mlflow.note.content`.

    Returns:
        The run. As a context manager it ends as FINISHED, as KILLED on Ctrl-C, and as FAILED on any other
        exception.

    Raises:
        FailedPrecondition: There is a current run and `nested` is not set; or the run to resume is deleted.
        NotFound: There is no such run or experiment.
    """
    if SESSION.stack and not nested:
        raise errors.FailedPrecondition(
            f"the run {SESSION.stack[-1].info.run_id} is active already: end it with runwire.end_run(), "
            "or start a run inside it with nested=True"
        )
    given = dict(tags or {})
    if description is not None:
        given["mlflow.note.content"] = description
    resumed = run_id or SESSION.environment_run()
    client = SESSION.starting_client()
    if resumed is not None:
        try:
            return SESSION.push(_resume(client, resumed, run_name, given), client)
        except BaseException:
            if run_id is None:
                SESSION.environment_run_again()
            raise
    parent = parent_run_id or (SESSION.stack[-1].info.run_id if SESSION.stack else None)
    if experiment_id is None and SESSION.stack:
        # A parent is of the same experiment.
        experiment_id = SESSION.stack[-1].info.experiment_id or None
    every = {**source_tags(), **given}
    if client.mode == "offline":
        return SESSION.push(_begin(client, experiment_id, run_name, parent, every), client)
    run = client.create_run(
        experiment_id or _experiment_id(), run_name=run_name, parent_run_id=parent, tags=every
    )
    client.keep_alive(run.info.run_id)
    return SESSION.push(run, client)


def _begin(
    client: Client, experiment_id: str | None, run_name: str | None, parent: str | None, tags: dict[str, Any]
) -> Run:
    """Begins a run without a server."""
    experiment_id = experiment_id or SESSION.experiment_id
    name = None
    if experiment_id is None:
        name = SESSION.experiment_name or os.environ.get("RUNWIRE_EXPERIMENT") or None
        experiment_id = None if name else _DEFAULT_EXPERIMENT
    return _unasked.begin(client, experiment_id, name, run_name, parent, tags)


def _resume(client: Client, run_id: str, run_name: str | None, tags: dict[str, Any]) -> Run:
    if client.mode == "offline":
        return _unasked.resume(client, run_id, run_name, tags)
    client.update_run(run_id, RunStatus.RUNNING, run_name)
    client.keep_alive(run_id)
    if tags:
        client.set_tags(run_id, tags)
    return client.get_run(run_id)


def end_run(status: str = RunStatus.FINISHED) -> None:
    """Ends this thread's current run, and waits for the delivery; without one nothing happens.

    Args:
        status: `FINISHED`, `FAILED` or `KILLED`.

    Raises:
        RunwireError: Something is not delivered, or was rejected; see `Client.flush`.
    """
    SESSION.end_current(status)


def active_run() -> ActiveRun | None:
    """Returns this thread's current run as it was when it started, or None."""
    return SESSION.stack[-1] if SESSION.stack else None


def last_active_run() -> Run | None:
    """Returns the run that this thread used last, as it is now, ended or not; None if there was none."""
    return None if SESSION.last is None else SESSION.client_of(SESSION.last).get_run(SESSION.last)


def current_run_id(run_id: str | None = None) -> str:
    """Returns the run to log to: the given one, or the current one, started if there is none."""
    if run_id is not None:
        return run_id
    return (active_run() or start_run()).info.run_id


def get_run(run_id: str) -> Run:
    """Returns one run, deleted or not; see `Client.get_run`."""
    return SESSION.client().get_run(run_id)


def delete_run(run_id: str) -> None:
    """Deletes a run until it is restored or purged; see `Client.delete_run`."""
    SESSION.client().delete_run(run_id)


def get_metric_history(run_id: str, key: str) -> MetricHistory:
    """Returns the points of one metric of one run; see `Client.get_metric_history`."""
    return SESSION.client().get_metric_history(run_id, key)


def create_experiment(name: str, tags: Pairs = None) -> str:
    """Creates an experiment and returns its id; see `Client.create_experiment`."""
    return SESSION.client().create_experiment(name, tags=tags)


def get_experiment(experiment_id: str) -> Experiment:
    """Returns one experiment, deleted or not; see `Client.get_experiment`."""
    return SESSION.client().get_experiment(experiment_id)


def get_experiment_by_name(name: str) -> Experiment | None:
    """Returns the experiment of a name, or None; see `Client.get_experiment_by_name`."""
    return SESSION.client().get_experiment_by_name(name)


def delete_experiment(experiment_id: str) -> None:
    """Deletes an experiment with its runs; see `Client.delete_experiment`."""
    SESSION.client().delete_experiment(experiment_id)


def set_experiment_tag(key: str, value: Any) -> None:
    """Sets one tag of the experiment that is set; see `Client.set_experiment_tag`."""
    SESSION.client().set_experiment_tag(_experiment_id(), key, value)


def set_experiment_tags(tags: Pairs) -> None:
    """Sets tags of the experiment that is set: all or none; see `Client.set_experiment_tags`."""
    SESSION.client().set_experiment_tags(_experiment_id(), tags)


def search_experiments(
    view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = None,
    filter_string: str = "",
    order_by: Iterable[str] | None = None,
) -> list[Experiment]:
    """Returns all experiments that match a filter; see `Client.search_experiments`.

    Args:
        view_type: Which lifecycle stages to look at, a `ViewType`.
        max_results: Most experiments; None for all.
        filter_string: Such as `name LIKE 'wine%'`; empty matches all.
        order_by: Such as `["name ASC"]`; by default the newest come first.

    Returns:
        The experiments.
    """
    client, order = SESSION.client(), list(order_by or ())
    return _results.gather(
        lambda size, token: client.search_experiments(view_type, size, filter_string, order, token),
        max_results,
    )


def search_runs(
    experiment_ids: Iterable[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Iterable[str] | None = None,
    output_format: str = "pandas",
    experiment_names: Iterable[str] | None = None,
) -> Any:
    """Returns all runs that match a filter, as a table where pandas is installed.

    Args:
        experiment_ids: Their experiments; None for the one that is set, else Default.
        filter_string: Such as `metrics.loss < 0.1 AND params.model = 'x'`; empty matches all.
        run_view_type: Which lifecycle stages to look at, a `ViewType`.
        max_results: Most runs.
        order_by: Such as `["metrics.loss ASC"]`; by default the newest come first.
        output_format: `pandas`, or `list` for a list of `Run`.
        experiment_names: The experiments by name, instead of ids; names that do not exist are left out.

    Returns:
        A DataFrame with the columns run_id, run_name, experiment_id, status, start_time, end_time,
        `metrics.x`, `params.x` and `tags.x`; without pandas, or with `list`, a list of `Run`.

    Raises:
        ValueError: `output_format` is neither, or both ids and names are given.
        InvalidArgument: The filter or order can not be read.
    """
    if output_format not in ("pandas", "list"):
        raise ValueError(f"output_format must be 'pandas' or 'list', and is {output_format!r}")
    client, order = SESSION.client(), list(order_by or ())
    ids = _experiment_ids(experiment_ids, experiment_names)
    runs = _results.gather(
        lambda size, token: client.search_runs(ids, filter_string, run_view_type, size, order, token),
        max_results if ids else 0,
    )
    pandas = _results.load_pandas() if output_format == "pandas" else None
    return runs if pandas is None else _results.to_frame(pandas, runs)


def _experiment_ids(ids: Iterable[str] | None, names: Iterable[str] | None) -> list[str]:
    if ids is not None and names is not None:
        raise ValueError("search_runs takes either experiment_ids or experiment_names")
    if names is not None:
        found = (get_experiment_by_name(name) for name in names)
        return [one.experiment_id for one in found if one is not None]
    return [_experiment_id()] if ids is None else list(ids)
