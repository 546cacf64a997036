"""Runs as their writers left them: what SQL has, with the summaries that are in memory only laid over it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import numpy as np

from runwire.v1 import run_pb2
from runwire_server.domain import filters, paging
from runwire_server.domain.blocks import NUMBER, Points
from runwire_server.domain.filter_ast import Kind, fields_of
from runwire_server.domain.folding import SummaryTable
from runwire_server.domain.summaries import add_to
from runwire_server.errors import InvalidArgument
from runwire_server.metrics.flusher import Flusher
from runwire_server.metrics.pace import Pace
from runwire_server.metrics.summaries import Summaries
from runwire_server.storage.base import RunStore

T = TypeVar("T")

# Runs with more series are put together in a thread, so that nobody waits for their reader.
THREADED_SERIES = 500


class OverlaidRuns:
    """See `storage.base.RunStore`: reads see all points that were acknowledged here before they began."""

    def __init__(self, runs: RunStore, summaries: Summaries, flusher: Flusher, pace: Pace) -> None:
        """Lays summaries over the runs of a store, which tells them of what it adds.

        Args:
            runs: The store.
            summaries: What is laid over.
            flusher: Stores them where a search needs that.
            pace: Says how long a batch waits.
        """
        self._pace = pace
        self._runs = runs
        self._summaries = summaries
        self._flusher = flusher
        self._calls: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Returns once no call is on its way to storage any more."""
        while self._calls:
            await asyncio.wait(self._calls)

    async def create(self, request: run_pb2.CreateRunRequest) -> run_pb2.CreateRunResponse:
        """See `RunStore.create`."""
        with self._summaries.reading() as dropped:
            response = await self._runs.create(request)
            run_id = response.run.run_id
            # It may have been there before.
            await self._summaries.settle([run_id])
        if run_id in dropped:
            return run_pb2.CreateRunResponse(run=(await self.get(run_pb2.GetRunRequest(run_id=run_id))).run)
        await self._overlay(response.run, None)
        return response

    async def get(self, request: run_pb2.GetRunRequest) -> run_pb2.GetRunResponse:
        """See `RunStore.get`."""
        while True:
            with self._summaries.reading() as dropped:
                response = await self._runs.get(request)
                if not _shows_metrics(request.mask):
                    return response
                await self._summaries.settle([request.run_id])
            if request.run_id not in dropped:
                await self._overlay(response.run, request.mask)
                return response

    async def search(self, request: run_pb2.SearchRunsRequest) -> run_pb2.SearchRunsResponse:
        """See `RunStore.search`."""
        if keys := _metrics_of(request):
            experiments = frozenset(int(experiment) for experiment in request.experiment_ids)
            await self._summaries.settle_experiments(experiments)
            await self._flusher.flush_for(experiments, keys)
        while True:
            with self._summaries.reading() as dropped:
                response = await self._runs.search(request)
                if not _shows_metrics(request.mask):
                    return response
                await self._summaries.settle([run.run_id for run in response.runs])
            if dropped.isdisjoint(run.run_id for run in response.runs):
                for run in response.runs:
                    await self._overlay(run, request.mask)
                fits, _ = paging.fitting(response.runs)
                if fits == len(response.runs):
                    return response
                # What is in memory only makes the page too large: a shorter one has its own token.
                request = _shorter(request, fits)

    async def _overlay(self, run: run_pb2.Run, mask: run_pb2.RunMask | None) -> None:
        series = self._summaries.find(run.run_id)
        if series is None or not series.loaded:
            return
        if mask and mask.metric_keys:
            found = series.slots(sorted(mask.metric_keys))
            keys, slots = list(found), np.fromiter(found.values(), np.int64, len(found))
        else:
            keys, slots = series.order()
        ours = self._summaries.table.copied(slots)
        if len(keys) < THREADED_SERIES:
            lay_over(run, keys, ours)
        else:
            await asyncio.to_thread(lay_over, run, keys, ours)

    async def update(self, request: run_pb2.UpdateRunRequest) -> run_pb2.UpdateRunResponse:
        """See `RunStore.update`."""
        return await self._runs.update(request)

    async def finish(self, request: run_pb2.FinishRunRequest) -> run_pb2.FinishRunResponse:
        """See `RunStore.finish`."""
        return await self._to_its_end(self._runs.finish(request))

    async def delete(self, request: run_pb2.DeleteRunRequest) -> run_pb2.DeleteRunResponse:
        """See `RunStore.delete`."""
        return await self._runs.delete(request)

    async def restore(self, request: run_pb2.RestoreRunRequest) -> run_pb2.RestoreRunResponse:
        """See `RunStore.restore`."""
        return await self._runs.restore(request)

    async def log_batch(self, request: Any, blocks: Sequence[Points]) -> run_pb2.LogBatchResponse:
        """See `RunStore.log_batch`."""
        self._summaries.check_room(request.run_id, blocks)
        await self._pace.wait(sum(block.size + 2 * block.rows for block in blocks) * NUMBER)
        return await self._to_its_end(self._runs.log_batch(request, blocks))

    async def _to_its_end(self, call: Coroutine[Any, Any, T]) -> T:
        """Makes a call also when its caller leaves: what is stored by then has to be folded, and told."""
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._over)
        return await asyncio.shield(task)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        # Looked at, or asyncio complains that nobody did.
        if not task.cancelled():
            task.exception()

    async def set_tags(self, request: run_pb2.SetRunTagsRequest) -> run_pb2.SetRunTagsResponse:
        """See `RunStore.set_tags`."""
        return await self._runs.set_tags(request)

    async def delete_tag(self, request: run_pb2.DeleteRunTagRequest) -> run_pb2.DeleteRunTagResponse:
        """See `RunStore.delete_tag`."""
        return await self._runs.delete_tag(request)

    async def log_inputs(self, request: run_pb2.LogInputsRequest) -> run_pb2.LogInputsResponse:
        """See `RunStore.log_inputs`."""
        return await self._runs.log_inputs(request)


