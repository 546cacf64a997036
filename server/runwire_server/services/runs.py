"""RunService."""

from __future__ import annotations

from typing import Any

from runwire.v1 import run_pb2 as pb
from runwire_server.domain import batches, validate
from runwire_server.services import Context
from runwire_server.storage.base import RunStore


class RunService:
    """See `run.proto`."""

    def __init__(self, runs: RunStore) -> None:
        self._runs = runs

    async def CreateRun(self, request: pb.CreateRunRequest, context: Context) -> pb.CreateRunResponse:
        """Creates a run, or returns the one with the client-minted id."""
        validate.create_run(request)
        return await self._runs.create(request)

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        """Returns one run, deleted or not."""
        validate.get_run(request)
        return await self._runs.get(request)

    async def SearchRuns(self, request: pb.SearchRunsRequest, context: Context) -> pb.SearchRunsResponse:
        """Returns a page of runs."""
        validate.search_runs(request)
        return await self._runs.search(request)

    async def UpdateRun(self, request: pb.UpdateRunRequest, context: Context) -> pb.UpdateRunResponse:
        """Changes name or status."""
        validate.update_run(request)
        return await self._runs.update(request)

    async def FinishRun(self, request: pb.FinishRunRequest, context: Context) -> pb.FinishRunResponse:
        """Sets status and end time."""
        validate.finish_run(request)
        return await self._runs.finish(request)

    async def DeleteRun(self, request: pb.DeleteRunRequest, context: Context) -> pb.DeleteRunResponse:
        """Deletes a run softly."""
        validate.run(request)
        return await self._runs.delete(request)

    async def RestoreRun(self, request: pb.RestoreRunRequest, context: Context) -> pb.RestoreRunResponse:
        """Takes a deletion back."""
        validate.run(request)
        return await self._runs.restore(request)

    async def LogBatch(self, request: Any, context: Context) -> pb.LogBatchResponse:
        """Adds points, params and tags; the request is of the packed kind."""
        blocks = batches.log_batch(request)
        return await self._runs.log_batch(request, blocks)

    async def SetRunTags(self, request: pb.SetRunTagsRequest, context: Context) -> pb.SetRunTagsResponse:
        """Sets tags."""
        validate.set_run_tags(request)
        return await self._runs.set_tags(request)

    async def DeleteRunTag(
        self, request: pb.DeleteRunTagRequest, context: Context
    ) -> pb.DeleteRunTagResponse:
        """Removes a tag."""
        validate.delete_run_tag(request)
        return await self._runs.delete_tag(request)

    async def LogInputs(self, request: pb.LogInputsRequest, context: Context) -> pb.LogInputsResponse:
        """Records input data sets."""
        validate.log_inputs(request)
        return await self._runs.log_inputs(request)
