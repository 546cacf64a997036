"""Reads the rich status that a failed call carries: google.rpc.Status and its details.

The message types are built here, in a private descriptor pool. googleapis-common-protos would do,
but it pins protobuf to ranges that do not go with every TensorFlow, MLflow or Spark; and in the
default pool a second `google/rpc/status.proto` would clash with that package where it is installed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from runwire import errors

DETAILS_TRAILER: Final = "grpc-status-details-bin"
DOMAIN: Final = "runwire"

_PACKAGE: Final = "runwire.private.rpc"
_FIELD: Final = descriptor_pb2.FieldDescriptorProto
# Message name -> (field, number, type, message type or "", repeated). Only what is read.
_SHAPES: Final[dict[str, list[tuple[str, int, int, str, bool]]]] = {
    "Any": [("type_url", 1, _FIELD.TYPE_STRING, "", False), ("value", 2, _FIELD.TYPE_BYTES, "", False)],
    "Status": [
        ("code", 1, _FIELD.TYPE_INT32, "", False),
        ("message", 2, _FIELD.TYPE_STRING, "", False),
        ("details", 3, _FIELD.TYPE_MESSAGE, "Any", True),
    ],
    # On the wire a map is a repeated message of key and value.
    "Entry": [("key", 1, _FIELD.TYPE_STRING, "", False), ("value", 2, _FIELD.TYPE_STRING, "", False)],
    "ErrorInfo": [
        ("reason", 1, _FIELD.TYPE_STRING, "", False),
        ("domain", 2, _FIELD.TYPE_STRING, "", False),
        ("metadata", 3, _FIELD.TYPE_MESSAGE, "Entry", True),
    ],
    "FieldViolation": [
        ("field", 1, _FIELD.TYPE_STRING, "", False),
        ("description", 2, _FIELD.TYPE_STRING, "", False),
    ],
    "BadRequest": [("field_violations", 1, _FIELD.TYPE_MESSAGE, "FieldViolation", True)],
    "Duration": [("seconds", 1, _FIELD.TYPE_INT64, "", False), ("nanos", 2, _FIELD.TYPE_INT32, "", False)],
    "RetryInfo": [("retry_delay", 1, _FIELD.TYPE_MESSAGE, "Duration", False)],
}


def _build() -> dict[str, type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(
        name="runwire/private/rpc.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _SHAPES.items():
        shape = file.message_type.add(name=name)
        for field, number, kind, message, repeated in fields:
            added = shape.field.add(name=field, number=number)
            added.type = kind  # type: ignore[assignment]
            added.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if message:
                added.type_name = f".{_PACKAGE}.{message}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _SHAPES
    }


_MESSAGES: Final = _build()


def _parse(name: str, data: bytes) -> Any:
    return _MESSAGES[name].FromString(data)


def _details(data: bytes) -> dict[str, Any]:
    """Reads a serialised google.rpc.Status into the keyword arguments of an error."""
    found: dict[str, Any] = {}
    for detail in _parse("Status", data).details:
        kind = detail.type_url.rpartition("/")[2]
        if kind == "google.rpc.ErrorInfo":
            info = _parse("ErrorInfo", detail.value)
            if info.domain == DOMAIN:
                found["reason"] = info.reason
                found["metadata"] = {entry.key: entry.value for entry in info.metadata}
        elif kind == "google.rpc.BadRequest":
            bad = _parse("BadRequest", detail.value)
            found["violations"] = [errors.Violation(v.field, v.description) for v in bad.field_violations]
        elif kind == "google.rpc.RetryInfo":
            delay = _parse("RetryInfo", detail.value).retry_delay
            found["retry_delay"] = delay.seconds + delay.nanos / 1e9
    return found


def from_rpc_error(error: grpc.RpcError) -> errors.RunwireError:
    """Turns what a call by a generated stub raises into what `Client` raises for it.

    Args:
        error: As gRPC raised it, with `grpc` or `grpc.aio`. Its traceback is dropped.

    Returns:
        The error, with reason, metadata and violations as the server sent them.
    """
    # Every RpcError that a call raises is a grpc.Call too, which the types do not know.
    failed: Any = error
    # It goes through frames of gRPC that hold the error, which for a stream is the call. As a circle that
    # would live until Python collects garbage, as the process exits at the latest: a thread of gRPC's may be
    # dead then that had the call's lock, and the call's finalizer would wait for that for ever.
    failed.__traceback__ = None
    return to_error(failed.code().name, failed.details() or "", failed.trailing_metadata() or ())


def to_error(code: str, text: str, trailers: Iterable[tuple[str, str | bytes]]) -> errors.RunwireError:
    """Turns a failed call's status into an error.

    Args:
        code: Name of the gRPC status code.
        text: The status message.
        trailers: The trailing metadata.

    Returns:
        The error, of the code's class. Details that can not be read are left out: a proxy on the way
        may have made them, and the code alone still says what happened.
    """
    found: dict[str, Any] = {}
    for key, value in trailers:
        if key == DETAILS_TRAILER and isinstance(value, bytes):
            try:
                found = _details(value)
            except DecodeError:
                found = {}
    if code == "UNAVAILABLE" and not found.get("reason"):
        # No Runwire server said this: gRPC did, having no connection, or a proxy on the way.
        return errors.ServerUnavailable(text, **found)
    return errors.class_for_code(code)(text, **found)
