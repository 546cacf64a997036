"""What compaction makes of a range of log positions, and how it divides large ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from runwire_server.domain import chunks
from runwire_server.domain.blocks import Placed
from runwire_server.domain.chunks import MAX_ROWS, Chunk
from runwire_server.domain.stripes import chunks_of

# A sealed chunk is worth its while when its longest series has as many points.
SEALED_ROWS = 4_096
# Points of one subset of keys, which is what is in memory when stripes are merged.
SUBSET_POINTS = 512 * 1024


@dataclass(frozen=True, slots=True)
class Marks:
    """Positions of a run: where its log goes on, and what is compacted and sealed."""

    next: int
    compacted: int
    sealed: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in a run's log to be compacted.

    Attributes:
        run: The run's row key.
        rows: How many log rows.
        steps: How many step rows they hold.
        bytes: Their size.
        ended: Whether the run is over.
        untidy: Whether there may be stripes to merge, or leftovers of an interrupted compaction.
    """

    run: int
    rows: int
    steps: int
    bytes: int
    ended: bool = False
    untidy: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Log positions [first, end)."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class LogSize:
    """What a run's log holds.

    Attributes:
        span: The positions of its first rows, as many as fit into memory well.
        backlog: The size of all its rows, or at least of very many.
    """

    span: Span
    backlog: Backlog


@dataclass(frozen=True, slots=True)
class Stripe:
    """What is known of a row of stripes without a look at its data."""

    first: int
    end: int
    first_key: str
    rows: int
    points: int


@dataclass(frozen=True, slots=True)
class Subset:
    """The keys from `low` up to, not including, `below`, at the positions of a span."""

    span: Span
    low: str | None
    below: str | None


@dataclass(frozen=True, slots=True)
class Made:
    """A row of chunks to be stored; see `storage.schema.metric_chunk`."""

    first: int
    ordinal: int
    end: int
    first_key: str
    last_key: str
    keys: int
    rows: int
    points: int
    pyramid: bytes | None
    data: bytes

    @property
    def mark(self) -> tuple[int, int, int, int, int]:
        """What tells it from other rows: enough to see that nobody else has replaced it."""
        return self.first, self.ordinal, self.end, self.points, len(self.data)


def slices(span: Span) -> list[Span]:
    """Cuts a span into equal ones of at most `MAX_ROWS` positions."""
    length = span.end - span.first
    parts = -(-length // MAX_ROWS)
    cuts = [span.first + length * i // parts for i in range(parts + 1)]
    return [Span(first, end) for first, end in pairwise(cuts)]


def longest(blocks: Sequence[Placed]) -> int:
    """Returns at least how many points the longest series of some blocks has."""
    rows: dict[str, int] = {}
    for placed in blocks:
        # One key stands for all of its block: any other has as many there.
        for key in placed.points.keys[:1]:
            rows[key] = rows.get(key, 0) + placed.points.rows
    return max(rows.values(), default=0)


def compacted(
    blocks: Sequence[Placed], span: Span, pyramid: Callable[[Chunk], bytes | None]
) -> Iterator[Made]:
    """Yields the rows of a span of the log, in slices that are short enough."""
    for part in slices(span):
        inside = (placed.between(part.first, part.end) for placed in blocks)
        yield from made([placed for placed in inside if placed.points.rows], part, 0, pyramid)


def made(
    blocks: Sequence[Placed], span: Span, ordinal: int, pyramid: Callable[[Chunk], bytes | None]
) -> Iterator[Made]:
    """Yields the rows of a span's blocks.

    Args:
        blocks: The points, each key's in order of arrival.
        span: Where they lie.
        ordinal: The ordinal of the first row.
        pyramid: Makes a chunk's pyramid.
    """
    for number, chunk in enumerate(chunks_of(blocks), ordinal):
        yield Made(
            first=span.first,
            ordinal=number,
            end=span.end,
            first_key=chunk.keys[0],
            last_key=chunk.keys[-1],
            keys=len(chunk.keys),
            rows=chunk.rows,
            points=len(chunk.values),
            pyramid=pyramid(chunk),
            data=chunks.encode(chunk),
        )


def worth_sealing(stripes: Sequence[Stripe]) -> bool:
    """Tells whether the longest series of some stripes is long enough for a sealed chunk."""
    longest_of: dict[int, int] = {}
    for stripe in stripes:
        longest_of[stripe.first] = max(longest_of.get(stripe.first, 0), stripe.rows)
    return sum(longest_of.values()) >= SEALED_ROWS


def merges(stripes: Sequence[Stripe]) -> list[Subset]:
    """Divides stripes, ascending by position, into what is merged at once: some keys of some whole stripes.

    A span of stripes is never cut: readers go on by position and key within one.
    """
    groups: list[list[Stripe]] = []
    for stripe in stripes:
        if groups and stripe.end - groups[-1][0].first <= MAX_ROWS:
            groups[-1].append(stripe)
        else:
            groups.append([stripe])
    return [subset for group in groups for subset in _subsets(group)]


def _subsets(stripes: Sequence[Stripe]) -> Iterator[Subset]:
    span = Span(stripes[0].first, max(stripe.end for stripe in stripes))
    low: str | None = None
    points = 0
    for stripe in sorted(stripes, key=lambda s: s.first_key):
        if points + stripe.points > SUBSET_POINTS and stripe.first_key > (low or ""):
            yield Subset(span, low, stripe.first_key)
            low, points = stripe.first_key, 0
        points += stripe.points
    yield Subset(span, low, None)
