"""The rows of the table: what is measured, against what, and the goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench.data import POINTS
from tests.bench.load import Sample

# Columns, in the order in which a row measures them.
RUNWIRE, EMPTY, DISK = "Runwire", "empty handler", "fdatasync"
FASTTRACKML, MLFLOW = "FastTrackML", "MLflow"
COLUMNS = (RUNWIRE, EMPTY, DISK, FASTTRACKML, MLFLOW)

Medians = Mapping[str, float]


@dataclass(frozen=True)
class Goal:
    """What Runwire's figure should be.

    Attributes:
        text: How the bound comes about.
        needs: The columns that it needs.
        bound: Computes it from their medians.
    """

    text: str
    needs: tuple[str, ...]
    bound: Callable[[Medians], float]


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: For `--only`.
        title: What is done.
        workload: Which workload of the callers does it.
        clients: How many processes do it at the same time.
        unit: What its figures are: `ms` (the median time of a call), else a number per second.
        per_call: How many of that a call does.
        columns: What is measured.
        caller: Which caller Runwire's figure comes from.
        goals: All of them are to be met.
    """

    name: str
    title: str
    workload: str
    clients: int
    unit: str
    per_call: int = 1
    columns: tuple[str, ...] = (RUNWIRE, EMPTY, FASTTRACKML, MLFLOW)
    caller: str = "runwire"
    goals: tuple[Goal, ...] = ()

    @property
    def timed(self) -> bool:
        """Whether less is better."""
        return self.unit == "ms"

    def figure(self, sample: Sample) -> float:
        """Returns what the row shows of a sample."""
        return sample.p50 if self.timed else sample.rate * self.per_call

    def ratio(self, ours: float, other: float) -> float:
        """Returns how many times better ours is."""
        return other / ours if self.timed else ours / other


def at_least(times: float, column: str) -> Goal:
    """The goal of being some times as fast as another column."""
    return Goal(f"{times:g} x {column}", (column,), lambda medians: times * medians[column])


ROWS = (
    Row(
        name="log",
        title="log 1 metric",
        workload="log_metric",
        clients=1,
        unit="ms",
        columns=COLUMNS,
        goals=(
            Goal(
                "empty + 3 fdatasync + 0.3",
                (EMPTY, DISK),
                lambda medians: medians[EMPTY] + 3 * medians[DISK] + 0.3,
            ),
        ),
    ),
    Row(
        name="client",
        title="same by runwire.Client",
        workload="log_metric",
        clients=1,
        unit="ms",
        columns=(RUNWIRE,),
        caller="client",
    ),
    Row(
        name="log8",
        title="log 1 metric",
        workload="log_metric",
        clients=8,
        unit="calls/s",
        goals=(at_least(0.5, EMPTY),),
    ),
    Row(
        name="get",
        title="get a run: 20 params, 10 metrics, 5 tags",
        workload="get_run",
        clients=1,
        unit="ms",
        goals=(Goal("empty + 0.5", (EMPTY,), lambda medians: medians[EMPTY] + 0.5),),
    ),
    Row(
        name="column",
        title="log 1,000 points of 1 metric",
        workload="column",
        clients=1,
        unit="points/s",
        per_call=POINTS,
        goals=(at_least(20, FASTTRACKML),),
    ),
    Row(
        name="wide",
        title="log 1 point of 1,000 metrics",
        workload="wide",
        clients=1,
        unit="points/s",
        per_call=POINTS,
        goals=(at_least(8, FASTTRACKML),),
    ),
    Row(
        name="runs",
        title="run with 20 params, 10 metrics, finished",
        workload="whole_run",
        clients=4,
        unit="runs/s",
        goals=(at_least(1.5, FASTTRACKML), at_least(15, MLFLOW)),
    ),
)
