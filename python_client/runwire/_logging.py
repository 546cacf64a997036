"""The methods of both clients that write what runs measure, and read it back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from runwire._buffer import weight_of
from runwire._calls import AsyncSender, Sender
from runwire._messages import Pairs
from runwire._pipeline import Pipeline
from runwire._records import Records
from runwire.entities import Dataset, DatasetInput, MetricHistory


class LoggingMethods(Sender):
    """What `Client` writes to runs.

    Logging returns at once: what is logged goes through a spool on this machine to the server, in the order
    of the calls, exactly once, also while the server is away or restarts. What is wrong with the arguments
    raises at the call. What the server rejects (RUN_NOT_FOUND, RUN_DELETED, RUN_PURGED,
    EXPERIMENT_DELETED, PARAM_IMMUTABLE ...) is raised by the next `flush`, `finish_run` or `close`, as the
    error that a call of its own would have raised. When the buffers on the way are full, a call waits.
    """

    _pipeline: Pipeline
    _records: Records

    def log_batch(self, run_id: str, metrics: Pairs = None, params: Pairs = None, tags: Pairs = None) -> None:
        """Adds metric points, params and tags to a run: all or nothing.

        Args:
            run_id: The run.
            metrics: A dict of values at step 0, or a list of `Metric` and `MetricBlock`; at most about
                100,000 points.
            params: A dict, or a list of `Param`; at most 1,000.
            tags: A dict, or a list of `RunTag`; at most 1,000.

        Raises:
            InvalidArgument: Something breaks a rule (INVALID_FIELD), or it is too much for one frame.
            TypeError: A metric's value is no number.
        """
        self._pipeline.record(self._records.batch(run_id, metrics, params, tags))

    def log_metric(
        self, run_id: str, key: str, value: Any, timestamp: int | None = None, step: int | None = None
    ) -> None:
        """Adds one point to a metric.

        Args:
            run_id: The run.
            key: The metric.
            value: A number, or an array or tensor of one element.
            timestamp: When it was measured, unix ms; None for now.
            step: The step; None for 0.

        Raises:
            InvalidArgument: The key or the run id breaks a rule (INVALID_FIELD).
            ResourceExhausted: The spool is full, and the client is to say so instead of waiting.
            TypeError: The value is no number, or the step no int.
        """
        self._pipeline.buffer.point(run_id, key, value, timestamp, step)

    def log_metrics(
        self,
        run_id: str,
        metrics: Mapping[str, Any],
        timestamp: int | None = None,
        step: int | None = None,
    ) -> None:
        """Adds one point to each of several metrics: all or none.

        Args:
            run_id: The run.
            metrics: The values.
            timestamp: When they were measured, unix ms; None for now.
            step: The step; None for 0.

        Raises:
            InvalidArgument: A key or the run id breaks a rule (INVALID_FIELD).
            TypeError: A value is no number, or the step no int.
        """
        self._pipeline.buffer.row(run_id, metrics, timestamp, step)

    def log_series(
        self, run_id: str, key: str, values: Any, steps: Any = None, timestamps: Any = None
    ) -> None:
        """Adds many points to a metric, the cheapest way where they are in an array.

        Args:
            run_id: The run.
            key: The metric.
            values: A numpy array, `array.array`, tensor or list of numbers, of any length.
            steps: As many ints; None for 0, 1, 2 ...
            timestamps: As many ints in unix ms, or one for all; None for now.

        Raises:
            InvalidArgument: The key or the run id breaks a rule (INVALID_FIELD).
            TypeError: A value is no number, or a step no int.
            ValueError: The lengths differ.
        """
        for record in self._records.series(run_id, key, values, steps, timestamps):
            self._pipeline.record(record)

    def log_param(self, run_id: str, key: str, value: Any) -> Any:
        """Sets a param, for good.

        Args:
            run_id: The run.
            key: The param.
            value: Its value, sent as `str(value)`.

        Returns:
            The value as it was given.

        Raises:
            InvalidArgument: The key or the value breaks a rule (INVALID_FIELD).
        """
        self.log_batch(run_id, params={key: value})
        return value

    def log_params(self, run_id: str, params: Pairs) -> None:
        """Sets params, for good: all or none.

        Args:
            run_id: The run.
            params: A dict, or a list of `Param`.

        Raises:
            InvalidArgument: A key or a value breaks a rule (INVALID_FIELD).
        """
        self.log_batch(run_id, params=params)

    def set_tag(self, run_id: str, key: str, value: Any) -> None:
        """Sets one tag, overwriting it.

        Args:
            run_id: The run.
            key: The tag's key.
            value: Its value, sent as `str(value)`.
        """
        self.log_batch(run_id, tags={key: value})

    def set_tags(self, run_id: str, tags: Pairs) -> None:
        """Sets tags, overwriting them: all or none.

        Args:
            run_id: The run.
            tags: A dict, or a list of `RunTag`.
        """
        self.log_batch(run_id, tags=tags)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Removes one tag; one that is not there is no error.

        Args:
            run_id: The run.
            key: The tag's key.
        """
        self._pipeline.record(self._records.delete_tag(run_id, key))

    def log_inputs(self, run_id: str, datasets: Iterable[DatasetInput | Dataset]) -> None:
        """Records data sets that a run reads; one that it has already changes nothing.

        Args:
            run_id: The run.
            datasets: 1 to 100 data sets, with what they are used for or without.
        """
        self._pipeline.record(self._records.inputs(run_id, datasets))

    def flush(self, timeout: float | None = None) -> None:
        """Waits until everything logged so far is on the server's disk; offline, on this machine's.

        Args:
            timeout: Seconds that it may take; None for the client's. A server that was never reached is given
                up sooner, as with calls.

        Raises:
            DeadlineExceeded: Not all was delivered in time; the message says where the rest lies. It is still
                delivered when it can be.
            FailedPrecondition: This client's spool and the server disagree (SERVER_BEHIND, WRITER_UNKNOWN,
                WRITER_DIVERGED); the message says where the spool lies. What is logged from now on is not
                concerned.
            RunwireError: The server rejected something; the message says what, of the class that a call would
                raise. Each rejection is raised once.
            ServerUnavailable: Nothing answers at the address.
        """
        self._pipeline.flush(timeout)

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
    """What `AsyncClient` writes to runs; each method is `Client`'s.

    Logging does not wait for the server here either. Where buffers are full, the caller waits and the event
    loop does not.
    """

    _pipeline: Pipeline
    _records: Records

    async def log_batch(
        self, run_id: str, metrics: Pairs = None, params: Pairs = None, tags: Pairs = None
    ) -> None:
        """Adds points, params and tags: all or nothing; see `Client.log_batch`."""
        await self._pipeline.add(self._records.batch(run_id, metrics, params, tags))

    async def log_metric(
        self, run_id: str, key: str, value: Any, timestamp: int | None = None, step: int | None = None
    ) -> None:
        """Adds one point to a metric; see `Client.log_metric`."""
        (await self._pipeline.room(0)).point(run_id, key, value, timestamp, step)

    async def log_metrics(
        self,
        run_id: str,
        metrics: Mapping[str, Any],
        timestamp: int | None = None,
        step: int | None = None,
    ) -> None:
        """Adds one point to each of several metrics; see `Client.log_metrics`."""
        (await self._pipeline.room(weight_of(len(metrics)))).row(run_id, metrics, timestamp, step)

    async def log_series(
        self, run_id: str, key: str, values: Any, steps: Any = None, timestamps: Any = None
    ) -> None:
        """Adds many points to a metric; see `Client.log_series`."""
        for record in self._records.series(run_id, key, values, steps, timestamps):
            await self._pipeline.add(record)

    async def log_param(self, run_id: str, key: str, value: Any) -> Any:
        """Sets a param, for good; see `Client.log_param`."""
        await self.log_batch(run_id, params={key: value})
        return value

    async def log_params(self, run_id: str, params: Pairs) -> None:
        """Sets params, for good; see `Client.log_params`."""
        await self.log_batch(run_id, params=params)

    async def set_tag(self, run_id: str, key: str, value: Any) -> None:
        """Sets one tag; see `Client.set_tag`."""
        await self.log_batch(run_id, tags={key: value})

    async def set_tags(self, run_id: str, tags: Pairs) -> None:
        """Sets tags; see `Client.set_tags`."""
        await self.log_batch(run_id, tags=tags)

    async def delete_tag(self, run_id: str, key: str) -> None:
        """Removes one tag; see `Client.delete_tag`."""
        await self._pipeline.add(self._records.delete_tag(run_id, key))

    async def log_inputs(self, run_id: str, datasets: Iterable[DatasetInput | Dataset]) -> None:
        """Records data sets that a run reads; see `Client.log_inputs`."""
        await self._pipeline.add(self._records.inputs(run_id, datasets))

    async def flush(self, timeout: float | None = None) -> None:
        """Waits until everything logged so far is on the server's disk; see `Client.flush`."""
        await asyncio.to_thread(self._pipeline.flush, timeout)

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
