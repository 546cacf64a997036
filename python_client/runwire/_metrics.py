"""The methods of both clients that read curves, watch runs, and look after leases and the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runwire import _metric_requests
from runwire._calls import AsyncSender, Sender
from runwire._watch import AsyncMetricWatch, MetricWatch
from runwire.curves import MetricCurve
from runwire.entities import StorageStats


class MetricMethods(Sender):
    """What `Client` does with many points, beyond logging them."""

    def get_metric_curve(
        self,
        run_id: str,
        key: str,
        *,
        max_points: int = 1000,
        axis: str = "step",
        min_x: int | None = None,
        max_x: int | None = None,
        timeout: float | None = None,
    ) -> MetricCurve:
        """Returns one metric of one run as it is to be drawn: in buckets that hide no spike.

        Costs as much as it shows, not as much as the run has logged.

        Args:
            run_id: The run, deleted or not.
            key: The metric.
            max_points: Most buckets, at most 10,000.
            axis: What x is: `step`, or `time` (unix ms).
            min_x: Only points with an x of at least this.
            max_x: Only points with an x of at most this.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The curve; without buckets if the run has no such metric.

        Raises:
            NotFound: There is no such run (RUN_NOT_FOUND).
        """
        call = _metric_requests.metric_curves([(run_id, key)], max_points, axis, min_x, max_x)
        return self._send(call, timeout)[0]

    def get_metric_curves(
        self,
        series: Iterable[Sequence[str]] | None = None,
        *,
        run_ids: Iterable[str] = (),
        keys: Iterable[str] = (),
        max_points: int = 1000,
        axis: str = "step",
        min_x: int | None = None,
        max_x: int | None = None,
        timeout: float | None = None,
    ) -> list[MetricCurve]:
        """Returns up to 100 curves in one call; see `get_metric_curve`.

        Args:
            series: Pairs of a run id and a key; or None, and
            run_ids: runs, each with all of
            keys: these metrics.
            max_points: Most buckets of each, at most 10,000.
            axis: What x is: `step`, or `time` (unix ms).
            min_x: Only points with an x of at least this.
            max_x: Only points with an x of at most this.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The curves, in the order asked for: run by run, where runs and keys are given.

        Raises:
            NotFound: There is no such run (RUN_NOT_FOUND).
            ValueError: Both ways to name series are used, or neither.
        """
        wanted = _metric_requests.pairs(series, run_ids, keys)
        return self._send(_metric_requests.metric_curves(wanted, max_points, axis, min_x, max_x), timeout)

    def watch_metrics(
        self,
        run_ids: Iterable[str],
        keys: Iterable[str] = (),
        *,
        cursor: str | None = None,
        from_start: bool = False,
    ) -> MetricWatch:
        """Watches runs: gives each new point as soon as it is on the server's disk.

            with client.watch_metrics([run_id], ["loss"]) as watch:
                for event in watch:
                    for block in event.blocks:
                        print(block.run_id, block.steps, block.values["loss"])

        Args:
            run_ids: 1 to 100 runs, deleted or not.
            keys: The metrics; empty for all.
            cursor: The cursor of an earlier watch's event of the same runs, to go on behind it.
            from_start: Without a cursor: begin with the first point of each run, not with the next new one.

        Returns:
            An iterator over events, for ever; see `MetricWatch`.
        """
        return MetricWatch(self, _metric_requests.watch(run_ids, keys, cursor, from_start), self._settings)

    def heartbeat(self, run_ids: Iterable[str], *, timeout: float | None = None) -> list[str]:
        """Says that runs are alive; a run that began to and is then silent for 2 minutes becomes LOST.

        Args:
            run_ids: 1 to 1,000 runs.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            Those of the runs that are alive now; not those that have ended, are deleted or unknown.
        """
        return self._send(_metric_requests.heartbeat(run_ids), timeout)

    def storage_stats(self, *, timeout: float | None = None) -> StorageStats:
        """Counts what the metric points take on the server's disk, by part.

        Args:
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The parts, and what waits to be compacted.
        """
        return self._send(_metric_requests.storage_stats(), timeout)


class AsyncMetricMethods(AsyncSender):
    """What `AsyncClient` does with many points; each method is `Client`'s, awaited."""

    async def get_metric_curve(
        self,
        run_id: str,
        key: str,
        *,
        max_points: int = 1000,
        axis: str = "step",
        min_x: int | None = None,
        max_x: int | None = None,
        timeout: float | None = None,
    ) -> MetricCurve:
        """Returns one metric of one run as it is to be drawn; see `Client.get_metric_curve`."""
        call = _metric_requests.metric_curves([(run_id, key)], max_points, axis, min_x, max_x)
        return (await self._send(call, timeout))[0]

    async def get_metric_curves(
        self,
        series: Iterable[Sequence[str]] | None = None,
        *,
        run_ids: Iterable[str] = (),
        keys: Iterable[str] = (),
        max_points: int = 1000,
        axis: str = "step",
        min_x: int | None = None,
        max_x: int | None = None,
        timeout: float | None = None,
    ) -> list[MetricCurve]:
        """Returns up to 100 curves in one call; see `Client.get_metric_curves`."""
        wanted = _metric_requests.pairs(series, run_ids, keys)
        return await self._send(
            _metric_requests.metric_curves(wanted, max_points, axis, min_x, max_x), timeout
        )

    def watch_metrics(
        self,
        run_ids: Iterable[str],
        keys: Iterable[str] = (),
        *,
        cursor: str | None = None,
        from_start: bool = False,
    ) -> AsyncMetricWatch:
        """Watches runs; see `Client.watch_metrics`. Not awaited itself: iterate over it with `async for`."""
        call = _metric_requests.watch(run_ids, keys, cursor, from_start)
        return AsyncMetricWatch(self, call, self._settings)

    async def heartbeat(self, run_ids: Iterable[str], *, timeout: float | None = None) -> list[str]:
        """Says that runs are alive; see `Client.heartbeat`."""
        return await self._send(_metric_requests.heartbeat(run_ids), timeout)

    async def storage_stats(self, *, timeout: float | None = None) -> StorageStats:
        """Counts what the metric points take on the server's disk; see `Client.storage_stats`."""
        return await self._send(_metric_requests.storage_stats(), timeout)
