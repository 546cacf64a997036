"""The methods of both clients that write what runs measure, and read it back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runwire._calls import AsyncSender, Sender
from runwire._requests import Pairs
from runwire.entities import Dataset, DatasetInput, MetricHistory


class LoggingMethods(Sender):
    """What `Client` writes to runs. Each call is on the server's disk when it returns.

    All writing methods raise NotFound (RUN_NOT_FOUND), FailedPrecondition (RUN_DELETED, RUN_PURGED,
    EXPERIMENT_DELETED) and InvalidArgument (INVALID_FIELD); what else they raise is said with each.
    """

    def log_batch(
        self,
        run_id: str,
        metrics: Pairs = None,
        params: Pairs = None,
        tags: Pairs = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Adds metric points, params and tags to a run: all or nothing.

        Args:
            run_id: The run.
            metrics: A dict of values at step 0, or a list of `Metric` and `MetricBlock`; at most 10,000
                points.
            params: A dict, or a list of `Param`; at most 1,000.
            tags: A dict, or a list of `RunTag`; at most 1,000.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            FailedPrecondition: A param has another value already (PARAM_IMMUTABLE).
            TypeError: A metric's value is no number; nothing is sent.
        """
        self._send(self._requests.log_batch(run_id, metrics, params, tags), timeout)

    def log_metric(
        self,
        run_id: str,
        key: str,
        value: Any,
        timestamp: int | None = None,
        step: int | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Adds one point to a metric.

        Args:
            run_id: The run.
            key: The metric.
            value: A number, or an array or tensor of one element.
            timestamp: When it was measured, unix ms; None for now.
            step: The step; None for 0.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            TypeError: The value is no number, or the step no int; nothing is sent.
        """
        self._send(self._requests.log_metrics(run_id, {key: value}, timestamp, step), timeout)

    def log_metrics(
        self,
        run_id: str,
        metrics: Mapping[str, Any],
        timestamp: int | None = None,
        step: int | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Adds one point to each of several metrics: all or none.

        Args:
            run_id: The run.
            metrics: The values.
            timestamp: When they were measured, unix ms; None for now.
            step: The step; None for 0.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            TypeError: A value is no number, or the step no int; nothing is sent.
        """
        self._send(self._requests.log_metrics(run_id, metrics, timestamp, step), timeout)

    def log_param(self, run_id: str, key: str, value: Any, *, timeout: float | None = None) -> Any:
        """Sets a param, for good.

        Args:
            run_id: The run.
            key: The param.
            value: Its value, sent as `str(value)`.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The value as it was given.

        Raises:
            FailedPrecondition: The param has another value already (PARAM_IMMUTABLE).
        """
        self._send(self._requests.log_batch(run_id, None, {key: value}, None), timeout)
        return value

    def log_params(self, run_id: str, params: Pairs, *, timeout: float | None = None) -> None:
        """Sets params, for good: all or none.

        Args:
            run_id: The run.
            params: A dict, or a list of `Param`.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            FailedPrecondition: A param has another value already (PARAM_IMMUTABLE).
        """
        self._send(self._requests.log_batch(run_id, None, params, None), timeout)

    def set_tag(self, run_id: str, key: str, value: Any, *, timeout: float | None = None) -> None:
        """Sets one tag, overwriting it.

        Args:
            run_id: The run.
            key: The tag's key.
            value: Its value, sent as `str(value)`.
            timeout: Seconds that the call may take; None for the client's.
        """
        self._send(self._requests.set_run_tags(run_id, {key: value}), timeout)

    def set_tags(self, run_id: str, tags: Pairs, *, timeout: float | None = None) -> None:
        """Sets tags, overwriting them: all or none.

        Args:
            run_id: The run.
            tags: A dict, or a list of `RunTag`.
            timeout: Seconds that the call may take; None for the client's.
        """
        self._send(self._requests.set_run_tags(run_id, tags), timeout)

    def delete_tag(self, run_id: str, key: str, *, timeout: float | None = None) -> None:
        """Removes one tag.

        Args:
            run_id: The run.
            key: The tag's key.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            NotFound: The run has no such tag (TAG_NOT_FOUND).
        """
        self._send(self._requests.delete_run_tag(run_id, key), timeout)

    def log_inputs(
        self, run_id: str, datasets: Iterable[DatasetInput | Dataset], *, timeout: float | None = None
    ) -> None:
        """Records data sets that a run reads; one that it has already changes nothing.

        Args:
            run_id: The run.
            datasets: 1 to 100 data sets, with what they are used for or without.
            timeout: Seconds that the call may take; None for the client's.
        """
        self._send(self._requests.log_inputs(run_id, datasets), timeout)

    def get_metric_history(
        self,
        run_id: str,
        key: str,
        *,
        min_step: int | None = None,
        max_step: int | None = None,
        timeout: float | None = None,
    ) -> MetricHistory:
        """Returns the points of one metric of one run.

        Args:
            run_id: The run, deleted or not.
            key: The metric.
            min_step: Only points with a step of at least this.
            max_step: Only points with a step of at most this.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The points, by (step, timestamp, arrival); none if the run has no such metric.

        Raises:
            NotFound: There is no such run (RUN_NOT_FOUND).
        """
        return self._send(self._requests.get_metric_history(run_id, key, min_step, max_step), timeout)

    def get_metric_histories(
        self,
        run_ids: Iterable[str],
        keys: Iterable[str] = (),
        *,
        min_step: int | None = None,
        max_step: int | None = None,
        timeout: float | None = None,
    ) -> dict[str, dict[str, MetricHistory]]:
        """Returns the points of several metrics of several runs in one call.

        Args:
            run_ids: 1 to 100 runs, deleted or not.
            keys: The metrics; empty for all that each run has.
            min_step: Only points with a step of at least this.
            max_step: Only points with a step of at most this.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            For each run, by id, the history of each metric that it has, by key.

        Raises:
            NotFound: There is no such run (RUN_NOT_FOUND).
        """
        return self._send(self._requests.get_metric_histories(run_ids, keys, min_step, max_step), timeout)


class AsyncLoggingMethods(AsyncSender):
    """What `AsyncClient` writes to runs; each method is `Client`'s, awaited."""

    async def log_batch(
        self,
        run_id: str,
        metrics: Pairs = None,
        params: Pairs = None,
        tags: Pairs = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Adds points, params and tags: all or nothing; see `Client.log_batch`."""
        await self._send(self._requests.log_batch(run_id, metrics, params, tags), timeout)

    async def log_metric(
        self,
        run_id: str,
        key: str,
        value: Any,
        timestamp: int | None = None,
        step: int | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Adds one point to a metric; see `Client.log_metric`."""
        await self._send(self._requests.log_metrics(run_id, {key: value}, timestamp, step), timeout)

    async def log_metrics(
        self,
        run_id: str,
        metrics: Mapping[str, Any],
        timestamp: int | None = None,
        step: int | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Adds one point to each of several metrics; see `Client.log_metrics`."""
        await self._send(self._requests.log_metrics(run_id, metrics, timestamp, step), timeout)

    async def log_param(self, run_id: str, key: str, value: Any, *, timeout: float | None = None) -> Any:
        """Sets a param, for good; see `Client.log_param`."""
        await self._send(self._requests.log_batch(run_id, None, {key: value}, None), timeout)
        return value

    async def log_params(self, run_id: str, params: Pairs, *, timeout: float | None = None) -> None:
        """Sets params, for good; see `Client.log_params`."""
        await self._send(self._requests.log_batch(run_id, None, params, None), timeout)

    async def set_tag(self, run_id: str, key: str, value: Any, *, timeout: float | None = None) -> None:
        """Sets one tag; see `Client.set_tag`."""
        await self._send(self._requests.set_run_tags(run_id, {key: value}), timeout)

    async def set_tags(self, run_id: str, tags: Pairs, *, timeout: float | None = None) -> None:
        """Sets tags; see `Client.set_tags`."""
        await self._send(self._requests.set_run_tags(run_id, tags), timeout)

    async def delete_tag(self, run_id: str, key: str, *, timeout: float | None = None) -> None:
        """Removes one tag; see `Client.delete_tag`."""
        await self._send(self._requests.delete_run_tag(run_id, key), timeout)

    async def log_inputs(
        self, run_id: str, datasets: Iterable[DatasetInput | Dataset], *, timeout: float | None = None
    ) -> None:
        """Records data sets that a run reads; see `Client.log_inputs`."""
        await self._send(self._requests.log_inputs(run_id, datasets), timeout)

    async def get_metric_history(
        self,
        run_id: str,
        key: str,
        *,
        min_step: int | None = None,
        max_step: int | None = None,
        timeout: float | None = None,
    ) -> MetricHistory:
        """Returns the points of one metric of one run; see `Client.get_metric_history`."""
        return await self._send(self._requests.get_metric_history(run_id, key, min_step, max_step), timeout)

    async def get_metric_histories(
        self,
        run_ids: Iterable[str],
        keys: Iterable[str] = (),
        *,
        min_step: int | None = None,
        max_step: int | None = None,
        timeout: float | None = None,
    ) -> dict[str, dict[str, MetricHistory]]:
        """Returns the points of several metrics of several runs; see `Client.get_metric_histories`."""
        call = self._requests.get_metric_histories(run_ids, keys, min_step, max_step)
        return await self._send(call, timeout)
