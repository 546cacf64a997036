"""Makes a call of each thing that a client can be asked for: request, and how to read the answer.

Request ids, run ids and times are minted here, once for each call of the user, so that a repeat of
the same `Call` is the same mutation to the server.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from runwire import _convert, _rules, _values, entities
from runwire._ids import uuid7
from runwire._messages import Pairs, dataset_input, params_of, tags_of
from runwire.v1 import experiment_pb2, metric_pb2, run_pb2, server_pb2

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """One call, ready to be sent any number of times: the request id is in the request.

    Attributes:
        service: Name of the service, such as `RunService`.
        method: Name of the method.
        request: The request.
        convert: Makes the result from the response, or from the list of them if `streaming`.
        streaming: Whether the server streams its answer.
        behind_logs: Whether it has to come behind what was logged before: it reads or changes runs.
    """

    service: str
    method: str
    request: Message
    convert: Callable[[Any], R]
    streaming: bool = False
    behind_logs: bool = True


def _now() -> int:
    return time.time_ns() // 1_000_000


def _nothing(_: Any) -> None:
    return None


def _optional_time(what: str, value: int | None, now: int) -> int:
    return now if value is None else _values.integer(what, value)


@dataclass(frozen=True, slots=True)
class Mask:
    """Which parts of a run to return; see `RunMask` in `run.proto`. None is all."""

    fields: Iterable[str] | None = None
    metric_keys: Iterable[str] | None = None
    param_keys: Iterable[str] | None = None
    tag_keys: Iterable[str] | None = None

    def message(self) -> run_pb2.RunMask | None:
        """Returns the message; None where everything is asked for."""
        parts = (self.fields, self.metric_keys, self.param_keys, self.tag_keys)
        if all(part is None for part in parts):
            return None
        fields, metrics, params, tags = (_values.texts("a mask", part or ()) for part in parts)
        return run_pb2.RunMask(
            fields=FieldMask(paths=fields) if fields else None,
            metric_keys=metrics,
            param_keys=params,
            tag_keys=tags,
        )


class Requests:
    """Builds calls."""

    def __init__(self, now: Callable[[], int] = _now, new_id: Callable[[], uuid.UUID] = uuid7) -> None:
        """Makes the builder.

        Args:
            now: Tells the time, unix ms.
            new_id: Mints an id.
        """
        self._now = now
        self._new_id = new_id

    def _request_id(self) -> str:
        return str(self._new_id())

    def create_experiment(self, name: str, tags: Pairs) -> Call[str]:
        """Builds CreateExperiment."""
        request = experiment_pb2.CreateExperimentRequest(
            name=_rules.encodable(name, "name"), tags=tags_of(tags), request_id=self._request_id()
        )
        return Call(
            "ExperimentService", "CreateExperiment", request, lambda answer: answer.experiment.experiment_id
        )

    def get_experiment(self, experiment_id: str) -> Call[entities.Experiment]:
        """Builds GetExperiment by id."""
        request = experiment_pb2.GetExperimentRequest(experiment_id=experiment_id)
        return Call("ExperimentService", "GetExperiment", request, _experiment_of)

    def get_experiment_by_name(self, name: str) -> Call[entities.Experiment]:
        """Builds GetExperiment by name."""
        request = experiment_pb2.GetExperimentRequest(name=_rules.encodable(name, "name"))
        return Call("ExperimentService", "GetExperiment", request, _experiment_of)

    def search_experiments(
        self,
        view: int,
        max_results: int,
        filter_string: str,
        order_by: Iterable[str] | None,
        page_token: str | None,
    ) -> Call[entities.PagedList[entities.Experiment]]:
        """Builds SearchExperiments."""
        request = experiment_pb2.SearchExperimentsRequest(
            filter=_rules.encodable(filter_string or "", "filter"),
            order_by=_values.texts("order_by", order_by or ()),
            view=entities.ViewType(view).value,  # type: ignore[arg-type]
            page_size=max_results,
            page_token=page_token or "",
        )

        def convert(
            answer: experiment_pb2.SearchExperimentsResponse,
        ) -> entities.PagedList[entities.Experiment]:
            found = [_convert.experiment(message) for message in answer.experiments]
            return entities.PagedList(found, answer.next_page_token or None)

        return Call("ExperimentService", "SearchExperiments", request, convert)

    def rename_experiment(self, experiment_id: str, name: str) -> Call[entities.Experiment]:
        """Builds UpdateExperiment."""
        request = experiment_pb2.UpdateExperimentRequest(
            experiment_id=experiment_id,
            name=_rules.encodable(name, "name"),
            update_mask=FieldMask(paths=["name"]),
            request_id=self._request_id(),
        )
        return Call("ExperimentService", "UpdateExperiment", request, _experiment_of)

    def delete_experiment(self, experiment_id: str) -> Call[entities.Experiment]:
        """Builds DeleteExperiment."""
        request = experiment_pb2.DeleteExperimentRequest(
            experiment_id=experiment_id, request_id=self._request_id()
        )
        return Call("ExperimentService", "DeleteExperiment", request, _experiment_of)

    def restore_experiment(self, experiment_id: str) -> Call[entities.Experiment]:
        """Builds RestoreExperiment."""
        request = experiment_pb2.RestoreExperimentRequest(
            experiment_id=experiment_id, request_id=self._request_id()
        )
        return Call("ExperimentService", "RestoreExperiment", request, _experiment_of)

    def set_experiment_tags(self, experiment_id: str, tags: Pairs) -> Call[None]:
        """Builds SetExperimentTags."""
        request = experiment_pb2.SetExperimentTagsRequest(
            experiment_id=experiment_id, tags=tags_of(tags), request_id=self._request_id()
        )
        return Call("ExperimentService", "SetExperimentTags", request, _nothing)

    def delete_experiment_tag(self, experiment_id: str, key: str) -> Call[None]:
        """Builds DeleteExperimentTag."""
        request = experiment_pb2.DeleteExperimentTagRequest(
            experiment_id=experiment_id, key=key, request_id=self._request_id()
        )
        return Call("ExperimentService", "DeleteExperimentTag", request, _nothing)

    def create_run(
        self,
        experiment_id: str,
        *,
        run_id: str | None = None,
        allow_existing: bool = False,
        run_name: str | None = None,
        start_time: int | None = None,
        parent_run_id: str | None = None,
        status: str = "RUNNING",
        params: Pairs = None,
        tags: Pairs = None,
    ) -> Call[entities.Run]:
        """Builds CreateRun, with an id of its own unless one is given."""
        request = run_pb2.CreateRunRequest(
            experiment_id=experiment_id,
            run_id=run_id or self._new_id().hex,
            allow_existing=allow_existing,
            name=_rules.encodable(run_name or "", "name"),
            start_time=_convert.timestamp(_optional_time("start_time", start_time, self._now())),
            parent_run_id=parent_run_id or "",
            status=_convert.status_number(status),
            params=params_of(params),
            tags=tags_of(tags),
            request_id=self._request_id(),
        )
        return Call("RunService", "CreateRun", request, _run_of)

    def get_run(self, run_id: str, mask: Mask) -> Call[entities.Run]:
        """Builds GetRun."""
        return Call(
            "RunService", "GetRun", run_pb2.GetRunRequest(run_id=run_id, mask=mask.message()), _run_of
        )

    def search_runs(
        self,
        experiment_ids: Iterable[str],
        filter_string: str,
        view: int,
        max_results: int,
        order_by: Iterable[str] | None,
        page_token: str | None,
        mask: Mask,
    ) -> Call[entities.PagedList[entities.Run]]:
        """Builds SearchRuns."""
        request = run_pb2.SearchRunsRequest(
            experiment_ids=_values.texts("experiment_ids", experiment_ids),
            filter=_rules.encodable(filter_string or "", "filter"),
            order_by=_values.texts("order_by", order_by or ()),
            view=entities.ViewType(view).value,  # type: ignore[arg-type]
            page_size=max_results,
            page_token=page_token or "",
            mask=mask.message(),
        )

        def convert(answer: run_pb2.SearchRunsResponse) -> entities.PagedList[entities.Run]:
            return entities.PagedList(
                [_convert.run(run) for run in answer.runs], answer.next_page_token or None
            )

        return Call("RunService", "SearchRuns", request, convert)

    def update_run(self, run_id: str, status: str | None, name: str | None) -> Call[entities.Run]:
        """Builds UpdateRun; what is None stays."""
        given = [field for field, value in (("name", name), ("status", status)) if value is not None]
        request = run_pb2.UpdateRunRequest(
            run_id=run_id,
            name=_rules.encodable(name or "", "name"),
            status=run_pb2.RUN_STATUS_UNSPECIFIED if status is None else _convert.status_number(status),
            update_mask=FieldMask(paths=given),
            request_id=self._request_id(),
        )
        return Call("RunService", "UpdateRun", request, _run_of)

    def finish_run(self, run_id: str, status: str | None, end_time: int | None) -> Call[entities.Run]:
        """Builds FinishRun."""
        request = run_pb2.FinishRunRequest(
            run_id=run_id,
            status=_convert.status_number(status or "FINISHED"),
            end_time=_convert.timestamp(_optional_time("end_time", end_time, self._now())),
            request_id=self._request_id(),
        )
        return Call("RunService", "FinishRun", request, _run_of)

    def delete_run(self, run_id: str) -> Call[None]:
        """Builds DeleteRun."""
        request = run_pb2.DeleteRunRequest(run_id=run_id, request_id=self._request_id())
        return Call("RunService", "DeleteRun", request, _nothing)

    def restore_run(self, run_id: str) -> Call[None]:
        """Builds RestoreRun."""
        request = run_pb2.RestoreRunRequest(run_id=run_id, request_id=self._request_id())
        return Call("RunService", "RestoreRun", request, _nothing)

    def log_batch(self, run_id: str, metrics: Pairs, params: Pairs, tags: Pairs) -> Call[None]:
        """Builds LogBatch."""
        request = run_pb2.LogBatchRequest(
            run_id=run_id,
            blocks=_values.blocks(metrics, self._now()),
            params=params_of(params),
            tags=tags_of(tags),
            request_id=self._request_id(),
        )
        return Call("RunService", "LogBatch", request, _nothing)

    def log_metrics(
        self, run_id: str, metrics: Mapping[str, Any], timestamp: int | None, step: int | None
    ) -> Call[None]:
        """Builds LogBatch of values of one step."""
        points = [
            entities.Metric(key, value, timestamp, 0 if step is None else step)
            for key, value in metrics.items()
        ]
        return self.log_batch(run_id, points, None, None)

    def set_run_tags(self, run_id: str, tags: Pairs) -> Call[None]:
        """Builds SetRunTags."""
        request = run_pb2.SetRunTagsRequest(run_id=run_id, tags=tags_of(tags), request_id=self._request_id())
        return Call("RunService", "SetRunTags", request, _nothing)

    def delete_run_tag(self, run_id: str, key: str) -> Call[None]:
        """Builds DeleteRunTag."""
        request = run_pb2.DeleteRunTagRequest(run_id=run_id, key=key, request_id=self._request_id())
        return Call("RunService", "DeleteRunTag", request, _nothing)

    def log_inputs(
        self, run_id: str, inputs: Iterable[entities.DatasetInput | entities.Dataset]
    ) -> Call[None]:
        """Builds LogInputs."""
        request = run_pb2.LogInputsRequest(
            run_id=run_id, inputs=[dataset_input(one) for one in inputs], request_id=self._request_id()
        )
        return Call("RunService", "LogInputs", request, _nothing)

    def get_metric_histories(
        self, run_ids: Iterable[str], keys: Iterable[str], min_step: int | None, max_step: int | None
    ) -> Call[dict[str, dict[str, entities.MetricHistory]]]:
        """Builds GetMetricHistory."""
        runs = _values.texts("run_ids", run_ids)
        request = metric_pb2.GetMetricHistoryRequest(
            run_ids=runs,
            keys=_values.texts("keys", keys),
            min_step=None if min_step is None else _values.integer("min_step", min_step),
            max_step=None if max_step is None else _values.integer("max_step", max_step),
        )
        return Call(
            "MetricService",
            "GetMetricHistory",
            request,
            lambda answers: _convert.histories(runs, answers),
            True,
        )

    def get_metric_history(
        self, run_id: str, key: str, min_step: int | None, max_step: int | None
    ) -> Call[entities.MetricHistory]:
        """Builds GetMetricHistory for one series, which is empty if the run does not have it."""
        many = self.get_metric_histories([run_id], [key], min_step, max_step)

        def convert(answers: Any) -> entities.MetricHistory:
            found = many.convert(answers)[run_id].get(key)
            return _convert.empty_history(run_id, key) if found is None else found

        return Call(many.service, many.method, many.request, convert, streaming=True)

    def server_info(self) -> Call[entities.ServerInfo]:
        """Builds GetServerInfo."""
        request = server_pb2.GetServerInfoRequest()
        return Call("ServerService", "GetServerInfo", request, _convert.server_info, behind_logs=False)

    def purge(self, older_than: float) -> Call[entities.PurgeResult]:
        """Builds Purge."""
        if isinstance(older_than, bool) or not isinstance(older_than, (int, float)):
            raise TypeError(f"older_than must be a number of seconds, not {type(older_than).__name__}")
        duration = Duration()
        duration.FromMilliseconds(round(older_than * 1000))
        request = server_pb2.PurgeRequest(older_than=duration, request_id=self._request_id())
        return Call(
            "ServerService",
            "Purge",
            request,
            lambda answer: entities.PurgeResult(answer.runs, answer.experiments),
        )


def _experiment_of(answer: Any) -> entities.Experiment:
    return _convert.experiment(answer.experiment)


def _run_of(answer: Any) -> entities.Run:
    return _convert.run(answer.run)
