"""Iterators over what is new in runs, which connect again by themselves and go on where they were."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from types import TracebackType
from typing import Any

import grpc
import grpc.aio

from runwire import errors
from runwire._calls import AsyncSender, Attempts, Sender, answered
from runwire._channel import Settings
from runwire._requests import Call
from runwire._status import from_rpc_error
from runwire.curves import MetricEvent


class _Progress:
    """Where a watch is, and what follows a failure; shared by both kinds."""

    def __init__(self, call: Call[MetricEvent], given: Settings) -> None:
        self._given = given
        self._attempts: Attempts | None = None
        self._reached = False
        self._began = False
        self.call = call

    @property
    def cursor(self) -> str:
        """The cursor of the last event."""
        return str(self.call.request.cursor)  # type: ignore[attr-defined]

    def took(self, message: Any) -> MetricEvent | None:
        """Takes a message in; None if it has nothing to tell."""
        event = self.call.convert(message)
        # From now on, each connection goes on behind this event, and waits for nothing that is logged.
        self.call.request.cursor = event.cursor  # type: ignore[attr-defined]
        self.call = replace(self.call, behind_logs=False)
        self._attempts, self._reached = None, True
        told = not self._began or bool(event.blocks or event.resync_run_ids)
        self._began = True
        return event if told else None

    def pause(self, error: errors.RunwireError) -> float:
        """Returns the seconds to wait before connecting again.

        Raises:
            RunwireError: There is no use in that.
        """
        now = time.monotonic()
        if self._attempts is None:
            self._attempts = Attempts(self._given, float("inf"), now, reached=self._reached)
        self._reached = self._reached or answered(error)
        pause = self._attempts.pause(_interrupted(error), now)
        if pause is None:
            raise self._attempts.final(error, now)
        return pause


def _interrupted(error: errors.RunwireError) -> errors.RunwireError:
    """Takes a stream that broke, in whatever words of gRPC or a proxy, for a server that went away."""
    if not error.reason and isinstance(error, (errors.InternalError, errors.UnknownError, errors.Cancelled)):
        return errors.ServerUnavailable(error.message)
    return error


class MetricWatch:
    """New points of watched runs, event by event, for ever; `close` ends it, from any thread.

    A connection that breaks is made again, with back-off, and goes on where it was: without loss or
    repeat. The first event comes at once, and may be empty; it says that the watch is in place.

    Iterating raises NotFound when a watched run was purged, and InvalidArgument if the server can make
    nothing of the cursor.
    """

    def __init__(self, sender: Sender, call: Call[MetricEvent], given: Settings) -> None:
        """Makes the watch; it connects at the first event asked for.

        Args:
            sender: The client.
            call: The request.
            given: The client's settings.
        """
        self._sender = sender
        self._progress = _Progress(call, given)
        self._closed = threading.Event()
        self._stream: Any = None

    @property
    def cursor(self) -> str:
        """Where to go on behind the last event, with another `watch_metrics`; empty before the first one."""
        return self._progress.cursor

    def close(self) -> None:
        """Ends the watch; whoever waits for an event gets none."""
        self._closed.set()
        stream = self._stream
        if stream is not None:
            stream.cancel()

    def __iter__(self) -> MetricWatch:
        """Returns the watch."""
        return self

    def __next__(self) -> MetricEvent:
        """Waits for the next event."""
        while not self._closed.is_set():
            try:
                message = self._message()
            except errors.RunwireError as error:
                self._stream = None
                if self._closed.is_set():
                    break
                self._sender._lost(error)
                self._closed.wait(self._progress.pause(error))
                continue
            event = self._progress.took(message)
            if event is not None:
                return event
        raise StopIteration

    def _message(self) -> Any:
        try:
            if self._stream is None:
                self._stream = self._sender._open_stream(self._progress.call)
                if self._closed.is_set():
                    self._stream.cancel()
            return next(self._stream)
        except StopIteration:
            raise errors.ServerUnavailable("the server ended the watch") from None
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    def __enter__(self) -> MetricWatch:
        """Returns the watch."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the watch."""
        self.close()


class AsyncMetricWatch:
    """`MetricWatch` for an event loop: iterate with `async for`, end with `close`."""

    def __init__(self, sender: AsyncSender, call: Call[MetricEvent], given: Settings) -> None:
        """Makes the watch; see `MetricWatch`."""
        self._sender = sender
        self._progress = _Progress(call, given)
        self._closed = asyncio.Event()
        self._stream: Any = None

    @property
    def cursor(self) -> str:
        """Where to go on behind the last event; see `MetricWatch.cursor`."""
        return self._progress.cursor

    async def close(self) -> None:
        """Ends the watch; whoever waits for an event gets none."""
        self._closed.set()
        if self._stream is not None:
            self._stream.cancel()

    def __aiter__(self) -> AsyncMetricWatch:
        """Returns the watch."""
        return self

    async def __anext__(self) -> MetricEvent:
        """Waits for the next event."""
        while not self._closed.is_set():
            try:
                message = await self._message()
            except errors.RunwireError as error:
                self._stream = None
                if self._closed.is_set():
                    break
                self._sender._lost(error)
                await self._pause(self._progress.pause(error))
                continue
            event = self._progress.took(message)
            if event is not None:
                return event
        raise StopAsyncIteration

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._closed.wait(), seconds)
        except TimeoutError:
            return

    async def _message(self) -> Any:
        try:
            if self._stream is None:
                self._stream = await self._sender._open_stream(self._progress.call)
                # Whoever closed it meanwhile found no stream to end.
                if self._closed.is_set():
                    self._stream.cancel()
            message = await self._stream.read()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        except asyncio.CancelledError:
            # Whoever stops waiting cancels the stream with it: the next event comes on another one.
            self._stream = None
            task = asyncio.current_task()
            if self._closed.is_set() and not (task and task.cancelling()):
                raise errors.Cancelled("the watch is closed") from None
            raise
        if message is grpc.aio.EOF:
            raise errors.ServerUnavailable("the server ended the watch")
        return message

    async def __aenter__(self) -> AsyncMetricWatch:
        """Returns the watch."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the watch."""
        await self.close()
