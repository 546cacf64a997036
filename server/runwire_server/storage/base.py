"""What storage promises to the rooms above it, role by role.

Every mutation is one transaction, on disk when the call returns. Those that take a request with a
`request_id` answer a repeat within 24 hours with the first answer, and raise FailedPrecondition
(REQUEST_ID_REUSED) when the id comes with another payload. Requests were checked before they come here
(`domain.validate`). All methods may raise what `Engine.read` and `Engine.write` do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runwire.v1 import experiment_pb2, metric_pb2, run_pb2, server_pb2
from runwire_server.domain.blocks import Placed, Points
from runwire_server.domain.compaction import Backlog, LogSize, Made, Marks, Stripe, Subset
from runwire_server.storage.writer_base import LeaseStore, WriterStore


class ExperimentStore(Protocol):
    """Experiments and their tags."""

    async def create(
        self, request: experiment_pb2.CreateExperimentRequest
    ) -> experiment_pb2.CreateExperimentResponse:
        """Creates an experiment.

        Raises:
            AlreadyExists: EXPERIMENT_EXISTS.
        """

    async def get(self, request: experiment_pb2.GetExperimentRequest) -> experiment_pb2.GetExperimentResponse:
        """Returns an experiment, deleted or not.

        Raises:
            NotFound: EXPERIMENT_NOT_FOUND.
        """

    async def search(
        self, request: experiment_pb2.SearchExperimentsRequest
    ) -> experiment_pb2.SearchExperimentsResponse:
        """Returns a page of experiments.

        Raises:
            InvalidArgument: INVALID_FILTER, INVALID_PAGE_TOKEN.
        """

    async def update(
        self, request: experiment_pb2.UpdateExperimentRequest
    ) -> experiment_pb2.UpdateExperimentResponse:
        """Changes the fields in the mask.

        Raises:
            NotFound: EXPERIMENT_NOT_FOUND.
            FailedPrecondition: EXPERIMENT_DELETED, EXPERIMENT_PROTECTED.
            AlreadyExists: EXPERIMENT_EXISTS.
        """

    async def delete(
        self, request: experiment_pb2.DeleteExperimentRequest
    ) -> experiment_pb2.DeleteExperimentResponse:
        """Deletes softly; again is a no-op.

        Raises:
            NotFound: EXPERIMENT_NOT_FOUND.
            FailedPrecondition: EXPERIMENT_PROTECTED.
        """

    async def restore(
        self, request: experiment_pb2.RestoreExperimentRequest
    ) -> experiment_pb2.RestoreExperimentResponse:
        """Takes a deletion back; again is a no-op.

        Raises:
            NotFound: EXPERIMENT_NOT_FOUND.
        """

    async def set_tags(
        self, request: experiment_pb2.SetExperimentTagsRequest
    ) -> experiment_pb2.SetExperimentTagsResponse:
        """Sets tags, all or none.

        Raises:
            NotFound: EXPERIMENT_NOT_FOUND.
            FailedPrecondition: EXPERIMENT_DELETED.
        """

    async def delete_tag(
        self, request: experiment_pb2.DeleteExperimentTagRequest
    ) -> experiment_pb2.DeleteExperimentTagResponse:
        """Removes a tag.

        Raises:
            NotFound: EXPERIMENT_NOT_FOUND, TAG_NOT_FOUND.
            FailedPrecondition: EXPERIMENT_DELETED.
        """


class RunStore(Protocol):
    """Runs with their params, tags, inputs and metric points.

    Every mutation but `create` may raise NotFound (RUN_NOT_FOUND) and FailedPrecondition (RUN_DELETED,
    RUN_PURGED, EXPERIMENT_DELETED).
    """

    async def create(self, request: run_pb2.CreateRunRequest) -> run_pb2.CreateRunResponse:
        """Creates a run, or returns the one that has its client-minted id.

        Raises:
            NotFound: EXPERIMENT_NOT_FOUND.
            FailedPrecondition: EXPERIMENT_DELETED, PARENT_RUN_INVALID, RUN_PURGED.
            AlreadyExists: RUN_EXISTS.
        """

    async def get(self, request: run_pb2.GetRunRequest) -> run_pb2.GetRunResponse:
        """Returns a run, deleted or not.

        Raises:
            NotFound: RUN_NOT_FOUND.
        """

    async def search(self, request: run_pb2.SearchRunsRequest) -> run_pb2.SearchRunsResponse:
        """Returns a page of runs.

        Raises:
            InvalidArgument: INVALID_FILTER, INVALID_PAGE_TOKEN.
            NotFound: EXPERIMENT_NOT_FOUND.
        """

    async def update(self, request: run_pb2.UpdateRunRequest) -> run_pb2.UpdateRunResponse:
        """Changes the fields in the mask."""

    async def finish(self, request: run_pb2.FinishRunRequest) -> run_pb2.FinishRunResponse:
        """Sets status and end time."""

    async def delete(self, request: run_pb2.DeleteRunRequest) -> run_pb2.DeleteRunResponse:
        """Deletes softly; again is a no-op."""

    async def restore(self, request: run_pb2.RestoreRunRequest) -> run_pb2.RestoreRunResponse:
        """Takes a deletion back; again is a no-op."""

    async def log_batch(self, request: Any, blocks: Sequence[Points]) -> run_pb2.LogBatchResponse:
        """Adds points, params and tags, all or none.

        Args:
            request: A LogBatchRequest, of the packed kind or not; its blocks are not looked at.
            blocks: Its blocks.

        Raises:
            FailedPrecondition: PARAM_IMMUTABLE, GROUP_UNKNOWN.
            ResourceExhausted: LIMIT_EXCEEDED.
        """

    async def set_tags(self, request: run_pb2.SetRunTagsRequest) -> run_pb2.SetRunTagsResponse:
        """Sets tags, all or none."""

    async def delete_tag(self, request: run_pb2.DeleteRunTagRequest) -> run_pb2.DeleteRunTagResponse:
        """Removes a tag.

        Raises:
            NotFound: TAG_NOT_FOUND.
        """

    async def log_inputs(self, request: run_pb2.LogInputsRequest) -> run_pb2.LogInputsResponse:
        """Records input data sets, all or none."""


@dataclass(frozen=True, slots=True)
class Page:
    """All wanted points of a run at log positions [first, end).

    Attributes:
        first: The first position.
        end: The one behind the last; a reader may go on from there.
        blocks: The points, each key's in order of arrival; empty where no wanted key has any.
    """

    first: int
    end: int
    blocks: tuple[Placed, ...]


class PointStore(Protocol):
    """Metric points, read, wherever they are stored by now. Runs are given by row key unless said.

    A read of many points is one of many snapshots: each page is a snapshot of its own, and the next goes on
    by position. What compaction does meanwhile is not seen: each point comes once.
    """

    async def find(self, run_ids: Sequence[str]) -> list[int]:
        """Returns the row keys of runs given by their public ids, deleted or not.

        Raises:
            NotFound: RUN_NOT_FOUND for the first that is unknown or purged.
        """

    async def ends(self, runs: Sequence[int]) -> dict[int, int]:
        """Returns the next log position of each of some runs, without those that are purged."""

    def blocks(
        self, run: int, first: int = 0, end: int | None = None, keys: Collection[str] = ()
    ) -> AsyncIterator[Placed]:
        """Yields the points of a run at positions [first, end), each once, in pieces of some MiB.

        Each key's points come in order of arrival; a piece of some keys may come before one of other
        keys that arrived earlier. Ends early when the run is purged.

        Args:
            run: The run.
            first: The first position.
            end: The one behind the last; None for all that is committed when this begins.
            keys: Only these; empty for all.
        """

    def pages(
        self, run: int, first: int = 0, end: int | None = None, keys: Collection[str] = ()
    ) -> AsyncIterator[Page]:
        """Yields the same points in pages of some MiB that follow each other without a gap.

        The last page ends at `end`. Ends early when the run is purged.
        """

    def history(
        self, request: metric_pb2.GetMetricHistoryRequest
    ) -> AsyncIterator[metric_pb2.GetMetricHistoryResponse]:
        """Yields the points of some keys of some runs.

        Raises:
            NotFound: RUN_NOT_FOUND, before anything is yielded.
        """

    def curve(
        self, request: metric_pb2.GetMetricCurveRequest
    ) -> AsyncIterator[metric_pb2.GetMetricCurveResponse]:
        """Yields series in few buckets.

        Raises:
            NotFound: RUN_NOT_FOUND, before anything is yielded.
        """


class CompactionStore(Protocol):
    """The steps that take points from the log to stripes, and from there to sealed chunks.

    Each is a snapshot or a short transaction. A step that was overtaken, by another compactor or
    a purge, returns False or nothing, and so will all later ones with the same marks.
    """

    async def scan(self, after: int) -> tuple[list[Backlog], int | None]:
        """Returns what waits in some runs with row keys behind `after`, and where to go on."""

    async def marks(self, run: int) -> Marks | None:
        """Returns a run's marks, None when it is purged."""

    async def log_size(self, run: int, marks: Marks) -> LogSize | None:
        """Returns what is in a run's log; None when there is nothing."""

    async def stripes(self, run: int, marks: Marks) -> list[Stripe]:
        """Returns the rows of stripes that count, by position, then by key."""

    def read(self, run: int, subset: Subset) -> AsyncIterator[Placed]:
        """Yields the points of a subset, wherever they are; each key's in order of arrival."""

    async def insert(self, run: int, marks: Marks, sealed: bool, rows: Sequence[Made]) -> bool:
        """Adds rows, which do not count yet, to the sealed chunks or to the stripes."""

    async def flip(self, run: int, marks: Marks, after: Marks, inserted: Sequence[tuple[Any, ...]]) -> bool:
        """Moves marks, so that the inserted rows, given by `Made.mark`, count instead of what they hold."""

    async def trim(self, run: int) -> bool:
        """Removes some rows that do not count; returns whether there were any."""


class MaintenanceStore(Protocol):
    """Housekeeping."""

    async def purge(self, request: server_pb2.PurgeRequest) -> server_pb2.PurgeResponse:
        """Removes for good what was deleted long enough ago, in steps that let writers in between."""

    async def finish_purges(self) -> None:
        """Removes what an interrupted purge has left."""

    async def forget_requests(self) -> None:
        """Removes request ids that are older than 24 hours, in steps."""


class StatsStore(Protocol):
    """What the metric store takes."""

    async def storage(self) -> server_pb2.GetStorageStatsResponse:
        """Counts the parts of the metric store; takes seconds on a large one."""


@dataclass(frozen=True)
class Stores:
    """All roles, over one database."""

    experiments: ExperimentStore
    runs: RunStore
    writers: WriterStore
    leases: LeaseStore
    metrics: PointStore
    compaction: CompactionStore
    maintenance: MaintenanceStore
    stats: StatsStore
