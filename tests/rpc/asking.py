"""Calls through the generated stubs, and failed calls taken apart down to their details."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from runwire.v1 import (
    block_pb2,
    experiment_pb2,
    experiment_pb2_grpc,
    metric_pb2,
    metric_pb2_grpc,
    run_pb2,
    run_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
)

FILES = (experiment_pb2, run_pb2, metric_pb2, server_pb2)
METHODS = {
    method.name: method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
# Each method has a request type of its own.
METHOD_OF = {method.input_type.full_name: name for name, method in METHODS.items()}
# Mutations are those that may be repeated under an id.
MUTATIONS = [n for n, method in METHODS.items() if "request_id" in method.input_type.fields_by_name]

SECONDS = 120.0
# Streams that go on for as long as the caller likes.
ENDLESS = {"WatchMetrics"}


@dataclass(frozen=True)
class Failure:
    """What a failed call said.

    Attributes:
        code: The gRPC code.
        message: For a person.
        reason: Name of the `ErrorReason`.
        metadata: The facts beside it.
        violations: Description by field, of the fields that `BadRequest` lists.
        retry: Seconds of `RetryInfo`, None without one.
    """

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    violations: dict[str, str]
    retry: float | None


def failure_of(error: grpc.RpcError) -> Failure:
    """Takes a failed call apart, and holds it to the rules that all failures keep."""
    data = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    assert data is not None, f"no details: {error.code()} {error.details()}"
    status = status_pb2.Status.FromString(data)
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    assert len(status.message) <= 2_000
    first, *others = status.details
    info = error_details_pb2.ErrorInfo()
    assert first.Unpack(info)
    assert info.domain == "runwire"
    violations: dict[str, str] = {}
    retry = None
    for other in others:
        bad, again = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if other.Unpack(bad):
            violations = {v.field: v.description for v in bad.field_violations}
            assert all(violations.values())
        else:
            assert other.Unpack(again)
            retry = again.retry_delay.ToMilliseconds() / 1000
    return Failure(error.code(), status.message, info.reason, dict(info.metadata), violations, retry)


class Api:
    """A server, called by request: each method has a request type of its own."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self._stubs = (
            experiment_pb2_grpc.ExperimentServiceStub(channel),
            run_pb2_grpc.RunServiceStub(channel),
            metric_pb2_grpc.MetricServiceStub(channel),
            server_pb2_grpc.ServerServiceStub(channel),
        )

    def method(self, name: str) -> Any:
        """Returns a stub's method."""
        return next(getattr(stub, name) for stub in self._stubs if hasattr(stub, name))

    def __call__(self, request: Message, **options: Any) -> Any:
        """Makes the call, and returns its answer; of a stream, the list of them."""
        name = METHOD_OF[request.DESCRIPTOR.full_name]
        sent = iter([request]) if METHODS[name].client_streaming else request
        answer = self.method(name)(sent, **{"timeout": SECONDS, **options})
        if name in ENDLESS:
            # Its first message comes at once.
            try:
                return [next(answer)]
            finally:
                answer.cancel()
        return list(answer) if METHODS[name].server_streaming else answer

    def raw(self, path: str, data: bytes, **options: Any) -> bytes:
        """Makes a call with any bytes, to any method, as a client with other stubs would."""
        call = self.channel.unary_stream(
            path, request_serializer=lambda same: same, response_deserializer=lambda same: same
        )
        answer = call(data, **{"timeout": SECONDS, **options})
        if path.rpartition("/")[2] in ENDLESS:
            try:
                return bytes(next(answer))
            finally:
                answer.cancel()
        return b"".join(answer)

    def fails(self, request: Message, **options: Any) -> Failure:
        """Makes a call that must fail, and returns how it did."""
        try:
            answer = self(request, **options)
        except grpc.RpcError as error:
            return failure_of(error)
        raise AssertionError(f"worked: {str(request)[:500]} -> {str(answer)[:500]}")

    def refused(
        self,
        request: Message,
        code: str,
        reason: str,
        field: str | None = None,
        **metadata: str,
    ) -> Failure:
        """Makes a call that must fail in a certain way.

        Args:
            request: What to call with.
            code: Name of the gRPC code.
            reason: Name of the reason.
            field: The first broken field, for INVALID_ARGUMENT.
            metadata: Facts that must be told.
        """
        failure = self.fails(request)
        said = (failure.code.name, failure.reason, failure.metadata.get("field"))
        assert said == (code, reason, field), failure
        assert field is None or field in failure.violations
        assert metadata.items() <= failure.metadata.items()
        return failure

    def bad_field(self, request: Message, field: str) -> Failure:
        """Makes a call that must fail with INVALID_FIELD."""
        return self.refused(request, "INVALID_ARGUMENT", "INVALID_FIELD", field)

    def new_experiment(self, name: str = "") -> str:
        """Creates an experiment, and returns its id."""
        request = experiment_pb2.CreateExperimentRequest(name=name or fresh("experiment"))
        return str(self(request).experiment.experiment_id)

    def new_run(self, experiment_id: str = "0", **fields: Any) -> str:
        """Creates a run, and returns its id."""
        request = run_pb2.CreateRunRequest(experiment_id=experiment_id, **fields)
        return str(self(request).run.run_id)

    def log(self, run_id: str, *blocks: block_pb2.Block, **fields: Any) -> None:
        """Logs a batch."""
        self(run_pb2.LogBatchRequest(run_id=run_id, blocks=blocks, **fields))

    def run(self, run_id: str) -> run_pb2.Run:
        """Reads a run."""
        answer: run_pb2.GetRunResponse = self(run_pb2.GetRunRequest(run_id=run_id))
        return answer.run

    def history(self, *run_ids: str, **fields: Any) -> list[block_pb2.RunBlock]:
        """Reads the points of runs."""
        request = metric_pb2.GetMetricHistoryRequest(run_ids=run_ids, **fields)
        return [block for message in self(request) for block in message.blocks]

    def state(self, run_id: str) -> bytes:
        """Returns all that can be read of a run and its experiment, to be compared."""
        run = self.run(run_id)
        experiment = self(experiment_pb2.GetExperimentRequest(experiment_id=run.experiment_id))
        parts = (run, experiment, *self.history(run_id))
        return b"".join(part.SerializeToString(deterministic=True) for part in parts)

    @contextmanager
    def unchanged(self, run_id: str) -> Iterator[None]:
        """Checks that the block changes nothing of a run, and that it can be written to afterwards."""
        before = self.state(run_id)
        yield
        assert self.state(run_id) == before
        self.log(run_id, tags=[{"key": "after", "value": "works"}])


_numbers = itertools.count()


def fresh(stem: str) -> str:
    """Makes a name that no other test uses."""
    return f"{stem} {next(_numbers)} {secrets.token_hex(4)}"


def column(key: str, values: list[float], first: int = 0) -> block_pb2.Block:
    """Makes a block of one key over steps in a row."""
    return block_pb2.Block(
        keys=[key],
        range=block_pb2.StepRange(first=first, stride=1),
        timestamps_ms=range(1_000, 1_000 + len(values)),
        values=values,
    )
