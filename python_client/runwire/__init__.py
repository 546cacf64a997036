"""Runwire: experiment tracking over gRPC.

    import runwire

    runwire.set_experiment("wine")
    with runwire.start_run():
        runwire.log_param("alpha", 0.1)
        for step in range(100):
            runwire.log_metric("loss", 1 / (step + 1), step=step)

Without an address, the data are in ./runwire-data, and a server for them starts and ends by itself.
The functions read like MLflow's fluent API. `Client` and `AsyncClient` say the same without a current
run; `runwire.v1` holds the generated messages and stubs.

Names are imported when they are first used (PEP 562), so that `import runwire.v1` costs neither gRPC nor
the fluent layer.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from runwire._version import __version__

if TYPE_CHECKING:
    from runwire import errors
    from runwire._channel import Retry
    from runwire._dataset import dataset_from_arrays
    from runwire._fluent_curves import get_metric_curve, get_metric_curves, watch_metrics
    from runwire._fluent_logging import (
        delete_tag,
        flush,
        log_batch,
        log_input,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        log_series,
        set_tag,
        set_tags,
    )
    from runwire._session import ActiveRun
    from runwire._status import from_rpc_error
    from runwire._watch import AsyncMetricWatch, MetricWatch
    from runwire.aio import AsyncClient
    from runwire.client import Client
    from runwire.curves import MetricCurve, MetricEvent, NewPoints
    from runwire.entities import (
        Dataset,
        DatasetInput,
        Experiment,
        ExperimentTag,
        Metric,
        MetricBlock,
        MetricHistory,
        MetricSummary,
        Param,
        Run,
        RunStatus,
        RunTag,
        ViewType,
    )
    from runwire.errors import RunwireError
    from runwire.tracking import (
        active_run,
        create_experiment,
        delete_experiment,
        delete_run,
        end_run,
        get_experiment,
        get_experiment_by_name,
        get_metric_history,
        get_run,
        get_tracking_uri,
        last_active_run,
        search_experiments,
        search_runs,
        set_experiment,
        set_experiment_tag,
        set_experiment_tags,
        set_tracking_uri,
        start_run,
    )

_MODULES: Final[dict[str, tuple[str, ...]]] = {
    "_channel": ("Retry",),
    "_dataset": ("dataset_from_arrays",),
    "_fluent_curves": ("get_metric_curve", "get_metric_curves", "watch_metrics"),
    "_session": ("ActiveRun",),
    "_status": ("from_rpc_error",),
    "_watch": ("AsyncMetricWatch", "MetricWatch"),
    "aio": ("AsyncClient",),
    "client": ("Client",),
    "curves": ("MetricCurve", "MetricEvent", "NewPoints"),
    "entities": (
        "Dataset",
        "DatasetInput",
        "Experiment",
        "ExperimentTag",
        "Metric",
        "MetricBlock",
        "MetricHistory",
        "MetricSummary",
        "Param",
        "Run",
        "RunStatus",
        "RunTag",
        "ViewType",
    ),
    "errors": ("RunwireError",),
    "_fluent_logging": (
        "delete_tag",
        "flush",
        "log_batch",
        "log_input",
        "log_metric",
        "log_metrics",
        "log_param",
        "log_params",
        "log_series",
        "set_tag",
        "set_tags",
    ),
    "tracking": (
        "active_run",
        "create_experiment",
        "delete_experiment",
        "delete_run",
        "end_run",
        "get_experiment",
        "get_experiment_by_name",
        "get_metric_history",
        "get_run",
        "get_tracking_uri",
        "last_active_run",
        "search_experiments",
        "search_runs",
        "set_experiment",
        "set_experiment_tag",
        "set_experiment_tags",
        "set_tracking_uri",
        "start_run",
    ),
}
_HOME: Final = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "ActiveRun",
    "AsyncClient",
    "AsyncMetricWatch",
    "Client",
    "Dataset",
    "DatasetInput",
    "Experiment",
    "ExperimentTag",
    "Metric",
    "MetricBlock",
    "MetricCurve",
    "MetricEvent",
    "MetricHistory",
    "MetricSummary",
    "MetricWatch",
    "NewPoints",
    "Param",
    "Retry",
    "Run",
    "RunStatus",
    "RunTag",
    "RunwireError",
    "ViewType",
    "__version__",
    "active_run",
    "create_experiment",
    "dataset_from_arrays",
    "delete_experiment",
    "delete_run",
    "delete_tag",
    "end_run",
    "errors",
    "flush",
    "from_rpc_error",
    "get_experiment",
    "get_experiment_by_name",
    "get_metric_curve",
    "get_metric_curves",
    "get_metric_history",
    "get_run",
    "get_tracking_uri",
    "last_active_run",
    "log_batch",
    "log_input",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_series",
    "search_experiments",
    "search_runs",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "start_run",
    "watch_metrics",
]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("runwire.errors")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'runwire' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"runwire.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
