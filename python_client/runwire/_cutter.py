"""Cuts frames: gathers records into payloads of a good size."""

from __future__ import annotations

from typing import Final, Protocol

from runwire._delivery import Lane
from runwire._encoding import payload
from runwire._folding import Record
from runwire.v1 import frame_pb2

FRAME_BYTES: Final = 64 * 1024
# When the server is behind, larger frames are cheaper for both sides.
LARGE_FRAME_BYTES: Final = 1024 * 1024


# A begin record is repeated, and shares its frame with another record.
MOST_BEGIN_BYTES: Final = 64 * 1024


class Begin:
    """How a run begins, to be said again wherever a new spool segment names it.

    Attributes:
        message: What begins it.
        data: The same, as a serialised `Record`.
    """

    def __init__(self, message: frame_pb2.BeginRun) -> None:
        """Keeps what begins a run, of at most MOST_BEGIN_BYTES."""
        self.message = message
        self.data = frame_pb2.Record(begin=message).SerializeToString()


class Out(Protocol):
    """Where frames go."""

    def open_lane(self, size: int) -> tuple[Lane, int]:
        """Finds the writer that takes the next frame; waits until its spool has room for it."""

    def target(self, lane: Lane) -> int:
        """Says how large the next frame should be."""

    def write(self, lane: Lane, data: bytes, groups: dict[bytes, frame_pb2.Group]) -> bool:
        """Cuts a frame; returns whether it fitted where `open_lane` said."""


class Closing(Exception):
    """The pipeline ends while the folding thread waits for room."""


class Cutter:
    """Gathers records into the payloads of frames.

    The first frame of a segment that names a run begins it, so that a segment can go to any server.
    """

    def __init__(self, out: Out, begins: dict[str, Begin]) -> None:
        """Makes the cutter.

        Args:
            out: Where its frames go.
            begins: How the runs that were begun here began.
        """
        self._out = out
        self._begins = begins
        self._lane: Lane | None = None
        self._segment = -1
        self._begun: set[str] = set()
        self._given: list[Record] = []
        self._records: list[bytes] = []
        self._groups: dict[bytes, frame_pb2.Group] = {}
        self._size = 0
        self._target = 0

    def add(self, record: Record) -> None:
        """Adds a record to the frame in the making, and cuts that when it is large enough."""
        if not self._records:
            self._open(len(record.data))
        elif self._size + len(record.data) > LARGE_FRAME_BYTES:
            self.cut()
            self._open(len(record.data))
        self._given.append(record)
        self._begin(record.run_id)
        if record.data:
            self._records.append(record.data)
            self._size += len(record.data)
            self._groups.update((group.hash, group) for group in record.groups)
        if self._size >= self._target:
            self.cut()

    def _open(self, size: int) -> None:
        lane, segment = self._out.open_lane(max(size, FRAME_BYTES))
        if lane is not self._lane or segment != self._segment:
            self._lane, self._segment = lane, segment
            self._begun = set()
        self._target = self._out.target(lane)

    def _begin(self, run_id: str) -> None:
        if run_id in self._begun:
            return
        self._begun.add(run_id)
        begin = self._begins.get(run_id)
        if begin is not None:
            if begin.message.run.parent_run_id:
                self._begin(begin.message.run.parent_run_id)
            self._records.append(begin.data)
            self._size += len(begin.data)

    def cut(self) -> None:
        """Cuts the frame in the making, if there is anything in it."""
        while self._records:
            lane = self._lane
            assert lane is not None
            cut = self._out.write(lane, payload(self._records), self._groups)
            given, self._given = self._given, []
            self._records, self._groups, self._size = [], {}, 0
            if not cut:
                # The writer or its segment ended: what follows on it has to begin the runs again.
                for record in given:
                    self.add(record)
                continue
            for record in given:
                if record.ends:
                    # Whatever comes for it now finds it on the server, or behind this in the same spool.
                    self._begins.pop(record.run_id, None)
