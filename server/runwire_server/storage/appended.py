"""What a commit has added to a run: everything behind storage is fed by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from runwire_server.domain.blocks import Points


@dataclass(frozen=True, slots=True)
class Appended:
    """Points that a committed transaction has added to a run, at log positions [first, first + their rows).

    Attributes:
        run: The run's row key.
        run_id: Its public id.
        experiment: Its experiment's row key.
        first: The first log position.
        blocks: The points, keys resolved, in order.
        finished: Whether the same transaction ended the run.
    """

    run: int
    run_id: str
    experiment: int
    first: int
    blocks: tuple[Points, ...]
    finished: bool = False

    @property
    def end(self) -> int:
        """The log position behind it."""
        return self.first + sum(block.rows for block in self.blocks)


# What follows a commit and precedes its answer: points are folded, watchers are told.
AfterCommit = Callable[[Sequence[Appended]], Awaitable[None]]
