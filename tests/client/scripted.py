"""A server that answers by script, for what a real one does not do on demand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

HERE = Path(__file__).parent


@dataclass
class Failure:
    """A status to fail with."""

    code: str
    reason: str = ""
    retry_delay: float | None = None
    message: str = "scripted"


@dataclass
class Sent:
    """What a client sent."""

    method: str
    body: bytes
    metadata: dict[str, Any]
    time_remaining: float


@dataclass
class Script:
    """What to answer, call by call; the last answer stays. Once `over` is set, nothing is silent any more."""

    answers: list[bytes | Failure | float] = field(default_factory=list)
    seen: list[Sent] = field(default_factory=list)
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def take(self) -> bytes | Failure | float:
        """Returns the next answer: bytes, a failure, or seconds of silence before an empty answer."""
        with self.lock:
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, script: Script) -> None:
        self._script = script

    def service(self, call: Any) -> Any:
        return grpc.unary_stream_rpc_method_handler(lambda body, context: self._answer(call, body, context))

    def _answer(self, call: Any, body: bytes, context: Any) -> Iterator[bytes]:
        metadata = dict(context.invocation_metadata())
        self._script.seen.append(Sent(call.method, body, metadata, context.time_remaining() or 0.0))
        answer = self._script.take()
        if isinstance(answer, Failure):
            if answer.reason:
                context.set_trailing_metadata((("grpc-status-details-bin", _details(answer)),))
            context.abort(grpc.StatusCode[answer.code], answer.message)
        if isinstance(answer, float):
            self._script.over.wait(answer)
            answer = b""
        yield answer


def _details(failure: Failure) -> bytes:
    status = status_pb2.Status(message=failure.message)
    found: list[Any] = [error_details_pb2.ErrorInfo(reason=failure.reason, domain="runwire")]
    if failure.retry_delay is not None:
        delay = Duration()
        delay.FromNanoseconds(int(failure.retry_delay * 1e9))
        found.append(error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in found:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return bytes(status.SerializeToString())


def serve(script: Script, target: str = "127.0.0.1:0", *, tls: bool = False) -> Any:
    """Starts the server and tells the script its address.

    Args:
        script: What to answer.
        target: Where to listen.
        tls: Whether to do so with the certificate of the tests.

    Returns:
        The server.
    """
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((_Handler(script),))
    if tls:
        pair = ((HERE / "localhost.key").read_bytes(), (HERE / "localhost.pem").read_bytes())
        port = server.add_secure_port(target, grpc.ssl_server_credentials([pair]))
        script.address = f"runwires://127.0.0.1:{port}"
    else:
        port = server.add_insecure_port(target)
        script.address = target if target.startswith("unix:") else f"runwire://127.0.0.1:{port}"
    server.start()
    return server
