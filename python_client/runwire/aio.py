"""The asynchronous client: `Client`, awaited.

    async with AsyncClient("runwire://127.0.0.1:50051") as client:
        run = await client.create_run("0", params={"alpha": 0.1})
        await client.log_metric(run.info.run_id, "loss", 0.25, step=1)
        await client.finish_run(run.info.run_id)

What `client` says of calls and repeats holds here too.
"""

from __future__ import annotations

import asyncio
import os
import time
from types import TracebackType
from typing import Any, TypeVar

import grpc.aio

from runwire import _channel, errors
from runwire._calls import Attempts, answered
from runwire._channel import DEFAULT_TIMEOUT, Retry
from runwire._experiments import AsyncExperimentMethods
from runwire._link import AioLink
from runwire._logging import AsyncLoggingMethods
from runwire._metrics import AsyncMetricMethods
from runwire._requests import Call, Requests
from runwire._runs import AsyncRunMethods
from runwire._status import to_error
from runwire.entities import PurgeResult, ServerInfo

R = TypeVar("R")


class AsyncClient(AsyncExperimentMethods, AsyncRunMethods, AsyncLoggingMethods, AsyncMetricMethods):
    """A connection to a Runwire server for one event loop; its methods are those of `Client`."""

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | None = None,
        tls_ca: str | os.PathLike[str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retry: Retry | None = None,
    ) -> None:
        """Makes a client; it connects at the first call, to the event loop that runs then.

        Args:
            address: As for `Client`.
            token: As for `Client`.
            tls_ca: As for `Client`.
            timeout: Seconds that a call may take, its repeats included.
            retry: How to repeat failed calls; None for the default.

        Raises:
            ValueError: An argument can not be used.
            OSError: The file of certificates can not be read.
        """
        self._settings = _channel.settings(address, token, tls_ca, timeout, retry)
        self._requests = Requests()
        self._link = AioLink(self._settings)
        self._reached = False

    @property
    def address(self) -> str:
        """The server's address."""
        return self._settings.address.text

    async def server_info(self, *, timeout: float | None = None) -> ServerInfo:
        """Asks the server what it is and allows; see `Client.server_info`."""
        return await self._send(self._requests.server_info(), timeout)

    async def purge(self, older_than: float = 0.0, *, timeout: float | None = None) -> PurgeResult:
        """Removes for good what was deleted; see `Client.purge`."""
        return await self._send(self._requests.purge(older_than), timeout)

    async def close(self) -> None:
        """Closes the connection. A closed client can not be used again."""
        await self._link.close()

    async def __aenter__(self) -> AsyncClient:
        """Returns the client."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the client."""
        await self.close()

    async def _send(self, call: Call[R], timeout: float | None) -> R:
        given = self._settings.timeout if timeout is None else _channel.seconds(timeout)
        attempts = Attempts(self._settings, given, time.monotonic(), reached=self._reached)
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
        method = getattr((await self._link.stubs(self._settings.timeout))[call.service], call.method)
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
            raise to_error(error.code().name, error.details() or "", error.trailing_metadata()) from None
