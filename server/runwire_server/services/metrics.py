"""MetricService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from runwire.v1 import metric_pb2 as pb
from runwire_server.domain import validate
from runwire_server.services import Context
from runwire_server.storage.base import PointStore


class MetricService:
    """See `metric.proto`."""

    def __init__(self, points: PointStore) -> None:
        self._points = points

    async def GetMetricHistory(
        self, request: pb.GetMetricHistoryRequest, context: Context
    ) -> AsyncIterator[pb.GetMetricHistoryResponse]:
        """Streams points as blocks."""
        validate.get_metric_history(request)
        async for message in self._points.history(request):
            yield message
