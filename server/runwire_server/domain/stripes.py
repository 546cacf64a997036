"""From order of arrival to order of keys: blocks of any key sets become chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from runwire_server.domain.blocks import Doubles, Int64s, Placed
from runwire_server.domain.chunks import MAX_KEYS, MAX_POINTS, MAX_ROWS, Axis, Chunk


class _Family:
    """Keys that come in the same blocks, so that they share one axis and are columns of one matrix."""

    def __init__(self, blocks: Sequence[Placed], sources: Sequence[int], keys: Sequence[str]) -> None:
        """Joins the columns of the keys out of the blocks given by their indices."""
        parts = []
        columns: dict[int, list[int] | slice] = {}
        for i in sources:
            names = blocks[i].points.keys
            if id(names) not in columns:
                if names == tuple(keys):
                    columns[id(names)] = slice(None)
                else:
                    at = {key: k for k, key in enumerate(names)}
                    columns[id(names)] = [at[key] for key in keys]
            parts.append(blocks[i].points.values[:, columns[id(names)]])
        self.axis = Axis(
            np.concatenate([blocks[i].positions for i in sources]),
            np.concatenate([blocks[i].points.steps for i in sources]),
            np.concatenate([blocks[i].points.times for i in sources]),
        )
        self.values: Doubles = np.concatenate(parts)

    @property
    def rows(self) -> int:
        return len(self.axis.steps)


def chunks_of(blocks: Sequence[Placed]) -> Iterator[Chunk]:
    """Yields the chunks of some blocks, ascending by key; each key is in one of them.

    Args:
        blocks: Points of at most `MAX_ROWS` log positions. Each key's come in order of arrival.
    """
    members = _families(blocks)
    families = [_Family(blocks, sources, keys) for sources, keys in members]
    place = {key: (f, k) for f, (_, keys) in enumerate(members) for k, key in enumerate(keys)}
    taken: list[str] = []
    points = 0
    for key in sorted(place):
        rows = families[place[key][0]].rows
        if rows > MAX_ROWS:
            raise ValueError(f"a chunk's series has at most {MAX_ROWS} points, not {rows}")
        if taken and (len(taken) == MAX_KEYS or points + rows > MAX_POINTS):
            yield _chunk(taken, place, families)
            taken, points = [], 0
        taken.append(key)
        points += rows
    if taken:
        yield _chunk(taken, place, families)


def _families(blocks: Sequence[Placed]) -> list[tuple[tuple[int, ...], list[str]]]:
    """Returns which keys come in exactly which blocks."""
    # Equal key sets are mostly the same tuple; to compare 100,000 keys is dear.
    by_identity: dict[int, int] = {}
    by_keys: dict[tuple[str, ...], int] = {}
    blocks_of_set: list[list[int]] = []
    for i, placed in enumerate(blocks):
        keys = placed.points.keys
        key_set = by_identity.get(id(keys))
        if key_set is None:
            key_set = by_keys.setdefault(keys, len(by_keys))
            by_identity[id(keys)] = key_set
            if key_set == len(blocks_of_set):
                blocks_of_set.append([])
        blocks_of_set[key_set].append(i)
    sets_of_key: dict[str, tuple[int, ...]] = {}
    for keys, key_set in by_keys.items():
        for key in keys:
            sets_of_key[key] = (*sets_of_key.get(key, ()), key_set)
    keys_of_sets: dict[tuple[int, ...], list[str]] = {}
    for key, sets in sets_of_key.items():
        keys_of_sets.setdefault(sets, []).append(key)
    return [
        (tuple(sorted(i for key_set in sets for i in blocks_of_set[key_set])), keys)
        for sets, keys in keys_of_sets.items()
    ]


def _chunk(keys: Sequence[str], place: dict[str, tuple[int, int]], families: Sequence[_Family]) -> Chunk:
    """Makes the chunk of some keys, ascending, given the family and column of each."""
    numbers: dict[int, int] = {}
    axis_of: Int64s = np.array([numbers.setdefault(place[key][0], len(numbers)) for key in keys], np.int64)
    used = list(numbers)
    lengths = np.array([families[f].rows for f in used], np.int64)[axis_of]
    starts = np.concatenate(([0], np.cumsum(lengths)))
    values: Doubles = np.empty(int(starts[-1]))
    columns = np.array([place[key][1] for key in keys], np.int64)
    for axis, f in enumerate(used):
        mine = np.flatnonzero(axis_of == axis)
        part = families[f].values[:, columns[mine]].T
        if len(used) == 1:
            values = np.ascontiguousarray(part).ravel()
            break
        for k, series in zip(mine.tolist(), part, strict=True):
            values[starts[k] : starts[k + 1]] = series
    return Chunk(tuple(keys), tuple(families[f].axis for f in used), axis_of, values)
