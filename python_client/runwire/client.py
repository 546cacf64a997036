"""The synchronous client.

    with Client("runwire://127.0.0.1:50051") as client:
        run = client.create_run("0", params={"alpha": 0.1})
        client.log_metric(run.info.run_id, "loss", 0.25, step=1)
        client.finish_run(run.info.run_id)

Each call is on the server's disk when it returns, and is repeated, under one request id, while the
server is away. A client may be shared by threads, and not by processes: a forked child makes its own.
"""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Any, TypeVar

import grpc

from runwire import _channel, errors
from runwire._calls import Attempts, answered
from runwire._channel import DEFAULT_TIMEOUT, Retry
from runwire._experiments import ExperimentMethods
from runwire._link import Link
from runwire._logging import LoggingMethods
from runwire._metrics import MetricMethods
from runwire._requests import Call, Requests
from runwire._runs import RunMethods
from runwire._status import to_error
from runwire.entities import PurgeResult, ServerInfo

R = TypeVar("R")


class Client(ExperimentMethods, RunMethods, LoggingMethods, MetricMethods):
    """A connection to a Runwire server, with the method names of MLflow's MlflowClient.

    Any call may raise a `RunwireError`: Unauthenticated if the server wants a token, ServerUnavailable if
    nothing answers, DeadlineExceeded if no answer came in time, and what each method names.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | None = None,
        tls_ca: str | os.PathLike[str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retry: Retry | None = None,
    ) -> None:
        """Makes a client; it connects at the first call.

        Args:
            address: `runwire://host:port` (plain text), `runwires://host:port` (TLS), `unix:path` or
                `host:port`; or a folder such as `./runwire-data`, whose server is joined, or started if
                there is none. None for the environment's RUNWIRE_TRACKING_URI, else `./runwire-data`.
            token: The server's token; None for the environment's RUNWIRE_TOKEN, else none.
            tls_ca: PEM file with the certificates to trust; None for the environment's RUNWIRE_TLS_CA, else
                those that gRPC trusts by default.
            timeout: Seconds that a call may take, its repeats included.
            retry: How to repeat failed calls; None for the default.

        Raises:
            ValueError: An argument can not be used.
            OSError: The file of certificates can not be read.
        """
        self._settings = _channel.settings(address, token, tls_ca, timeout, retry)
        self._requests = Requests()
        self._link = Link(self._settings)
        self._reached = False

    @property
    def address(self) -> str:
        """The server's address."""
        return self._settings.address.text

    def server_info(self, *, timeout: float | None = None) -> ServerInfo:
        """Asks the server what it is and allows.

        Args:
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            Version, limits and features.
        """
        return self._send(self._requests.server_info(), timeout)

    def purge(self, older_than: float = 0.0, *, timeout: float | None = None) -> PurgeResult:
        """Removes for good what was deleted.

        Args:
            older_than: Only what was deleted at least this many seconds ago.
            timeout: Seconds that the call may take; None for the client's.

        Returns:
            How much was removed.
        """
        return self._send(self._requests.purge(older_than), timeout)

    def close(self) -> None:
        """Closes the connection. A closed client can not be used again."""
        self._link.close()

    def __enter__(self) -> Client:
        """Returns the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the client."""
        self.close()

    def _send(self, call: Call[R], timeout: float | None) -> R:
        given = self._settings.timeout if timeout is None else _channel.seconds(timeout)
        attempts = Attempts(self._settings, given, time.monotonic(), reached=self._reached)
        while True:
            try:
                stubs = self._link.stubs(attempts.remaining(time.monotonic()))
                answer = self._attempt(stubs, call, attempts.remaining(time.monotonic()))
            except errors.RunwireError as error:
                self._lost(error)
                self._reached = self._reached or answered(error)
                pause = attempts.pause(error, time.monotonic())
                if pause is None:
                    raise attempts.final(error, time.monotonic()) from None
                time.sleep(pause)
            else:
                self._reached = True
                return call.convert(answer)

    def _open_stream(self, call: Call[Any]) -> Any:
        method = getattr(self._link.stubs(self._settings.timeout)[call.service], call.method)
        return method(call.request, metadata=self._settings.metadata)

    def _lost(self, error: errors.RunwireError) -> None:
        if isinstance(error, errors.Unavailable):
            self._link.lost()

    def _attempt(self, stubs: dict[str, Any], call: Call[Any], remaining: float) -> Any:
        method = getattr(stubs[call.service], call.method)
        try:
            answer = method(
                call.request, timeout=_channel.grpc_timeout(remaining), metadata=self._settings.metadata
            )
            return list(answer) if call.streaming else answer
        except grpc.RpcError as error:
            # Every RpcError that a call raises is a grpc.Call too, which the types do not know.
            failed: Any = error
            raise to_error(
                failed.code().name, failed.details() or "", failed.trailing_metadata() or ()
            ) from None
