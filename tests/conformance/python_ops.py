"""What the driver of the Python client does for each op: arguments in, a method of the client, its answer."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable
from typing import Any, Final

from tests.conformance import python_shapes as shapes

import runwire
from runwire import Client, DatasetInput, Metric, RunwireError, ViewType

Args = dict[str, Any]

_VIEWS: Final = {"active": ViewType.ACTIVE_ONLY, "deleted": ViewType.DELETED_ONLY, "all": ViewType.ALL}
_RENAMED: Final = {
    "name": "run_name",
    "filter": "filter_string",
    "page_size": "max_results",
    "view": "run_view_type",
}


class OwnError(Exception):
    """What is thrown where a case wants something thrown."""


def failure(error: Exception) -> dict[str, Any]:
    """Says what an error is."""
    if not isinstance(error, RunwireError):
        return {"kind": "argument", "message": str(error)}
    return {
        "kind": "runwire",
        "code": type(error).code,
        "reason": error.reason,
        "metadata": error.metadata,
        "fields": [one.field for one in error.violations],
        "message": str(error),
    }


def _int(args: Args, *names: str) -> None:
    for name in names:
        if name in args:
            args[name] = int(args[name])


def _page(found: Any, shape: Callable[[Any], Any]) -> Any:
    return {"items": [shape(one) for one in found], "next_page_token": found.token}


def search_experiments(client: Client, args: Args) -> Any:
    """Asks for a page of experiments."""
    return _page(client.search_experiments(**_searched(args, "view_type")), shapes.experiment)


def search_runs(client: Client, args: Args) -> Any:
    """Asks for a page of runs."""
    ids = args.pop("experiment_ids")
    return _page(client.search_runs(ids, **_searched(args, "run_view_type")), shapes.run)


def _searched(args: Args, view: str) -> Args:
    if "view" in args:
        args[view] = _VIEWS[args.pop("view")]
    return {_RENAMED.get(name, name): value for name, value in args.items()}


def _all(search: Callable[[Client, Args], Any]) -> Callable[[Client, Args], Any]:
    def gather(client: Client, args: Args) -> Any:
        limit = args.pop("limit", None)
        items: list[Any] = []
        token = None
        while limit is None or len(items) < limit:
            more = {} if token is None else {"page_token": token}
            page = search(client, {**args, **more})
            items += page["items"]
            token = page["next_page_token"]
            if token is None:
                break
        return {"items": items[:limit]}

    return gather


def get_experiment_by_name(client: Client, args: Args) -> Any:
    """Finds an experiment by name."""
    found = client.get_experiment_by_name(**args)
    return None if found is None else shapes.experiment(found)


def create_run(client: Client, args: Args) -> Any:
    """Creates a run."""
    _int(args, "start_time")
    args = {_RENAMED.get(name, name): value for name, value in args.items()}
    return shapes.run(client.create_run(args.pop("experiment_id"), **args))


def begin_run(client: Client, args: Args) -> Any:
    """Begins a run."""
    _int(args, "start_time")
    args = {_RENAMED.get(name, name): value for name, value in args.items()}
    return {"run_id": client.begin_run(args.pop("experiment_id", None), **args)}


def finish_run(client: Client, args: Args) -> Any:
    """Ends a run."""
    _int(args, "end_time")
    return shapes.run(client.finish_run(**args))


def start_run(client: Client, args: Args) -> Any:
    """Starts a run, and leaves it open."""
    run_id = _started(client, args).info.run_id
    _logged(args)
    return {"run_id": run_id}


def with_run(client: Client, args: Args, stay: Callable[[str], None]) -> Any:
    """Logs to a run within a `with` statement, and stays there if asked to."""
    run_id = ""
    try:
        with _started(client, args) as run:
            run_id = run.info.run_id
            _logged(args)
            if args.get("stay"):
                stay(run_id)
            if args.get("fail"):
                raise OwnError
    except OwnError:
        if not args.get("fail"):
            raise
    return {"run_id": run_id}


def _started(client: Client, args: Args) -> runwire.ActiveRun:
    runwire.set_tracking_uri(client.address)
    if "experiment_name" in args:
        runwire.set_experiment(args["experiment_name"])
    return runwire.start_run(run_name=args.get("name"), tags=args.get("tags"))


def _logged(args: Args) -> None:
    runwire.log_params(args.get("params", {}))
    runwire.log_metrics({key: shapes.double(value) for key, value in args.get("metrics", {}).items()})


def log_metric(client: Client, args: Args) -> None:
    """Logs a point."""
    _int(args, "step", "timestamp")
    args["value"] = shapes.double(args["value"])
    client.log_metric(**args)


def log_metrics(client: Client, args: Args) -> None:
    """Logs a row."""
    _int(args, "step", "timestamp")
    args["metrics"] = {key: shapes.double(value) for key, value in args["metrics"].items()}
    client.log_metrics(**args)


def log_series(client: Client, args: Args) -> None:
    """Logs a column."""
    args["values"] = [shapes.double(value) for value in args["values"]]
    for name in ("steps", "timestamps"):
        if name in args:
            given = args[name]
            args[name] = int(given) if isinstance(given, str) else [int(one) for one in given]
    client.log_series(**args)


def log_batch(client: Client, args: Args) -> None:
    """Logs points, params and tags together."""
    points = []
    for point in args.get("metrics", ()):
        _int(point, "step", "timestamp")
        points.append(Metric(**{**point, "value": shapes.double(point["value"])}))
    client.log_batch(args["run_id"], points, args.get("params"), args.get("tags"))


def log_inputs(client: Client, args: Args) -> None:
    """Logs data sets."""
    inputs: list[DatasetInput] = [shapes.dataset(one) for one in args["inputs"]]
    client.log_inputs(args["run_id"], inputs)  # type: ignore[arg-type]


def log_many(client: Client, args: Args) -> None:
    """Logs many points one by one, on threads if asked for."""
    run, first, time_ms = args["run_id"], int(args.get("first_step", 0)), args.get("timestamp")
    stamp = None if time_ms is None else int(time_ms)

    def log(key: str) -> None:
        for step in range(first, first + args["count"]):
            client.log_metric(run, key, float(step), stamp, step)

    count = args.get("threads", 1)
    if count == 1:
        log(args["key"])
        return
    threads = [threading.Thread(target=log, args=(f"{args['key']}-{number}",)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def log_until_full(client: Client, args: Args) -> Any:
    """Logs arrays of 1,000 points until one is refused."""
    for first in range(0, args["most"], 1000):
        steps = range(first, first + 1000)
        try:
            client.log_series(args["run_id"], args["key"], [float(step) for step in steps], list(steps))
        except RunwireError as error:
            return {"count": str(first), "error": failure(error)}
    return {"count": str(args["most"]), "error": None}


def log_bulk(client: Client, args: Args) -> None:
    """Logs an array again and again."""
    count = args["count"]
    values = array("d", range(count))
    for number in range(args["times"]):
        steps = array("q", range(number * count, (number + 1) * count))
        client.log_series(args["run_id"], args["key"], values, steps)


def log_runs(client: Client, args: Args) -> Any:
    """Begins, logs to and ends many runs."""
    found = []
    for number in range(args["count"]):
        run = client.begin_run(args["experiment_id"], run_name=f"{args['prefix']}-{number}")
        client.log_metric(run, "m", float(number), step=0)
        found.append(run)
    for run in found:
        client.set_terminated(run)
    client.flush()
    return {"run_ids": found}


def history(client: Client, args: Args) -> Any:
    """Reads one metric."""
    _int(args, "min_step", "max_step")
    return shapes.series(client.get_metric_history(**args))


def histories(client: Client, args: Args) -> Any:
    """Reads many metrics."""
    _int(args, "min_step", "max_step")
    found = client.get_metric_histories(**args)
    return {"series": [shapes.series(one) for run in args["run_ids"] for one in found[run].values()]}


def curve(client: Client, args: Args) -> Any:
    """Reads a curve."""
    _int(args, "min_x", "max_x")
    return shapes.curve(client.get_metric_curve(args.pop("run_id"), args.pop("key"), **args))


def curves(client: Client, args: Args) -> Any:
    """Reads curves."""
    _int(args, "min_x", "max_x")
    wanted = [(one["run_id"], one["key"]) for one in args.pop("series")]
    return {"curves": [shapes.curve(one) for one in client.get_metric_curves(wanted, **args)]}


def purge(client: Client, args: Args) -> Any:
    """Purges."""
    found = client.purge(**args)
    return {"runs": str(found.runs), "experiments": str(found.experiments)}


def _plain(method: str, shape: Callable[[Any], Any] | None = None) -> Callable[[Client, Args], Any]:
    """Makes an op whose arguments are those of the client's method."""

    def call(client: Client, args: Args) -> Any:
        found = getattr(client, method)(**args)
        return None if shape is None else shape(found)

    return call


