"""What storage promises of the summaries of series; see `base` for what holds for all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runwire_server.domain.summaries import Summary


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """The summaries of a run as one snapshot has them.

    Attributes:
        run: The run's row key.
        run_id: Its public id.
        experiment: Its experiment's row key.
        folded: Every summary covers at least all points below this log position.
        end: The run's next log position.
        keys: The keys of the stored summaries, sorted.
        summaries: The summaries.
        through: The log positions below which each of them covers all points, where that is beyond `folded`.
    """

    run: int
    run_id: str
    experiment: int
    folded: int
    end: int
    keys: Sequence[str]
    summaries: Sequence[Summary]
    through: Sequence[int]


@dataclass(frozen=True, slots=True)
class SeriesRows:
    """Some summaries of one run, to be stored.

    Attributes:
        run: The run's row key.
        through: The log position below which they cover all points.
        keys: Sorted.
        summaries: Of these keys.
        folded: With these rows, every stored summary of the run covers all points below this log position;
            None if others are still to come.
    """

    run: int
    through: int
    keys: Sequence[str]
    summaries: Sequence[Summary]
    folded: int | None = None


@dataclass(frozen=True, slots=True)
class Flushed:
    """What came of a flush.

    Attributes:
        seconds: How long it held up other writers.
        gone: The runs among those given that are purged.
    """

    seconds: float
    gone: frozenset[int]


@dataclass(frozen=True, slots=True)
class Unfolded:
    """A run whose stored summaries do not cover all of its points.

    Attributes:
        run: The run's row key.
        run_id: Its public id.
        experiment: Its experiment's row key.
        folded: The log position up to which they do.
    """

    run: int
    run_id: str
    experiment: int
    folded: int


class SummaryStore(Protocol):
    """Summaries of series, which follow the points at some distance."""

    async def load(self, run: int) -> StoredSeries | None:
        """Returns what is stored for a run, None when it is purged."""

    async def flush(self, batch: Sequence[SeriesRows]) -> Flushed:
        """Stores summaries, in one transaction.

        A stored summary that covers more points stays. Those of purged runs are left out.
        """

    async def unfolded(self) -> list[Unfolded]:
        """Returns the runs whose summaries do not cover all points, without purged ones."""
