"""The stores of a server, reached over gRPC: what storage promises must hold through the wire too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from runwire.v1 import (
    block_pb2,
    experiment_pb2_grpc,
    metric_pb2,
    metric_pb2_grpc,
    run_pb2,
    run_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
)
from runwire_server import errors
from runwire_server.domain.blocks import Points
from runwire_server.storage.base import MaintenanceStore, Stores

ERRORS = {
    int(kind.code): kind
    for kind in (
        errors.InvalidArgument,
        errors.NotFound,
        errors.AlreadyExists,
        errors.FailedPrecondition,
        errors.ResourceExhausted,
        errors.Aborted,
        errors.Unavailable,
        errors.Unauthenticated,
        errors.Unimplemented,
    )
}


def remote_stores(channel: grpc.aio.Channel, housekeeping: MaintenanceStore | None = None) -> Stores:
    """Makes the stores of the server behind a channel.

    Args:
        channel: Open.
        housekeeping: The server's own, for the work that has no RPC since the server does it by itself.
    """
    return Stores(
        experiments=_Remote(experiment_pb2_grpc.ExperimentServiceStub(channel), "Experiment", "Experiments"),
        runs=_RemoteRuns(run_pb2_grpc.RunServiceStub(channel), "Run", "Runs"),
        # What only a stream does is tested through streams.
        writers=None,
        leases=None,
        compaction=None,
        metrics=_RemoteMetrics(channel),
        maintenance=_RemoteMaintenance(channel, housekeeping),
        stats=None,
    )


def raised(error: Any) -> errors.RunwireError:
    """Turns a failed call (of grpc or grpc.aio) back into the exception that the server raised."""
    reason, metadata, retry, violations = "", {}, None, []
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info, again, bad = (
                error_details_pb2.ErrorInfo(),
                error_details_pb2.RetryInfo(),
                error_details_pb2.BadRequest(),
            )
            if detail.Unpack(info):
                reason, metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(again):
                retry = again.retry_delay.ToMilliseconds() / 1000
            elif detail.Unpack(bad):
                violations = [errors.Violation(v.field, v.description) for v in bad.field_violations]
    kind = ERRORS.get(error.code().value[0], errors.RunwireError)
    # A status without a reason did not come from the server's code: name it by its gRPC code.
    reason = reason or f"gRPC {error.code().name}"
    return kind(reason, error.details() or "", metadata, violations=violations, retry_after=retry)


class _Remote:
    """Methods of a store by name: `create` is CreateExperiment, `set_tags` is SetExperimentTags."""

    def __init__(self, stub: Any, one: str, many: str) -> None:
        self._stub = stub
        self._methods = {
            "search": f"Search{many}",
            "log_batch": "LogBatch",
            "log_inputs": "LogInputs",
            "set_tags": f"Set{one}Tags",
            "delete_tag": f"Delete{one}Tag",
            **{
                verb: verb.title() + one
                for verb in ("create", "get", "update", "finish", "delete", "restore")
            },
        }

    def __getattr__(self, verb: str) -> Any:
        if verb not in self._methods:
            raise AttributeError(verb)
        method = getattr(self._stub, self._methods[verb])

        async def call(request: Any) -> Any:
            try:
                return await method(request)
            except grpc.aio.AioRpcError as error:
                raise raised(error) from error

        return call


class _RemoteRuns(_Remote):
    async def log_batch(self, request: Any, blocks: Sequence[Points]) -> run_pb2.LogBatchResponse:
        """Sends the blocks, whatever blocks the request itself has."""
        sent = run_pb2.LogBatchRequest.FromString(request.SerializeToString())
        sent.ClearField("blocks")
        sent.blocks.extend(wire_block(block) for block in blocks)
        try:
            return await self._stub.LogBatch(sent)
        except grpc.aio.AioRpcError as error:
            raise raised(error) from error


class _RemoteMetrics:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = metric_pb2_grpc.MetricServiceStub(channel)

    async def history(
        self, request: metric_pb2.GetMetricHistoryRequest
    ) -> AsyncIterator[metric_pb2.GetMetricHistoryResponse]:
        try:
            async for message in self._stub.GetMetricHistory(request):
                yield message
        except grpc.aio.AioRpcError as error:
            raise raised(error) from error


class _RemoteMaintenance:
    def __init__(self, channel: grpc.aio.Channel, housekeeping: MaintenanceStore | None) -> None:
        self._stub = server_pb2_grpc.ServerServiceStub(channel)
        self._housekeeping = housekeeping

    async def purge(self, request: server_pb2.PurgeRequest) -> server_pb2.PurgeResponse:
        try:
            return await self._stub.Purge(request)
        except grpc.aio.AioRpcError as error:
            raise raised(error) from error

    async def finish_purges(self) -> None:
        assert self._housekeeping
        await self._housekeeping.finish_purges()

    async def forget_requests(self) -> None:
        assert self._housekeeping
        await self._housekeeping.forget_requests()


def wire_block(points: Points) -> block_pb2.Block:
    """Encodes points as a block of the wire."""
    return block_pb2.Block(
        keys=() if points.group else points.keys,
        group=points.group,
        steps=block_pb2.StepList(steps=points.steps.tolist()),
        timestamps_ms=points.times.tolist(),
        values=points.values.ravel().tolist(),
    )