def _rename(client: Client, args: Args) -> None:
    client.rename_experiment(args["experiment_id"], args["name"])


def _experiment_id(found: str) -> Any:
    return {"experiment_id": found}


def _run_ids(found: list[str]) -> Any:
    return {"run_ids": found}


OPS: Final[dict[str, Callable[[Client, Args], Any]]] = {
    "begin_run": begin_run,
    "close": _plain("close"),
    "create_experiment": _plain("create_experiment", _experiment_id),
    "create_run": create_run,
    "delete_experiment": _plain("delete_experiment"),
    "delete_experiment_tag": _plain("delete_experiment_tag"),
    "delete_run": _plain("delete_run"),
    "delete_tag": _plain("delete_tag"),
    "finish_run": finish_run,
    "flush": _plain("flush"),
    "get_experiment": _plain("get_experiment", shapes.experiment),
    "get_experiment_by_name": get_experiment_by_name,
    "get_metric_curve": curve,
    "get_metric_curves": curves,
    "get_metric_histories": histories,
    "get_metric_history": history,
    "get_run": _plain("get_run", shapes.run),
    "heartbeat": _plain("heartbeat", _run_ids),
    "list_experiments": _all(search_experiments),
    "list_runs": _all(search_runs),
    "log_batch": log_batch,
    "log_bulk": log_bulk,
    "log_inputs": log_inputs,
    "log_many": log_many,
    "log_metric": log_metric,
    "log_metrics": log_metrics,
    "log_param": _plain("log_param"),
    "log_params": _plain("log_params"),
    "log_runs": log_runs,
    "log_series": log_series,
    "log_until_full": log_until_full,
    "purge": purge,
    "rename_experiment": _rename,
    "restore_experiment": _plain("restore_experiment"),
    "restore_run": _plain("restore_run"),
    "search_experiments": search_experiments,
    "search_runs": search_runs,
    "server_info": _plain("server_info", shapes.server_info),
    "set_experiment_tag": _plain("set_experiment_tag"),
    "set_experiment_tags": _plain("set_experiment_tags"),
    "set_tag": _plain("set_tag"),
    "set_tags": _plain("set_tags"),
    "start_run": start_run,
    "storage_stats": _plain("storage_stats", shapes.storage_stats),
    "update_run": _plain("update_run", shapes.run),
}
