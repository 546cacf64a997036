"""The door: every call comes in here as bytes, and every failure leaves here as a rich status.

gRPC would answer a malformed or oversized message by itself, with UNKNOWN or without details. So methods
are registered for raw bytes, the receive limit lies above the documented one, and parsing happens here.
"""

from __future__ import annotations

import asyncio
import hmac
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
import structlog
from google.protobuf import any_pb2, message_factory
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from runwire_server.domain.limits import MAX_MESSAGE_BYTES
from runwire_server.domain.wire import malformed_text
from runwire_server.errors import (
    Code,
    InvalidArgument,
    ResourceExhausted,
    RunwireError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    shorten,
)

DOMAIN = "runwire"
CODES = {code.value[0]: code for code in grpc.StatusCode}
# Metadata as a whole is held to 8 KiB by most gRPC stacks, and the text is in it twice.
MAX_TEXT_BYTES = 1_600

LINGER_SECONDS = 0.2
# They end when they are told that the server stops, but for those whose caller does not read on; and
# these are not waited for.
ENDLESS = {"WatchMetrics"}
# Above the documented limit, so that what exceeds that one is answered with a reason.
RECEIVE_LIMIT = 32 * 1024 * 1024

# Anyone may ask whether the server is up.
OPEN_SERVICES = ("/grpc.health.v1.Health/",)

log = structlog.get_logger("runwire.calls")

Context = grpc.aio.ServicerContext[Any, Any]


Called = Callable[[str, str], None]


def uncounted(method: str, outcome: str) -> None:
    """Does not look at calls."""


