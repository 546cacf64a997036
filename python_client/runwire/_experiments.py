"""The methods of both clients that deal with experiments."""

from __future__ import annotations

from collections.abc import Iterable

from runwire import errors
from runwire._calls import AsyncSender, Sender
from runwire._messages import Pairs
from runwire.entities import Experiment, PagedList, ViewType


class ExperimentMethods(Sender):
    """What `Client` does with experiments."""

    def create_experiment(self, name: str, *, tags: Pairs = None, timeout: float | None = None) -> str:
        """Creates an experiment.

        Args:
            name: 1 to 500 characters, unique also among deleted experiments.
            tags: Its first tags: a dict, or a list of `ExperimentTag`.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The new experiment's id.

        Raises:
            AlreadyExists: The name is taken (EXPERIMENT_EXISTS).
        """
        return self._send(self._requests.create_experiment(name, tags), timeout)

    def get_experiment(self, experiment_id: str, *, timeout: float | None = None) -> Experiment:
        """Returns one experiment, deleted or not.

        Args:
            experiment_id: The experiment.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The experiment.

        Raises:
            NotFound: There is none (EXPERIMENT_NOT_FOUND).
        """
        return self._send(self._requests.get_experiment(experiment_id), timeout)

    def get_experiment_by_name(self, name: str, *, timeout: float | None = None) -> Experiment | None:
        """Returns the experiment of a name, deleted or not.

        Args:
            name: The name, exactly.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The experiment; None if there is none.
        """
        try:
            return self._send(self._requests.get_experiment_by_name(name), timeout)
        except errors.NotFound:
            return None

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        filter_string: str = "",
        order_by: Iterable[str] | None = None,
        page_token: str | None = None,
        *,
        timeout: float | None = None,
    ) -> PagedList[Experiment]:
        """Returns a page of the experiments that match a filter.

        Args:
            view_type: Which lifecycle stages to look at, a `ViewType`.
            max_results: Most experiments in the page, at most 1,000.
            filter_string: Such as `name LIKE 'wine%' AND tags.team = 'blue'`; empty matches all.
            order_by: Such as `["name ASC"]`; by default the newest come first.
            page_token: `token` of the page before; None for the first page.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The page; its `token` is None on the last.

        Raises:
            InvalidArgument: The filter, order or token can not be read.
        """
        call = self._requests.search_experiments(view_type, max_results, filter_string, order_by, page_token)
        return self._send(call, timeout)

    def rename_experiment(self, experiment_id: str, new_name: str, *, timeout: float | None = None) -> None:
        """Renames an experiment.

        Args:
            experiment_id: The experiment.
            new_name: Its new name.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            AlreadyExists: Another experiment has the name (EXPERIMENT_EXISTS).
            FailedPrecondition: The experiment is deleted, or is Default.
            NotFound: There is none (EXPERIMENT_NOT_FOUND).
        """
        self._send(self._requests.rename_experiment(experiment_id, new_name), timeout)

    def delete_experiment(self, experiment_id: str, *, timeout: float | None = None) -> None:
        """Deletes an experiment with its runs, until it is restored or purged.

        Args:
            experiment_id: The experiment.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            FailedPrecondition: It is Default (EXPERIMENT_PROTECTED).
            NotFound: There is none (EXPERIMENT_NOT_FOUND).
        """
        self._send(self._requests.delete_experiment(experiment_id), timeout)

    def restore_experiment(self, experiment_id: str, *, timeout: float | None = None) -> None:
        """Takes the deletion of an experiment back. Runs deleted on their own stay deleted.

        Args:
            experiment_id: The experiment.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            NotFound: There is none, or it was purged (EXPERIMENT_NOT_FOUND).
        """
        self._send(self._requests.restore_experiment(experiment_id), timeout)

    def set_experiment_tag(
        self, experiment_id: str, key: str, value: object, *, timeout: float | None = None
    ) -> None:
        """Sets one tag of an experiment, overwriting it.

        Args:
            experiment_id: The experiment.
            key: The tag's key.
            value: Its value, sent as `str(value)`.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            FailedPrecondition: The experiment is deleted (EXPERIMENT_DELETED).
            NotFound: There is none (EXPERIMENT_NOT_FOUND).
        """
        self._send(self._requests.set_experiment_tags(experiment_id, {key: value}), timeout)

    def set_experiment_tags(self, experiment_id: str, tags: Pairs, *, timeout: float | None = None) -> None:
        """Sets tags of an experiment, overwriting them: all or none.

        Args:
            experiment_id: The experiment.
            tags: A dict, or a list of `ExperimentTag`.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            FailedPrecondition: The experiment is deleted (EXPERIMENT_DELETED).
            NotFound: There is none (EXPERIMENT_NOT_FOUND).
        """
        self._send(self._requests.set_experiment_tags(experiment_id, tags), timeout)

    def delete_experiment_tag(self, experiment_id: str, key: str, *, timeout: float | None = None) -> None:
        """Removes one tag of an experiment.

        Args:
            experiment_id: The experiment.
            key: The tag's key.
            timeout: Seconds that the call may take; None for the client's.

        Raises:
            FailedPrecondition: The experiment is deleted (EXPERIMENT_DELETED).
            NotFound: There is no such experiment or tag (EXPERIMENT_NOT_FOUND, TAG_NOT_FOUND).
        """
        self._send(self._requests.delete_experiment_tag(experiment_id, key), timeout)


