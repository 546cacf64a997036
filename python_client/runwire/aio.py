"""The asynchronous client: `Client`, awaited.

    async with AsyncClient("runwire://127.0.0.1:50051") as client:
        run = await client.create_run("0", params={"alpha": 0.1})
        await client.log_metric(run.info.run_id, "loss", 0.25, step=1)
        await client.finish_run(run.info.run_id)

What `client` says of logging, calls and repeats holds here too.
"""

from __future__ import annotations

import asyncio
import os
import time
from types import TracebackType
from typing import Any, TypeVar

import grpc.aio

from runwire import _channel, errors
from runwire._calls import Attempts, answered, left
from runwire._channel import DEFAULT_TIMEOUT, Retry
from runwire._experiments import AsyncExperimentMethods
from runwire._link import AioLink
from runwire._logging import AsyncLoggingMethods
from runwire._metrics import AsyncMetricMethods
from runwire._pipeline import Pipeline
from runwire._places import DEFAULT_SHUTDOWN_TIMEOUT, DEFAULT_SPOOL_BYTES, options
from runwire._process import at_fork
from runwire._records import Records
from runwire._requests import Call, Requests
from runwire._run_life import AsyncRunLifeMethods
from runwire._runs import AsyncRunMethods
from runwire._status import from_rpc_error
from runwire.entities import PurgeResult, ServerInfo

R = TypeVar("R")


class AsyncClient(
    AsyncExperimentMethods, AsyncRunLifeMethods, AsyncRunMethods, AsyncLoggingMethods, AsyncMetricMethods
):
    """A connection to a Runwire server for one event loop; its methods are those of `Client`.

    No other thread may fork while it is called: gRPC's asyncio core is not made for that, and the child may
    crash. `Client` is.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | None = None,
        tls_ca: str | os.PathLike[str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retry: Retry | None = None,
        mode: str | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_bytes: int = DEFAULT_SPOOL_BYTES,
        on_spool_full: str = "block",
        shutdown_timeout: float = DEFAULT_SHUTDOWN_TIMEOUT,
    ) -> None:
        """Makes a client; it connects at the first call, to the event loop that runs then.

        Args:
            address: As for `Client`.
            token: As for `Client`.
            tls_ca: As for `Client`.
            timeout: Seconds that a call may take, its repeats included.
            retry: How to repeat failed calls; None for the default.
            mode: As for `Client`.
            spool_dir: As for `Client`.
            spool_bytes: As for `Client`.
            on_spool_full: As for `Client`.
            shutdown_timeout: As for `Client`.

        Raises:
            ValueError: An argument can not be used.
            OSError: The file of certificates can not be read.
        """
        self._settings = _channel.settings(address, token, tls_ca, timeout, retry)
        where = self._settings.address.text
        named = bool(address or os.environ.get("RUNWIRE_TRACKING_URI"))
        self._options = options(
            mode, spool_dir, spool_bytes, on_spool_full, shutdown_timeout, where, named=named
        )
        self._requests = Requests()
        self._records = Records()
        self._inherited: list[Any] = []
        self._connect(forked=False)
        at_fork(self._forked, self._before_fork, self._after_fork)

    def _connect(self, *, forked: bool) -> None:
        self._link = AioLink(self._settings)
        self._pipeline = Pipeline(self._settings, self._options, offered=forked)
        self._reached = False

    def _before_fork(self) -> None:
        self._pipeline.before_fork()

    def _after_fork(self) -> None:
        self._pipeline.after_fork()

    def _forked(self) -> None:
        """Starts anew in a forked child; see `Client`."""
        old = self._pipeline
        self._inherited.append((self._link, old))
        old.disown()
        self._connect(forked=True)
        self._pipeline.begins.update(old.begins)

    @property
    def address(self) -> str:
        """The server's address."""
        return self._settings.address.text

    @property
    def mode(self) -> str:
        """`online` or `offline`."""
        return self._options.mode

    async def server_info(self, *, timeout: float | None = None) -> ServerInfo:
        """Asks the server what it is and allows; see `Client.server_info`."""
        return await self._send(self._requests.server_info(), timeout)

    async def purge(self, older_than: float = 0.0, *, timeout: float | None = None) -> PurgeResult:
        """Removes for good what was deleted; see `Client.purge`."""
        return await self._send(self._requests.purge(older_than), timeout)

    async def close(self, timeout: float | None = None) -> None:
        """Delivers what was logged, and closes the connection; see `Client.close`."""
        try:
            await asyncio.to_thread(self._pipeline.close, timeout)
        finally:
            await self._link.close()

    async def __aenter__(self) -> AsyncClient:
        """Returns the client."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the client; see `Client`."""
        try:
            await self.close()
        except errors.RunwireError as failure:
            if error is None:
                raise
            error.add_note(f"runwire could not deliver all: {failure}")

    async def _send(self, call: Call[R], timeout: float | None) -> R:
        given = self._settings.timeout if timeout is None else _channel.seconds(timeout)
        self._pipeline.check_online(call.method)
        start = time.monotonic()
        if call.behind_logs and self._pipeline.dirty:
            await asyncio.to_thread(self._pipeline.deliver, given)
        now = time.monotonic()
        attempts = Attempts(self._settings, left(given, start, now), now, reached=self._reached)
        while True:
            try:
                stubs = await self._link.stubs(attempts.remaining(time.monotonic()))
                answer = await self._attempt(stubs, call, attempts.remaining(time.monotonic()))
            except errors.RunwireError as error:
                self._lost(error)
                self._reached = self._reached or answered(error)
                pause = attempts.pause(error, time.monotonic())
                if pause is None:
                    raise attempts.final(error, time.monotonic()) from None
                await asyncio.sleep(pause)
            else:
                self._reached = True
                return call.convert(answer)

    async def _open_stream(self, call: Call[Any]) -> Any:
        self._pipeline.check_online(call.method)
        start = time.monotonic()
        if call.behind_logs and self._pipeline.dirty:
            await asyncio.to_thread(self._pipeline.deliver, None)
        remaining = left(self._settings.timeout, start, time.monotonic())
        method = getattr((await self._link.stubs(remaining))[call.service], call.method)
        return method(call.request, metadata=self._settings.metadata)

    def _lost(self, error: errors.RunwireError) -> None:
        if isinstance(error, errors.Unavailable):
            self._link.lost()

    async def _attempt(self, stubs: dict[str, Any], call: Call[Any], remaining: float) -> Any:
        method = getattr(stubs[call.service], call.method)
        try:
            sent = method(
                call.request, timeout=_channel.grpc_timeout(remaining), metadata=self._settings.metadata
            )
            return [answer async for answer in sent] if call.streaming else await sent
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