class Door:
    """Wraps servicers' methods: parsing, errors, log, and the count of calls in flight."""

    def __init__(self, called: Called = uncounted) -> None:
        """Makes it.

        Args:
            called: Is told of each call that has ended: its method and how it went.
        """
        self._called = called
        self._in_flight = 0
        self._endless = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False

    def handler(
        self, service: Any, servicer: object, classes: Mapping[str, type[Message]]
    ) -> grpc.GenericRpcHandler:
        """Makes the handler of a service.

        Args:
            service: Its descriptor.
            servicer: Has a method for each of the service's.
            classes: Request classes other than the public ones, by method name.
        """
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        for method in service.methods:
            request = classes.get(method.name) or message_factory.GetMessageClass(method.input_type)
            wrap, make = (
                (self._stream_stream, grpc.stream_stream_rpc_method_handler)
                if method.client_streaming
                else (self._unary_stream, grpc.unary_stream_rpc_method_handler)
                if method.server_streaming
                else (self._unary_unary, grpc.unary_unary_rpc_method_handler)
            )
            handlers[method.name] = make(wrap(getattr(servicer, method.name), request, method))
        return grpc.method_handlers_generic_handler(service.full_name, handlers)

    @property
    def busy(self) -> bool:
        """Whether calls are in flight."""
        return self._in_flight > 0

    async def drain(self, grace: float, end_streams: Callable[[], None]) -> None:
        """Refuses new calls, and waits for those in flight, `grace` seconds at most.

        Args:
            grace: Seconds.
            end_streams: Has those calls end that would not do so by themselves.
        """
        self._stopping = True
        end_streams()
        # Calls that are on their way now shall meet this door: gRPC cancels what meets a closed one.
        await asyncio.sleep(min(grace, LINGER_SECONDS))
        try:
            await asyncio.wait_for(self._idle.wait(), grace)
        except TimeoutError:
            log.warning("calls cut off", count=self._in_flight)

    def _unary_unary(
        self,
        method: Callable[[Any, Context], Awaitable[Message]],
        request_class: type[Message],
        descriptor: Any,
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def call(data: bytes, context: Context) -> bytes:
            async with self._call(descriptor, context):
                request = parsed(request_class, descriptor.input_type, data)
                return (await method(request, context)).SerializeToString()
            raise AssertionError("unreachable: a failed call was aborted")

        return call

    def _unary_stream(
        self,
        method: Callable[[Any, Context], AsyncIterator[Message]],
        request_class: type[Message],
        descriptor: Any,
    ) -> Callable[[bytes, Context], AsyncIterator[bytes]]:
        async def call(data: bytes, context: Context) -> AsyncIterator[bytes]:
            async with self._call(descriptor, context):
                request = parsed(request_class, descriptor.input_type, data)
                async for response in method(request, context):
                    yield response.SerializeToString()

        return call

    def _stream_stream(
        self,
        method: Callable[[AsyncIterator[Any], Context], AsyncGenerator[Message, None]],
        request_class: type[Message],
        descriptor: Any,
    ) -> Callable[[AsyncIterator[bytes], Context], AsyncIterator[bytes]]:
        async def requests(sent: AsyncIterator[bytes]) -> AsyncIterator[Message]:
            async for data in sent:
                # Larger ones are the method's to refuse: what it may not lose has to be consumed.
                yield parsed(request_class, descriptor.input_type, data, RECEIVE_LIMIT)

        async def call(sent: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            async with self._call(descriptor, context), aclosing(method(requests(sent), context)) as answers:
                async for response in answers:
                    yield response.SerializeToString()

        return call

    @asynccontextmanager
    async def _call(self, descriptor: Any, context: Context) -> AsyncIterator[None]:
        """The frame around one call."""
        began = time.perf_counter()
        self._count(descriptor, 1)
        outcome = "OK"
        try:
            if self._stopping:
                raise stopping()
            yield
        except (asyncio.CancelledError, grpc.aio.AbortError):
            outcome = "CANCELLED"
            raise
        except RunwireError as error:
            outcome = error.reason
            await abort(context, error)
        except Exception as error:
            outcome = "INTERNAL"
            await abort(context, internal(descriptor.full_name, error))
        finally:
            self._count(descriptor, -1)
            self._called(descriptor.name, outcome)
            log.debug(
                "call", method=descriptor.full_name, outcome=outcome, seconds=time.perf_counter() - began
            )

    def _count(self, descriptor: Any, change: int) -> None:
        self._in_flight += change
        if descriptor.name in ENDLESS:
            self._endless += change
        if self._in_flight > self._endless:
            self._idle.clear()
        else:
            self._idle.set()


class TokenCheck(grpc.aio.ServerInterceptor):
    """Lets in only callers that know the server's token; reflection needs it too, health does not."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Passes the call on, or answers UNAUTHENTICATED."""
        sent = dict(details.invocation_metadata).get("authorization", "")
        sent = sent.encode() if isinstance(sent, str) else sent
        # In constant time, so that the token can not be guessed byte by byte.
        known = hmac.compare_digest(sent, self._expected)
        if known or details.method.startswith(OPEN_SERVICES):
            return await continuation(details)
        return refusal(
            Unauthenticated("TOKEN_REQUIRED", "this server wants a token: authorization: Bearer TOKEN")
        )


class UnknownMethods(grpc.GenericRpcHandler):
    """Registered last: answers what no service knows."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Answers UNIMPLEMENTED, with the method's name."""
        method = shorten(details.method)
        return refusal(Unimplemented("METHOD_UNKNOWN", f"no method {method}", {"method": method}))


def stopping() -> Unavailable:
    """Makes SERVER_STOPPING."""
    return Unavailable("SERVER_STOPPING", "the server is stopping", retry_after=1.0)


def refusal(error: RunwireError) -> grpc.RpcMethodHandler[bytes, bytes]:
    """Makes a handler that fails before it reads anything, whatever kind of call it is."""

    async def refuse(_: AsyncIterator[bytes], context: Context) -> None:
        await abort(context, error)

    return grpc.stream_stream_rpc_method_handler(refuse)


def parsed(
    request_class: type[Message], descriptor: Any, data: bytes, most: int = MAX_MESSAGE_BYTES
) -> Message:
    """Reads a request of at most `most` bytes.

    Raises:
        ResourceExhausted: MESSAGE_TOO_LARGE.
        InvalidArgument: MALFORMED_MESSAGE.
    """
    if len(data) > most:
        raise ResourceExhausted(
            "MESSAGE_TOO_LARGE",
            f"the request has {len(data)} bytes; at most {most} are allowed",
            {"bytes": str(len(data)), "max_bytes": str(most)},
        )
    try:
        return request_class.FromString(data)
    except DecodeError:
        field = malformed_text(descriptor, data)
        if field:
            raise InvalidArgument.field(field, "is not UTF-8", "MALFORMED_MESSAGE") from None
        raise InvalidArgument("MALFORMED_MESSAGE", f"the request is not a {descriptor.full_name}") from None


def internal(method: str, error: Exception) -> RunwireError:
    """Logs what nobody expected, and makes the error that tells the caller no more than where to look."""
    request_id = uuid.uuid4().hex
    log.error("call failed", method=method, request_id=request_id, exc_info=error)
    return RunwireError("INTERNAL", f"internal error (request id {request_id})", {"request_id": request_id})


async def abort(context: Context, error: RunwireError) -> None:
    """Ends a call with an error's status; always raises."""
    status = rich_status(error)
    await context.abort(
        CODES[int(error.code)],
        status.message,
        trailing_metadata=(("grpc-status-details-bin", status.SerializeToString()),),
    )


def rich_status(error: RunwireError) -> status_pb2.Status:
    """Returns an error as `google.rpc.Status`, with its details."""
    status = status_pb2.Status(code=int(error.code), message=fitting(str(error)))
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    ]
    if error.code is Code.INVALID_ARGUMENT and error.violations:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    {"field": v.field, "description": fitting(v.description)} for v in error.violations
                ]
            )
        )
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(error.retry_after * 1000))
        details.append(retry)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def fitting(text: str) -> str:
    """Cuts a text whose bytes, of which gRPC makes three each unless they are plain ASCII, are too many."""
    size = 0
    for i, character in enumerate(text):
        size += 1 if " " <= character <= "~" and character != "%" else 3 * len(character.encode())
        if size > MAX_TEXT_BYTES:
            return text[:i] + "..."
    return text
