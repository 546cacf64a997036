"""MetricService."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from runwire.v1 import metric_pb2 as pb
from runwire_server.domain import validate
from runwire_server.domain.watch_messages import Encoded
from runwire_server.metrics import streams
from runwire_server.metrics.ingest import Ingest
from runwire_server.metrics.watch import Watches
from runwire_server.services import Context
from runwire_server.storage.base import PointStore
from runwire_server.storage.writer_base import LeaseStore


class MetricService:
    """See `metric.proto`."""

    def __init__(self, points: PointStore, ingest: Ingest, leases: LeaseStore, watches: Watches) -> None:
        self._points = points
        self._ingest = ingest
        self._leases = leases
        self._watches = watches

    def StreamFrames(
        self, requests: AsyncIterator[pb.StreamFramesRequest], context: Context
    ) -> AsyncGenerator[pb.StreamFramesResponse, None]:
        """Stores frames, and acknowledges them."""
        return streams.converse(self._ingest, requests)

    async def AppendFrames(
        self, request: pb.AppendFramesRequest, context: Context
    ) -> pb.AppendFramesResponse:
        """The same by single calls."""
        return await streams.append(self._ingest, request)

    async def GetMetricHistory(
        self, request: pb.GetMetricHistoryRequest, context: Context
    ) -> AsyncIterator[pb.GetMetricHistoryResponse]:
        """Streams points as blocks."""
        validate.get_metric_history(request)
        async for message in self._points.history(request):
            yield message

    async def GetMetricCurve(
        self, request: pb.GetMetricCurveRequest, context: Context
    ) -> AsyncIterator[pb.GetMetricCurveResponse]:
        """Streams curves."""
        validate.get_metric_curve(request)
        async for message in self._points.curve(request):
            yield message

    async def WatchMetrics(self, request: pb.WatchMetricsRequest, context: Context) -> AsyncIterator[Encoded]:
        """Streams new points."""
        validate.watch_metrics(request)
        # Closed at once, not when it is collected: what it watches is let go of then.
        async with aclosing(self._watches.watch(request)) as messages:
            async for message in messages:
                yield message

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Context) -> pb.HeartbeatResponse:
        """Says that runs are alive."""
        validate.heartbeat(request)
        return await self._leases.beat(request)
