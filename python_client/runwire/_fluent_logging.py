"""The fluent functions that log to the current run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runwire._messages import Pairs
from runwire._session import SESSION
from runwire.client import Client
from runwire.entities import Dataset, DatasetInput
from runwire.tracking import current_run_id


def _current(run_id: str | None = None) -> tuple[Client, str]:
    """Finds the run to log to, started if there is none, and the client that it has."""
    run = run_id or current_run_id()
    return SESSION.client_of(run), run


def log_param(key: str, value: Any) -> Any:
    """Sets a param of the current run, for good; see `Client.log_param`.

    Args:
        key: The param.
        value: Its value, sent as `str(value)`.

    Returns:
        The value as it was given.
    """
    client, run = _current()
    return client.log_param(run, key, value)


def log_params(params: Pairs, run_id: str | None = None) -> None:
    """Sets params, for good; see `Client.log_params`.

    Args:
        params: A dict, or a list of `Param`.
        run_id: The run; None for the current one.
    """
    client, run = _current(run_id)
    client.log_params(run, params)


def log_metric(
    key: str, value: Any, step: int | None = None, timestamp: int | None = None, run_id: str | None = None
) -> None:
    """Adds one point to a metric; see `Client.log_metric`.

    Args:
        key: The metric.
        value: A number, or an array or tensor of one element.
        step: The step; None for 0.
        timestamp: When it was measured, unix ms; None for now.
        run_id: The run; None for the current one.

    Raises:
        TypeError: The value is no number, or the step no int; nothing is sent.
    """
    client, run = _current(run_id)
    client.log_metric(run, key, value, timestamp, step)


def log_series(
    key: str, values: Any, steps: Any = None, timestamps: Any = None, run_id: str | None = None
) -> None:
    """Adds many points to a metric; see `Client.log_series`.

    Args:
        key: The metric.
        values: A numpy array, `array.array`, tensor or list of numbers, of any length.
        steps: As many ints; None for 0, 1, 2 ...
        timestamps: As many ints in unix ms, or one for all; None for now.
        run_id: The run; None for the current one.

    Raises:
        TypeError: A value is no number, or a step no int.
        ValueError: The lengths differ.
    """
    client, run = _current(run_id)
    client.log_series(run, key, values, steps, timestamps)


def log_metrics(
    metrics: Mapping[str, Any],
    step: int | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
) -> None:
    """Adds one point to each of several metrics: all or none; see `Client.log_metrics`.

    Args:
        metrics: The values.
        step: The step; None for 0.
        run_id: The run; None for the current one.
        timestamp: When they were measured, unix ms; None for now.

    Raises:
        TypeError: A value is no number, or the step no int; nothing is sent.
    """
    client, run = _current(run_id)
    client.log_metrics(run, metrics, timestamp, step)


def log_batch(
    metrics: Pairs = None, params: Pairs = None, tags: Pairs = None, run_id: str | None = None
) -> None:
    """Adds points, params and tags: all or nothing; see `Client.log_batch`.

    Args:
        metrics: A dict of values at step 0, or a list of `Metric` and `MetricBlock`.
        params: A dict, or a list of `Param`.
        tags: A dict, or a list of `RunTag`.
        run_id: The run; None for the current one.
    """
    client, run = _current(run_id)
    client.log_batch(run, metrics, params, tags)


def set_tag(key: str, value: Any) -> None:
    """Sets one tag of the current run; see `Client.set_tag`.

    Args:
        key: The tag's key.
        value: Its value, sent as `str(value)`.
    """
    client, run = _current()
    client.set_tag(run, key, value)


def set_tags(tags: Pairs) -> None:
    """Sets tags of the current run: all or none; see `Client.set_tags`.

    Args:
        tags: A dict, or a list of `RunTag`.
    """
    client, run = _current()
    client.set_tags(run, tags)


def delete_tag(key: str) -> None:
    """Removes one tag of the current run; see `Client.delete_tag`.

    Args:
        key: The tag's key.
    """
    client, run = _current()
    client.delete_tag(run, key)


def log_input(dataset: Dataset, context: str | None = None) -> None:
    """Records a data set that the current run reads; see `Client.log_inputs`.

    Args:
        dataset: The data set; `dataset_from_arrays` makes one.
        context: What the run uses it for, such as `training`.
    """
    client, run = _current()
    client.log_inputs(run, [DatasetInput(dataset, context or "")])


def flush(timeout: float | None = None) -> None:
    """Waits until everything logged so far is on the server's disk; see `Client.flush`.

    Args:
        timeout: Seconds that it may take; None for 30.

    Raises:
        RunwireError: Something is not delivered, or was rejected.
    """
    for client in SESSION.clients():
        client.flush(timeout)
