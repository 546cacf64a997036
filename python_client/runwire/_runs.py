"""The methods of both clients that deal with runs that are there: find, change, delete."""

from __future__ import annotations

from collections.abc import Iterable

from runwire._calls import AsyncSender, Sender
from runwire._pipeline import Pipeline
from runwire._requests import Mask
from runwire.entities import PagedList, Run, ViewType


class RunMethods(Sender):
    """What `Client` does with runs."""

    _pipeline: Pipeline

    def get_run(
        self,
        run_id: str,
        *,
        fields: Iterable[str] | None = None,
        metric_keys: Iterable[str] | None = None,
        param_keys: Iterable[str] | None = None,
        tag_keys: Iterable[str] | None = None,
        timeout: float | None = None,
    ) -> Run:
        """Returns one run, deleted or not.

        Args:
            run_id: The run.
            fields: Which fields of `Run` in `run.proto` to return, such as `["name", "params"]`.
            metric_keys: Only these metrics.
            param_keys: Only these params.
            tag_keys: Only these tags.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The run; what was not asked for is empty.

        Raises:
            NotFound: There is none, or it was purged (RUN_NOT_FOUND).
        """
        mask = Mask(fields, metric_keys, param_keys, tag_keys)
        return self._send(self._requests.get_run(run_id, mask), timeout)

    def search_runs(
        self,
        experiment_ids: Iterable[str],
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Iterable[str] | None = None,
        page_token: str | None = None,
        *,
        fields: Iterable[str] | None = None,
        metric_keys: Iterable[str] | None = None,
        param_keys: Iterable[str] | None = None,
        tag_keys: Iterable[str] | None = None,
        timeout: float | None = None,
    ) -> PagedList[Run]:
        """Returns a page of the runs of some experiments that match a filter.

        Args:
            experiment_ids: 1 to 100 experiments.
            filter_string: Such as `metrics.loss < 0.1 AND params.model = 'x'`; empty matches all.
            run_view_type: Which lifecycle stages to look at, a `ViewType`.
            max_results: Most runs in the page, at most 1,000; 0 for as many as the server chooses.
            order_by: Such as `["metrics.loss ASC"]`; by default the newest come first.
            page_token: `token` of the page before; None for the first page.
            fields: Which fields of `Run` in `run.proto` to return.
            metric_keys: Only these metrics.
            param_keys: Only these params.
            tag_keys: Only these tags.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The page; its `token` is None on the last.

        Raises:
            InvalidArgument: The filter, order or token can not be read.
            NotFound: There is no such experiment (EXPERIMENT_NOT_FOUND).
        """
        mask = Mask(fields, metric_keys, param_keys, tag_keys)
        call = self._requests.search_runs(
            experiment_ids, filter_string, run_view_type, max_results, order_by, page_token, mask
        )
        return self._send(call, timeout)

    def update_run(
        self, run_id: str, status: str | None = None, name: str | None = None, *, timeout: float | None = None
    ) -> Run:
        """Changes a run's status or name.

        Args:
            run_id: The run.
            status: The new status; `RUNNING` and `SCHEDULED` clear the end time. None to keep it.
            name: The new name; None to keep it.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The run as it is now, without its data and inputs.

        Raises:
            FailedPrecondition: RUN_DELETED, RUN_PURGED or EXPERIMENT_DELETED.
            NotFound: There is no such run (RUN_NOT_FOUND).
        """
        found = self._send(self._requests.update_run(run_id, status, name), timeout)
        self._pipeline.updated(found)
        return found

    def delete_run(self, run_id: str, *, timeout: float | None = None) -> None:
        """Deletes a run until it is restored or purged.

        Args:
            run_id: The run.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            FailedPrecondition: RUN_PURGED or EXPERIMENT_DELETED.
            NotFound: There is no such run (RUN_NOT_FOUND).
        """
        self._send(self._requests.delete_run(run_id), timeout)

    def restore_run(self, run_id: str, *, timeout: float | None = None) -> None:
        """Takes the deletion of a run back.

        Args:
            run_id: The run.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            FailedPrecondition: RUN_PURGED, or EXPERIMENT_DELETED if its experiment must be restored first.
            NotFound: There is no such run (RUN_NOT_FOUND).
        """
        self._send(self._requests.restore_run(run_id), timeout)


class AsyncRunMethods(AsyncSender):
    """What `AsyncClient` does with runs; each method is `Client`'s, awaited."""

    _pipeline: Pipeline

    async def get_run(
        self,
        run_id: str,
        *,
        fields: Iterable[str] | None = None,
        metric_keys: Iterable[str] | None = None,
        param_keys: Iterable[str] | None = None,
        tag_keys: Iterable[str] | None = None,
        timeout: float | None = None,
    ) -> Run:
        """Returns one run; see `Client.get_run`."""
        mask = Mask(fields, metric_keys, param_keys, tag_keys)
        return await self._send(self._requests.get_run(run_id, mask), timeout)

    async def search_runs(
        self,
        experiment_ids: Iterable[str],
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Iterable[str] | None = None,
        page_token: str | None = None,
        *,
        fields: Iterable[str] | None = None,
        metric_keys: Iterable[str] | None = None,
        param_keys: Iterable[str] | None = None,
        tag_keys: Iterable[str] | None = None,
        timeout: float | None = None,
    ) -> PagedList[Run]:
        """Returns a page of runs; see `Client.search_runs`."""
        mask = Mask(fields, metric_keys, param_keys, tag_keys)
        call = self._requests.search_runs(
            experiment_ids, filter_string, run_view_type, max_results, order_by, page_token, mask
        )
        return await self._send(call, timeout)

    async def update_run(
        self, run_id: str, status: str | None = None, name: str | None = None, *, timeout: float | None = None
    ) -> Run:
        """Changes a run's status or name; see `Client.update_run`."""
        found = await self._send(self._requests.update_run(run_id, status, name), timeout)
        self._pipeline.updated(found)
        return found

    async def delete_run(self, run_id: str, *, timeout: float | None = None) -> None:
        """Deletes a run; see `Client.delete_run`."""
        await self._send(self._requests.delete_run(run_id), timeout)

    async def restore_run(self, run_id: str, *, timeout: float | None = None) -> None:
        """Takes the deletion of a run back; see `Client.restore_run`."""
        await self._send(self._requests.restore_run(run_id), timeout)
