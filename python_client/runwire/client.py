"""The synchronous client.

    with Client("runwire://127.0.0.1:50051") as client:
        run = client.create_run("0", params={"alpha": 0.1})
        client.log_metric(run.info.run_id, "loss", 0.25, step=1)
        client.finish_run(run.info.run_id)

What is logged returns at once and is delivered in the background, in the order of the calls and exactly
once; `flush`, `finish_run` and `close` wait for it. All other calls are on the server's disk when they
return, are repeated, under one request id, while the server is away, and see all that this client has
logged. A client may be shared by threads. A forked child can go on with it: it gets a connection and a spool
of its own.
"""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Any, TypeVar

import grpc

from runwire import _channel, errors
from runwire._calls import Attempts, answered, left
from runwire._channel import DEFAULT_TIMEOUT, Retry
from runwire._experiments import ExperimentMethods
from runwire._link import Link
from runwire._logging import LoggingMethods
from runwire._metrics import MetricMethods
from runwire._pipeline import Pipeline
from runwire._places import DEFAULT_SHUTDOWN_TIMEOUT, DEFAULT_SPOOL_BYTES, options
from runwire._process import at_fork
from runwire._records import Records
from runwire._requests import Call, Requests
from runwire._run_life import RunLifeMethods
from runwire._runs import RunMethods
from runwire._status import from_rpc_error
from runwire.entities import PurgeResult, ServerInfo

R = TypeVar("R")


class Client(ExperimentMethods, RunLifeMethods, RunMethods, LoggingMethods, MetricMethods):
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
        mode: str | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_bytes: int = DEFAULT_SPOOL_BYTES,
        on_spool_full: str = "block",
        shutdown_timeout: float = DEFAULT_SHUTDOWN_TIMEOUT,
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
            mode: `online`, or `offline` to begin, log and end runs without a server, for `runwire sync` to
                deliver; None for the environment's RUNWIRE_MODE, else `online`.
            spool_dir: Folder for what is logged and not delivered; None for the environment's
                RUNWIRE_SPOOL_DIR, else `./runwire-offline` offline, and online a folder of the user's.
            spool_bytes: Most bytes of that. It is reached when the server is away for long.
            on_spool_full: What a call that logs does then: `block` until there is room, or `error`. Offline
                it is always an error.
            shutdown_timeout: Seconds that the exit of the process may wait for the delivery of what was
                logged; what is not delivered then stays in the folder, for `runwire sync`.

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
        self._link = Link(self._settings)
        self._pipeline = Pipeline(self._settings, self._options, offered=forked)
        self._reached = False

    def _before_fork(self) -> None:
        self._pipeline.before_fork()

    def _after_fork(self) -> None:
        self._pipeline.after_fork()

    def _forked(self) -> None:
        """Starts anew in a forked child: the parent's channel is not touched, not even to let go of it."""
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

    def close(self, timeout: float | None = None) -> None:
        """Delivers what was logged, and closes the connection. A closed client can not be used again.

        Args:
            timeout: Seconds that the delivery may take; None for the client's.

        Raises:
            RunwireError: Something is not delivered, or was rejected; see `flush`.
        """
        try:
            self._pipeline.close(timeout)
        finally:
            self._link.close()

    def __enter__(self) -> Client:
        """Returns the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the client; where that fails on an exception's way, the exception gets a note."""
        try:
            self.close()
        except errors.RunwireError as failure:
            if error is None:
                raise
            error.add_note(f"runwire could not deliver all: {failure}")

    def _send(self, call: Call[R], timeout: float | None) -> R:
        given = self._settings.timeout if timeout is None else _channel.seconds(timeout)
        self._pipeline.check_online(call.method)
        start = time.monotonic()
        if call.behind_logs:
            self._pipeline.deliver(given)
        now = time.monotonic()
        attempts = Attempts(self._settings, left(given, start, now), now, reached=self._reached)
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
        self._pipeline.check_online(call.method)
        start = time.monotonic()
        if call.behind_logs:
            self._pipeline.deliver(None)
        remaining = left(self._settings.timeout, start, time.monotonic())
        method = getattr(self._link.stubs(remaining)[call.service], call.method)
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
            raise from_rpc_error(error) from None
