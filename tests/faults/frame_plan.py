"""What the writers of frames log: all of it follows from a writer's name and a frame's number.

So a writer that was killed makes the same frames again, and what a server holds can be compared with what
it has to hold, bit by bit. Values are any 8 bytes: NaN of all kinds, infinities, subnormals among them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tests.support import frames

from runwire.v1 import run_pb2

Array = np.ndarray[Any, np.dtype[Any]]
Block = tuple[str, tuple[str, ...], Array, Array, Array]

NARROW = ["loss", "accuracy"]
START_MS = 1_760_000_000_000
# Steps of neighbouring frames do not overlap, but their order is not that of the frames.
STEPS_A_FRAME = 100_000
CHILD_EVERY, BAD_EVERY = 16, 24
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Plan:
    """The frames of one writer.

    Attributes:
        name: The writer's name.
        shared_run: A run that other writers log to as well, to a key of their own.
        rows: How many steps the largest block of a frame has.
        width: How many keys the widest block has.
    """

    name: str
    shared_run: str
    rows: int = 20
    width: int = 12

    @property
    def writer_id(self) -> str:
        """The writer."""
        return self._id("writer")

    @property
    def run_id(self) -> str:
        """Its run."""
        return self._id("run")

    @property
    def wide(self) -> list[str]:
        """The keys of its wide blocks, a group that has to be declared."""
        return [f"w{number:04}" for number in range(self.width)]

    def child(self, sequence: int) -> str:
        """The id of the small run that a frame begins and ends."""
        return self._id(f"child {sequence}")

    def frames(self, sequence: int, crc: int) -> Iterator[frames.Frame]:
        """Cuts the frames behind one, whose chained CRC has to be given."""
        cutter = frames.Cutter(self.writer_id, sequence, crc)
        while True:
            yield cutter.cut(*self._records(cutter.sequence + 1))

    def step_rows(self, sequence: int) -> int:
        """Returns how many steps a frame adds to its run, all blocks together."""
        return self.rows + self._wide_rows(sequence)

    def blocks(self, sequence: int) -> Iterator[Block]:
        """Returns what a frame logs: for each of its blocks the run, keys, steps, times and bits."""
        steps, times = self._axis(sequence)
        wide_rows = self._wide_rows(sequence)
        yield self.run_id, tuple(NARROW), steps, times, self._bits(sequence, len(NARROW), self.rows)
        wide = self._bits(sequence, self.width, wide_rows)
        yield self.run_id, tuple(self.wide), steps[:wide_rows], times[:wide_rows], wide
        yield self.shared_run, (self.name,), steps[:1], times[:1], self._bits(sequence, 1, 1)

    def expected(self, through: int) -> dict[str, dict[str, tuple[Array, Array, Array]]]:
        """Returns all points of the frames up to one by run and key, in the order of histories."""
        parts: dict[tuple[str, tuple[str, ...]], list[tuple[Array, Array, Array]]] = {}
        for sequence in range(1, through + 1):
            for run_id, keys, steps, times, bits in self.blocks(sequence):
                parts.setdefault((run_id, keys), []).append((steps, times, bits))
        found: dict[str, dict[str, tuple[Array, Array, Array]]] = {}
        for (run_id, keys), blocks in parts.items():
            steps, times, matrix = _sorted(blocks)
            for number, key in enumerate(keys):
                found.setdefault(run_id, {})[key] = (steps, times, matrix[:, number])
        return found

    def children(self, through: int) -> set[str]:
        """Returns the ids of the small runs of the frames up to one."""
        return {self.child(sequence) for sequence in range(CHILD_EVERY, through + 1, CHILD_EVERY)}

    def bad(self, through: int) -> int:
        """Returns how many records of the frames up to one have to be rejected."""
        return through // BAD_EVERY

    def _records(self, sequence: int) -> Iterator[bytes]:
        if sequence % 64 == 1:
            yield frames.begin(self.run_id, name=self.name)
            yield frames.begin(self.shared_run)
        if sequence % CHILD_EVERY == 0:
            params = [run_pb2.Param(key="of", value=str(sequence))]
            yield frames.begin(self.child(sequence), name=f"{self.name}-{sequence}", params=params)
            yield frames.finish(self.child(sequence))
        if sequence % BAD_EVERY == 0:
            # No run has this id.
            yield frames.batch(self._id("nowhere"), self._block(sequence, ["x"], 1))
        yield frames.batch(
            self.run_id,
            self._block(sequence, NARROW, self.rows),
            self._block(sequence, frames.group_hash(self.wide), self._wide_rows(sequence)),
        )
        yield frames.batch(self.shared_run, self._block(sequence, [self.name], 1))

    def _block(self, sequence: int, keys: list[str] | bytes, rows: int) -> bytes:
        steps, times = self._axis(sequence)
        width = self.width if isinstance(keys, bytes) else len(keys)
        values = self._bits(sequence, width, rows).tobytes()
        return frames.block(keys, values, times=times[:rows], steps=steps[:rows])

    def _wide_rows(self, sequence: int) -> int:
        return 1 + sequence % self.rows

    def _axis(self, sequence: int) -> tuple[Array, Array]:
        steps = (sequence ^ 1) * STEPS_A_FRAME + np.arange(self.rows)
        return steps, START_MS + sequence + np.arange(self.rows)

    def _bits(self, sequence: int, width: int, rows: int) -> Array:
        seed = np.uint64(int(self._id(f"{sequence} {width}")[:15], 16))
        count = np.arange(1, rows * width + 1, dtype=np.uint64)
        mixed = (count * _ODD) ^ seed
        # Plain losses beside, so that there are numbers to fold and to compress.
        plain = (np.uint64(sequence) / np.float64(3) + count).view(np.uint64)
        return np.where(count % np.uint64(3) == 0, mixed, plain).reshape(rows, width)

    def _id(self, what: str) -> str:
        return hashlib.sha256(f"{self.name} {what}".encode()).hexdigest()[:32]


def _sorted(columns: list[tuple[Array, Array, Array]]) -> tuple[Array, Array, Array]:
    steps, times, bits = (np.concatenate(part) for part in zip(*columns, strict=True))
    order = np.argsort(steps, kind="stable")
    # A series is a column.
    return steps[order], times[order], np.asfortranarray(bits[order])
