"""The methods of both clients that begin and end runs."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from runwire import _convert
from runwire._calls import AsyncSender, Sender, left
from runwire._channel import seconds
from runwire._cutter import Begin
from runwire._messages import Pairs
from runwire._pipeline import Pipeline
from runwire._records import Records, beginning
from runwire._requests import Mask
from runwire.entities import Run
from runwire.v1 import frame_pb2

# What a run is, without what it holds.
INFO: Final = (
    "experiment_id",
    "name",
    "status",
    "start_time",
    "end_time",
    "lifecycle_stage",
    "parent_run_id",
)


def created(request: Any) -> Begin:
    """Makes what begins a run that exists, for spools that outlive the server's memory of it."""
    again = frame_pb2.BeginRun(run=request)
    again.run.ClearField("request_id")
    again.run.ClearField("allow_existing")
    return beginning(again)


class RunLifeMethods(Sender):
    """How `Client` begins and ends runs."""

    _pipeline: Pipeline
    _records: Records

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Pairs = None,
        run_name: str | None = None,
        *,
        params: Pairs = None,
        parent_run_id: str | None = None,
        run_id: str | None = None,
        allow_existing: bool = False,
        status: str = "RUNNING",
        timeout: float | None = None,
    ) -> Run:
        """Creates a run, with its first params and tags, in one step.

        Args:
            experiment_id: The experiment; it must be active.
            start_time: When it began, unix ms; None for now.
            tags: A dict, or a list of `RunTag`.
            run_name: Its name; None for a readable one that the server makes up.
            params: A dict, or a list of `Param`.
            parent_run_id: A run of the same experiment that this one is a part of.
            run_id: 32 lower-case hex digits; None for a new id. The same id and arguments again return
                the run, whenever that is; `start_time` is one of them.
            allow_existing: Return the run if `run_id` exists, whatever it was created with, so that the
                processes of one job can all create the run that they share.
            status: `RUNNING` or `SCHEDULED`.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            The run.

        Raises:
            AlreadyExists: The id belongs to a run that was created with other arguments (RUN_EXISTS).
            FailedPrecondition: EXPERIMENT_DELETED, PARENT_RUN_INVALID or RUN_PURGED.
            NotFound: There is no such experiment (EXPERIMENT_NOT_FOUND).
        """
        call = self._requests.create_run(
            experiment_id,
            run_id=run_id,
            allow_existing=allow_existing,
            run_name=run_name,
            start_time=start_time,
            parent_run_id=parent_run_id,
            status=status,
            params=params,
            tags=tags,
        )
        found = self._send(call, timeout)
        self._pipeline.begins[found.info.run_id] = created(call.request)
        return found

    def begin_run(
        self,
        experiment_id: str | None = None,
        *,
        experiment_name: str | None = None,
        run_id: str | None = None,
        run_name: str | None = None,
        start_time: int | None = None,
        parent_run_id: str | None = None,
        params: Pairs = None,
        tags: Pairs = None,
    ) -> str:
        """Begins a run without waiting for the server, as `log_metric` logs a point; also offline.

        What can not be (the experiment is deleted, the id was purged ...) is raised by the next `flush`.
        Heartbeats are sent for the run until it is finished or the client closed.

        Args:
            experiment_id: The experiment, or
            experiment_name: its name; it is created if there is none.
            run_id: 32 lower-case hex digits; None for a new id. A run that has the id goes on as it is.
            run_name: Its name; None for a readable one that is made up.
            start_time: When it began, unix ms; None for now.
            parent_run_id: A run of the same experiment that this one is a part of.
            params: A dict, or a list of `Param`.
            tags: A dict, or a list of `RunTag`.

        Returns:
            The run's id.

        Raises:
            InvalidArgument: An argument breaks a rule (INVALID_FIELD).
            ValueError: Not exactly one of id and name of the experiment is given.
        """
        begin, records = self._records.begin(
            experiment_id,
            experiment_name,
            run_id=run_id,
            run_name=run_name,
            start_time=start_time,
            parent_run_id=parent_run_id,
            params=params,
            tags=tags,
        )
        self._pipeline.begin(begin)
        for record in records:
            self._pipeline.record(record)
        return begin.message.run.run_id

    def keep_alive(self, run_id: str) -> None:
        """Sends heartbeats for a run every 30 seconds, until it is finished or the client closed.

        A run that had heartbeats and has none for two minutes is LOST.

        Args:
            run_id: The run.
        """
        self._pipeline.keep_alive(run_id)

    def finish_run(
        self,
        run_id: str,
        status: str | None = None,
        end_time: int | None = None,
        *,
        timeout: float | None = None,
    ) -> Run:
        """Ends a run, behind all that was logged to it, and waits until that is delivered.

        Args:
            run_id: The run.
            status: `FINISHED` (the default), `FAILED` or `KILLED`.
            end_time: When it ended, unix ms; None for now.
            timeout: Seconds that this may take; None for the client's.

        Returns:
            The run as it is now, without its data and inputs; offline, what is known of it here.

        Raises:
            FailedPrecondition: RUN_DELETED, RUN_PURGED or EXPERIMENT_DELETED.
            NotFound: There is no such run (RUN_NOT_FOUND).
            RunwireError: Something that was logged before is not delivered, or was rejected; see `flush`.
        """
        given = self._settings.timeout if timeout is None else seconds(timeout)
        start = time.monotonic()
        self.set_terminated(run_id, status, end_time, timeout=given)
        if self._pipeline.offline:
            return _convert.unknown_run(run_id, status or "FINISHED")
        remaining = left(given, start, time.monotonic())
        return self._send(self._requests.get_run(run_id, Mask(INFO)), remaining)

    def set_terminated(
        self,
        run_id: str,
        status: str | None = None,
        end_time: int | None = None,
        *,
        wait: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Ends a run as `finish_run` does, under the name that MLflow has for it, and does not ask for it.

        Args:
            run_id: The run.
            status: `FINISHED` (the default), `FAILED` or `KILLED`.
            end_time: When it ended, unix ms; None for now.
            wait: Whether to wait for the delivery. Otherwise `begin_run` and this make many short runs as
                fast as they can be sent, and the next `flush` or `close` says what went wrong.
            timeout: Seconds that the delivery may take; None for the client's.

        Raises:
            FailedPrecondition: RUN_DELETED, RUN_PURGED or EXPERIMENT_DELETED.
            NotFound: There is no such run (RUN_NOT_FOUND).
            RunwireError: Something that was logged before is not delivered, or was rejected; see `flush`.
        """
        self._pipeline.finish(self._records.finish(run_id, status, end_time))
        if wait:
            self._pipeline.flush(timeout)


class AsyncRunLifeMethods(AsyncSender):
    """How `AsyncClient` begins and ends runs; each method is `Client`'s, awaited."""

    _pipeline: Pipeline
    _records: Records

    async def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Pairs = None,
        run_name: str | None = None,
        *,
        params: Pairs = None,
        parent_run_id: str | None = None,
        run_id: str | None = None,
        allow_existing: bool = False,
        status: str = "RUNNING",
        timeout: float | None = None,
    ) -> Run:
        """Creates a run; see `Client.create_run`."""
        call = self._requests.create_run(
            experiment_id,
            run_id=run_id,
            allow_existing=allow_existing,
            run_name=run_name,
            start_time=start_time,
            parent_run_id=parent_run_id,
            status=status,
            params=params,
            tags=tags,
        )
        found = await self._send(call, timeout)
        self._pipeline.begins[found.info.run_id] = created(call.request)
        return found

    async def begin_run(
        self,
        experiment_id: str | None = None,
        *,
        experiment_name: str | None = None,
        run_id: str | None = None,
        run_name: str | None = None,
        start_time: int | None = None,
        parent_run_id: str | None = None,
        params: Pairs = None,
        tags: Pairs = None,
    ) -> str:
        """Begins a run without waiting for the server; see `Client.begin_run`."""
        begin, records = self._records.begin(
            experiment_id,
            experiment_name,
            run_id=run_id,
            run_name=run_name,
            start_time=start_time,
            parent_run_id=parent_run_id,
            params=params,
            tags=tags,
        )
        self._pipeline.begin(begin)
        for record in records:
            await self._pipeline.add(record)
        return begin.message.run.run_id

    async def keep_alive(self, run_id: str) -> None:
        """Sends heartbeats for a run; see `Client.keep_alive`."""
        self._pipeline.keep_alive(run_id)

    async def finish_run(
        self,
        run_id: str,
        status: str | None = None,
        end_time: int | None = None,
        *,
        timeout: float | None = None,
    ) -> Run:
        """Ends a run; see `Client.finish_run`."""
        given = self._settings.timeout if timeout is None else seconds(timeout)
        start = time.monotonic()
        await self.set_terminated(run_id, status, end_time, timeout=given)
        if self._pipeline.offline:
            return _convert.unknown_run(run_id, status or "FINISHED")
        remaining = left(given, start, time.monotonic())
        return await self._send(self._requests.get_run(run_id, Mask(INFO)), remaining)

    async def set_terminated(
        self,
        run_id: str,
        status: str | None = None,
        end_time: int | None = None,
        *,
        wait: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Ends a run; see `Client.set_terminated`."""
        record = self._records.finish(run_id, status, end_time)
        await self._pipeline.room(len(record.data))
        self._pipeline.finish(record)
        if wait:
            await asyncio.to_thread(self._pipeline.flush, timeout)
