"""A gRPC proxy in front of the server that refuses calls as a server in trouble does.

A full disk, a database that is away, a bug: a server does not have them at will. What the proxy answers is
made by the server's own code; what it does not refuse is the server's answer.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from tests.conformance.cases import message_class

from runwire.v1 import experiment_pb2, metric_pb2, run_pb2, server_pb2
from runwire_server import errors
from runwire_server.interceptors import rich_status

_REASONS: Final = json.loads(
    (Path(__file__).resolve().parents[2] / "clients" / "vectors" / "errors.json").read_text(encoding="utf-8")
)["reasons"]
_CLASSES: Final = {
    kind.code.name: kind for kind in (errors.RunwireError, *errors.RunwireError.__subclasses__())
}
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_REQUESTS: Final = {
    method.name: method.input_type.name
    for file in (experiment_pb2, metric_pb2, run_pb2, server_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
# Streams hold a thread each.
_THREADS: Final = 16
_LONG: Final = 86_400.0


@dataclass
class Refusal:
    """What the next calls of a method are answered.

    Attributes:
        reason: Name of the `ErrorReason`, which has its code in `clients/vectors/errors.json`.
        message: The text.
        metadata: What the error is about.
        retry_delay: Seconds after which a repeat may help; None where none does. Of several, each answer
            has the next one, and the last is for all that follow.
        count: How many calls; None for all.
    """

    reason: str
    message: str = "refused by the tests"
    metadata: dict[str, str] | None = None
    retry_delay: float | list[float] | None = None
    count: int | None = None

    def abort(self, context: grpc.ServicerContext) -> None:
        """Ends a call with it."""
        kind = _CLASSES[_REASONS[self.reason]["code"]]
        delay = self.retry_delay
        if isinstance(delay, list):
            delay = delay.pop(0) if len(delay) > 1 else delay[0]
        status = rich_status(kind(self.reason, self.message, self.metadata, retry_after=delay))
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(_CODES[status.code], status.message)


def _until_gone(first: bytes, requests: Iterator[bytes]) -> Iterator[bytes]:
    """Passes on what a client says until it ends its side, or is gone."""
    yield first
    with contextlib.suppress(grpc.RpcError):
        yield from requests


class RefusingProxy(grpc.GenericRpcHandler):
    """Forwards calls to a server, and refuses those that it is told to.

    Attributes:
        address: Where it listens.
    """

    def __init__(self, target: str) -> None:
        """Makes a proxy for the server at `host:port`; `running` starts it."""
        self._target = target
        self._lock = threading.Lock()
        self._refusals: dict[str, Refusal] = {}
        self._seen: dict[str, list[bytes]] = defaultdict(list)
        self._channel: grpc.Channel | None = None
        self.address = ""

    def refuse(self, method: str, refusal: Refusal | None) -> None:
        """Has calls of a method refused from now on, and counts them anew; None ends that.

        A stream of the method that is open is cut at its next answer.
        """
        with self._lock:
            self._refusals.pop(method, None)
            if refusal is not None:
                self._refusals[method] = refusal
                self._seen[method] = []

    def calls(self, method: str) -> dict[str, Any]:
        """Says how many calls of a method came since it was refused, and their request ids."""
        with self._lock:
            seen = list(self._seen[method])
        requests = [message_class(_REQUESTS[method]).FromString(body) for body in seen]
        ids = {getattr(request, "request_id", "") for request in requests}
        return {"count": len(seen), "request_ids": sorted(ids), "requests": len(set(seen))}

    def _due(self, method: str) -> Refusal | None:
        with self._lock:
            found = self._refusals.get(method)
            if found is None or found.count == 0:
                return None
            if found.count is not None:
                found.count -= 1
            return found

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Handles all methods alike: as streams of bytes both ways."""
        return grpc.stream_stream_rpc_method_handler(
            lambda requests, context: self._call(
                details.method, details.invocation_metadata, requests, context
            )
        )

    def _call(self, path: str, metadata: Any, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        method = path.rpartition("/")[2]
        first = next(requests)
        with self._lock:
            self._seen[method].append(first)
        refusal = self._due(method)
        if refusal:
            refusal.abort(context)
        assert self._channel
        passed = [(key, value) for key, value in metadata if not key.startswith(("grpc-", "user-agent"))]
        left = context.time_remaining()
        # gRPC tells of years where there is no deadline, and can not count that far itself.
        timeout = left if left is not None and left < _LONG else None
        call = self._channel.stream_stream(path)(
            _until_gone(first, requests), metadata=passed, timeout=timeout
        )
        # It is not called back of what is over already.
        if not context.add_callback(call.cancel):
            call.cancel()
        try:
            for answer in call:
                refusal = self._due(method)
                if refusal:
                    call.cancel()
                    refusal.abort(context)
                yield answer
        except grpc.RpcError as failed:
            status: Any = failed
            context.set_trailing_metadata(status.trailing_metadata() or ())
            context.abort(status.code(), status.details())

    @contextlib.contextmanager
    def running(self) -> Iterator[RefusingProxy]:
        """Runs the proxy on threads of its own."""
        with grpc.insecure_channel(self._target) as channel:
            self._channel = channel
            server = grpc.server(futures.ThreadPoolExecutor(_THREADS), handlers=(self,))
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            self.address = f"runwire://127.0.0.1:{port}"
            try:
                yield self
            finally:
                server.stop(None).wait()