def lay_over(run: run_pb2.Run, keys: Sequence[str], ours: SummaryTable) -> None:
    """Replaces the summaries of a run that cover fewer points than memory does, and adds those that lack.

    Args:
        run: As it was read.
        keys: The keys of the summaries in memory, sorted.
        ours: Those summaries.
    """
    theirs = {metric.key: metric for metric in run.metrics}
    counts = ours.counts(np.arange(len(keys)))
    newer = [
        slot
        for slot, (key, count) in enumerate(zip(keys, counts, strict=True))
        if count > (theirs[key].count if key in theirs else 0)
    ]
    if not newer:
        return
    fresh = run_pb2.Run()
    for slot, summary in zip(newer, ours.get(np.array(newer)), strict=True):
        add_to(fresh, keys[slot], summary)
    if not theirs.keys() <= {keys[slot] for slot in newer}:
        merged = theirs | {metric.key: metric for metric in fresh.metrics}
        fresh = run_pb2.Run(metrics=[merged[key] for key in sorted(merged)])
    run.ClearField("metrics")
    run.MergeFrom(fresh)


def _shorter(request: run_pb2.SearchRunsRequest, size: int) -> run_pb2.SearchRunsRequest:
    shorter = run_pb2.SearchRunsRequest()
    shorter.CopyFrom(request)
    shorter.page_size = size
    return shorter


def _shows_metrics(mask: run_pb2.RunMask) -> bool:
    return not mask.fields.paths or "metrics" in mask.fields.paths


def _metrics_of(request: run_pb2.SearchRunsRequest) -> frozenset[str]:
    """Returns the keys of the metrics that a search looks at or orders by."""
    if not any("metric" in text.lower() for text in (request.filter, *request.order_by)):
        return frozenset()
    try:
        node = filters.parse_run_filter(request.filter)
        order = filters.parse_run_order(request.order_by)
    except InvalidArgument:
        # The search itself will say so.
        return frozenset()
    fields = [key.field for key in order] + (list(fields_of(node)) if node else [])
    return frozenset(field.key for field in fields if field.kind is Kind.METRIC)
