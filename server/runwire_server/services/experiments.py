"""ExperimentService."""

from __future__ import annotations

from runwire.v1 import experiment_pb2 as pb
from runwire_server.domain import validate
from runwire_server.services import Context
from runwire_server.storage.base import ExperimentStore


class ExperimentService:
    """See `experiment.proto`."""

    def __init__(self, experiments: ExperimentStore) -> None:
        self._experiments = experiments

    async def CreateExperiment(
        self, request: pb.CreateExperimentRequest, context: Context
    ) -> pb.CreateExperimentResponse:
        """Creates an experiment with its tags."""
        validate.create_experiment(request)
        return await self._experiments.create(request)

    async def GetExperiment(
        self, request: pb.GetExperimentRequest, context: Context
    ) -> pb.GetExperimentResponse:
        """Returns one experiment, deleted or not."""
        validate.get_experiment(request)
        return await self._experiments.get(request)

    async def SearchExperiments(
        self, request: pb.SearchExperimentsRequest, context: Context
    ) -> pb.SearchExperimentsResponse:
        """Returns a page of experiments."""
        validate.search_experiments(request)
        return await self._experiments.search(request)

    async def UpdateExperiment(
        self, request: pb.UpdateExperimentRequest, context: Context
    ) -> pb.UpdateExperimentResponse:
        """Renames an experiment."""
        validate.update_experiment(request)
        return await self._experiments.update(request)

    async def DeleteExperiment(
        self, request: pb.DeleteExperimentRequest, context: Context
    ) -> pb.DeleteExperimentResponse:
        """Deletes an experiment softly."""
        validate.experiment(request)
        return await self._experiments.delete(request)

    async def RestoreExperiment(
        self, request: pb.RestoreExperimentRequest, context: Context
    ) -> pb.RestoreExperimentResponse:
        """Takes a deletion back."""
        validate.experiment(request)
        return await self._experiments.restore(request)

    async def SetExperimentTags(
        self, request: pb.SetExperimentTagsRequest, context: Context
    ) -> pb.SetExperimentTagsResponse:
        """Sets tags."""
        validate.set_experiment_tags(request)
        return await self._experiments.set_tags(request)

    async def DeleteExperimentTag(
        self, request: pb.DeleteExperimentTagRequest, context: Context
    ) -> pb.DeleteExperimentTagResponse:
        """Removes a tag."""
        validate.delete_experiment_tag(request)
        return await self._experiments.delete_tag(request)
