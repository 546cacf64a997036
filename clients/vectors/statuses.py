"""Trailers of failed calls, and what a client has to read in them."""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as rpc
from google.rpc import status_pb2

from runwire._status import DETAILS_TRAILER, to_error


def _trailer(*details: Any) -> bytes:
    status = status_pb2.Status(code=5, message="not the one to show")
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return bytes(status.SerializeToString())


def _info(reason: str, metadata: dict[str, str] | None = None, domain: str = "runwire") -> Any:
    return rpc.ErrorInfo(reason=reason, domain=domain, metadata=metadata or {})


def _bad(*fields: tuple[str, str]) -> Any:
    found = rpc.BadRequest()
    for field, description in fields:
        found.field_violations.add(field=field, description=description)
    return found


def _cases() -> list[tuple[str, str, bytes | None]]:
    retry = rpc.RetryInfo(retry_delay=Duration(seconds=1, nanos=250_000_000))
    known = _info("RUN_NOT_FOUND", {"run_id": "0198c5d2e0f57a3b8f1e2d3c4b5a0001"})
    two = _bad(("params[3].key", "must not be empty"), ("name", "must be schöner"))
    return [
        ("a reason with metadata", "NOT_FOUND", _trailer(known)),
        (
            "violations in their order",
            "INVALID_ARGUMENT",
            _trailer(_info("INVALID_FIELD", {"field": "a"}), two),
        ),
        ("a delay", "RESOURCE_EXHAUSTED", _trailer(_info("STORAGE_FULL"), retry)),
        ("details in another order", "UNAVAILABLE", _trailer(retry, _info("SERVER_STOPPING"))),
        ("a reason that is not known", "ABORTED", _trailer(_info("FLEW_AWAY", {"where": "south"}))),
        ("a reason of somebody else", "NOT_FOUND", _trailer(_info("RUN_NOT_FOUND", domain="example.com"))),
        ("a detail that is not known", "NOT_FOUND", _trailer(rpc.Help(), known)),
        ("no details", "NOT_FOUND", _trailer()),
        ("garbage", "NOT_FOUND", b"\xff\xff\xff"),
        ("cut short", "NOT_FOUND", _trailer(known)[:-3]),
        ("no trailer", "PERMISSION_DENIED", None),
        ("unavailable without a reason: no server", "UNAVAILABLE", None),
        ("a code that is not known", "FLYING", None),
    ]


def vectors() -> list[dict[str, Any]]:
    """Makes the vectors.

    Returns:
        For each: `about`, the `code` and the bytes of the trailer in hex (null if there is none), and what is
        expected: `name` of the class, `reason`, `metadata`, `violations`, `retry_delay`.
    """
    found = []
    for about, code, trailer in _cases():
        error = to_error(code, "a sentence", [] if trailer is None else [(DETAILS_TRAILER, trailer)])
        found.append(
            {
                "about": about,
                "code": code,
                "trailer": None if trailer is None else trailer.hex(),
                "name": type(error).__name__,
                "reason": error.reason,
                "metadata": error.metadata,
                "violations": [[one.field, one.description] for one in error.violations],
                "retry_delay": error.retry_delay,
            }
        )
    return found
