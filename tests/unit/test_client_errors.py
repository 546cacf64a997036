"""Rich statuses and the exception tree."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as rpc
from google.rpc import status_pb2

from runwire import errors
from runwire._calls import Attempts
from runwire._channel import settings
from runwire._status import DETAILS_TRAILER, from_rpc_error, to_error
from runwire.v1 import error_pb2

VECTORS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "clients" / "vectors" / "errors.json").read_text(encoding="utf-8")
)["reasons"]


def packed(*details: Any) -> list[tuple[str, str | bytes]]:
    """Makes the trailers that a server sends, with Google's own messages."""
    status = status_pb2.Status(code=5, message="ignored")
    for detail in details:
        status.details.append(any_pb2.Any())
        status.details[-1].Pack(detail)
    return [("x-other", "1"), (DETAILS_TRAILER, status.SerializeToString())]


def test_what_stubs_raise_becomes_the_client_s_error() -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        call = channel.unary_unary("/runwire.v1.RunService/GetRun")
        with pytest.raises(grpc.RpcError) as raised:
            call(b"", timeout=120)
    error = from_rpc_error(raised.value)
    assert isinstance(error, errors.ServerUnavailable)
    assert "127.0.0.1:1" in error.message


def test_the_vectors_list_every_reason() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in error_pb2.ErrorReason.keys()}  # noqa: SIM118
    assert set(VECTORS) == names - {"UNSPECIFIED"}


@pytest.mark.parametrize("reason", sorted(VECTORS))
def test_every_reason_has_a_class_and_a_retry_rule(reason: str) -> None:
    code, retryable = VECTORS[reason]["code"], VECTORS[reason]["retryable"]
    details: list[Any] = [rpc.ErrorInfo(reason=reason, domain="runwire", metadata={"key": "k"})]
    if retryable:
        details.append(rpc.RetryInfo(retry_delay=Duration(nanos=250_000_000)))
    error = to_error(code, "a sentence", packed(*details))
    assert (error.code, error.reason, error.metadata, str(error)) == (
        code,
        reason,
        {"key": "k"},
        "a sentence",
    )
    assert type(error).__name__ == VECTORS[reason]["name"]
    assert error.retry_delay == (0.25 if retryable else None)
    attempts = Attempts(
        settings("h", None, None, 30, None), 30, 0.0, reached=True, uniform=lambda low, high: high
    )
    assert (attempts.pause(error, 0.0) is not None) == retryable


def test_every_grpc_code_has_a_class_of_its_own() -> None:
    codes = {code.name for code in grpc.StatusCode} - {"OK"}
    classes = {errors.class_for_code(code) for code in codes}
    assert {one.code for one in classes} == codes
    assert {one.__name__ for one in classes} | {"RunwireError", "ServerUnavailable", "LocalServerFailed"} == {
        name for name in errors.__all__ if name not in ("Violation", "class_for_code")
    }


def test_the_tree_in_the_docs_is_the_tree() -> None:
    for name in errors.__all__:
        if name not in ("Violation", "class_for_code"):
            assert name in (errors.__doc__ or "")


def test_violations_are_read() -> None:
    bad = rpc.BadRequest()
    bad.field_violations.add(field="params[3].key", description="must not be empty")
    error = to_error(
        "INVALID_ARGUMENT", "m", packed(rpc.ErrorInfo(reason="INVALID_FIELD", domain="runwire"), bad)
    )
    assert isinstance(error, errors.InvalidArgument)
    assert error.violations == (errors.Violation("params[3].key", "must not be empty"),)


def test_reasons_of_another_domain_are_not_ours() -> None:
    error = to_error("NOT_FOUND", "m", packed(rpc.ErrorInfo(reason="RUN_NOT_FOUND", domain="example.com")))
    assert isinstance(error, errors.NotFound)
    assert error.reason == ""


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"\x1a\x05abc", b""])
def test_a_broken_detail_leaves_the_code(garbage: bytes) -> None:
    error = to_error("NOT_FOUND", "m", [(DETAILS_TRAILER, garbage)])
    assert isinstance(error, errors.NotFound)
    assert error.reason == ""


def test_unavailable_without_a_reason_is_no_server() -> None:
    assert isinstance(to_error("UNAVAILABLE", "m", []), errors.ServerUnavailable)
    stopping = packed(rpc.ErrorInfo(reason="SERVER_STOPPING", domain="runwire"))
    assert type(to_error("UNAVAILABLE", "m", stopping)) is errors.Unavailable


def test_errors_go_through_pickle() -> None:
    sent = errors.NotFound(
        "m",
        reason="RUN_NOT_FOUND",
        metadata={"a": "b"},
        violations=[errors.Violation("f", "d")],
        retry_delay=1.5,
    )
    got = pickle.loads(pickle.dumps(sent))
    assert type(got) is errors.NotFound
    assert (str(got), got.__dict__) == (str(sent), sent.__dict__)
