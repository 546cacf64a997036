"""ServerService."""

from __future__ import annotations

from runwire._version import __version__
from runwire.v1 import server_pb2 as pb
from runwire_server.domain import limits, validate
from runwire_server.services import Context
from runwire_server.storage.base import MaintenanceStore, StatsStore


class ServerService:
    """See `server.proto`."""

    def __init__(self, maintenance: MaintenanceStore, stats: StatsStore, database: str) -> None:
        self._maintenance = maintenance
        self._stats = stats
        self._info = pb.GetServerInfoResponse(
            version=__version__, api_version="v1", limits=limits.in_force(), database=database
        )

    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        """Returns version, limits and features."""
        return self._info

    async def Purge(self, request: pb.PurgeRequest, context: Context) -> pb.PurgeResponse:
        """Removes for good what was deleted long enough ago."""
        validate.purge(request)
        return await self._maintenance.purge(request)

    async def GetStorageStats(
        self, request: pb.GetStorageStatsRequest, context: Context
    ) -> pb.GetStorageStatsResponse:
        """Counts what the metric points take on disk."""
        return await self._stats.storage()
