"""Which keys a read wants: named ones, or those of an interval."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from runwire_server.domain.blocks import Points


@dataclass(frozen=True)
class Selection:
    """The keys that a read wants: all, unless something is said of them.

    Attributes:
        keys: Only these; empty for all.
        low: Only keys of at least this; None for no bound.
        below: Only keys below this; None for no bound.
    """

    keys: frozenset[str] = frozenset()
    low: str | None = None
    below: str | None = None
    # By key set: its wanted columns, None for all. The key set is kept, so that its identity stays its own.
    _columns: dict[int, tuple[Sequence[str], list[int] | None]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, keys: Collection[str]) -> Selection:
        """Selects some keys; all if there are none."""
        return cls(frozenset(keys))

    @property
    def everything(self) -> bool:
        """Whether it wants all keys."""
        return not self.keys and self.low is None and self.below is None

    @property
    def bounds(self) -> tuple[str | None, str | None]:
        """The lowest key that it may want, and the highest one, or one beyond it."""
        return (min(self.keys), max(self.keys)) if self.keys else (self.low, self.below)

    def __contains__(self, key: str) -> bool:
        """Tells whether it wants a key."""
        return (
            (not self.keys or key in self.keys)
            and (self.low is None or key >= self.low)
            and (self.below is None or key < self.below)
        )

    def touches(self, first: str, last: str) -> bool:
        """Tells whether it wants any key from `first` to `last`."""
        if self.keys:
            return any(first <= key <= last for key in self.keys)
        return (self.low is None or last >= self.low) and (self.below is None or first < self.below)

    def cut(self, block: Points) -> Points:
        """Returns the wanted columns of a block, with numbers that are bytes of their own."""
        columns = self._columns_of(block.keys)
        if columns is None:
            return Points(
                block.keys, bytes(block.packed_steps), bytes(block.packed_times), bytes(block.packed_values)
            )
        if not columns:
            return Points((), b"", b"", b"")
        return Points(
            tuple([block.keys[k] for k in columns]),
            bytes(block.packed_steps),
            bytes(block.packed_times),
            block.values[:, columns].tobytes(),
        )

    def _columns_of(self, keys: tuple[str, ...]) -> list[int] | None:
        if self.everything:
            return None
        found = self._columns.get(id(keys))
        if found is None:
            columns = [k for k, key in enumerate(keys) if key in self]
            found = keys, None if len(columns) == len(keys) else columns
            # Short ones are mostly new each time.
            if len(keys) > len(self.keys) + 1:
                self._columns[id(keys)] = found
        return found[1]
