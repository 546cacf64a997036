"""Whole search results: pages put together, and runs as a table with the column names of MLflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from runwire.entities import PagedList, Run

T = TypeVar("T")

# The largest page that a server gives.
_PAGE: Final = 1000


def load_pandas() -> Any:
    """Imports pandas.

    Returns:
        The module; None if it is not installed.
    """
    try:
        import pandas
    except ImportError:
        return None
    return pandas


def to_frame(pandas: Any, runs: Sequence[Run]) -> Any:
    """Makes a table of runs.

    Args:
        pandas: The module.
        runs: The runs, one row each.

    Returns:
        A DataFrame: run_id, run_name, experiment_id, status, start_time and end_time (UTC), then a column
        for each metric (`metrics.x`, NaN where a run has none), param and tag (`params.x`, `tags.x`,
        None where a run has none).
    """
    columns: dict[str, Any] = {
        name: [getattr(run.info, name) for run in runs]
        for name in ("run_id", "run_name", "experiment_id", "status")
    }
    for name in ("start_time", "end_time"):
        times = pandas.Series([getattr(run.info, name) for run in runs], dtype="Int64")
        columns[name] = pandas.to_datetime(times, unit="ms", utc=True)
    for kind, missing in (("metrics", float("nan")), ("params", None), ("tags", None)):
        held = [getattr(run.data, kind) for run in runs]
        for key in sorted({key for one in held for key in one}):
            values = [one.get(key, missing) for one in held]
            # Texts as objects, else newer versions of pandas turn None into NaN.
            columns[f"{kind}.{key}"] = pandas.Series(
                values, dtype="float64" if kind == "metrics" else "object"
            )
    return pandas.DataFrame(columns)


def gather(page: Callable[[int, str | None], PagedList[T]], limit: int | None) -> list[T]:
    """Collects the pages of a search.

    Args:
        page: Gets the page of a size and token.
        limit: Most elements; None for all.

    Returns:
        The elements.
    """
    found: list[T] = []
    token: str | None = None
    while limit is None or len(found) < limit:
        size = _PAGE if limit is None else min(_PAGE, limit - len(found))
        part = page(size, token)
        found.extend(part)
        token = part.token
        if token is None:
            break
    return found