class AsyncExperimentMethods(AsyncSender):
    """What `AsyncClient` does with experiments; each method is `Client`'s, awaited."""

    async def create_experiment(self, name: str, *, tags: Pairs = None, timeout: float | None = None) -> str:
        """Creates an experiment; see `Client.create_experiment`."""
        return await self._send(self._requests.create_experiment(name, tags), timeout)

    async def get_experiment(self, experiment_id: str, *, timeout: float | None = None) -> Experiment:
        """Returns one experiment; see `Client.get_experiment`."""
        return await self._send(self._requests.get_experiment(experiment_id), timeout)

    async def get_experiment_by_name(self, name: str, *, timeout: float | None = None) -> Experiment | None:
        """Returns the experiment of a name, or None; see `Client.get_experiment_by_name`."""
        try:
            return await self._send(self._requests.get_experiment_by_name(name), timeout)
        except errors.NotFound:
            return None

    async def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        filter_string: str = "",
        order_by: Iterable[str] | None = None,
        page_token: str | None = None,
        *,
        timeout: float | None = None,
    ) -> PagedList[Experiment]:
        """Returns a page of experiments; see `Client.search_experiments`."""
        call = self._requests.search_experiments(view_type, max_results, filter_string, order_by, page_token)
        return await self._send(call, timeout)

    async def rename_experiment(
        self, experiment_id: str, new_name: str, *, timeout: float | None = None
    ) -> None:
        """Renames an experiment; see `Client.rename_experiment`."""
        await self._send(self._requests.rename_experiment(experiment_id, new_name), timeout)

    async def delete_experiment(self, experiment_id: str, *, timeout: float | None = None) -> None:
        """Deletes an experiment with its runs; see `Client.delete_experiment`."""
        await self._send(self._requests.delete_experiment(experiment_id), timeout)

    async def restore_experiment(self, experiment_id: str, *, timeout: float | None = None) -> None:
        """Takes the deletion of an experiment back; see `Client.restore_experiment`."""
        await self._send(self._requests.restore_experiment(experiment_id), timeout)

    async def set_experiment_tag(
        self, experiment_id: str, key: str, value: object, *, timeout: float | None = None
    ) -> None:
        """Sets one tag of an experiment; see `Client.set_experiment_tag`."""
        await self._send(self._requests.set_experiment_tags(experiment_id, {key: value}), timeout)

    async def set_experiment_tags(
        self, experiment_id: str, tags: Pairs, *, timeout: float | None = None
    ) -> None:
        """Sets tags of an experiment; see `Client.set_experiment_tags`."""
        await self._send(self._requests.set_experiment_tags(experiment_id, tags), timeout)

    async def delete_experiment_tag(
        self, experiment_id: str, key: str, *, timeout: float | None = None
    ) -> None:
        """Removes one tag of an experiment; see `Client.delete_experiment_tag`."""
        await self._send(self._requests.delete_experiment_tag(experiment_id, key), timeout)
