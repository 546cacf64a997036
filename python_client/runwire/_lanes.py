"""Which writer takes the next frame, and what happens when its spool takes no more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from runwire import errors
from runwire._buffer import Buffer
from runwire._channel import Settings
from runwire._cutter import FRAME_BYTES, LARGE_FRAME_BYTES, Closing
from runwire._delivery import Lane
from runwire._ids import uuid7
from runwire._places import Options
from runwire._spool import Spool
from runwire._stderr import say
from runwire.v1 import frame_pb2

PULSE: Final = 1.0
_BACKLOG_FRAMES: Final = 8


class Lanes:
    """Takes the frames of one client: makes spools, writes to them, waits for room in them.

    Attributes:
        lane: The writer that takes frames now; None before the first.
        stuck: Why no frame can be written; empty if it can.
        closing: Whether the client ends, so that nobody waits for room any more.
    """

    def __init__(
        self,
        given: Settings,
        options: Options,
        guard: threading.Condition,
        buffer: Buffer,
        pulse: Callable[[], None],
    ) -> None:
        """Makes the lanes.

        Args:
            given: The client's settings.
            options: How to keep what is logged.
            guard: Guards lanes and writers.
            buffer: What refuses more when there is no room.
            pulse: Called about every second while there is no room.
        """
        self._given = given
        self._options = options
        self._guard = guard
        self._buffer = buffer
        self._pulse = pulse
        self._carry: Callable[[Lane], None] | None = None
        self.lane: Lane | None = None
        self.stuck = ""
        self.closing = False

    def carry_by(self, carry: Callable[[Lane], None]) -> None:
        """Says who carries the frames to the server.

        Args:
            carry: Told of each new lane, the guard held.
        """
        self._carry = carry

    def open_lane(self, size: int) -> tuple[Lane, int]:
        """Finds the writer that takes the next frame, and waits until its spool has room.

        Args:
            size: Bytes of the frame to come, about.

        Returns:
            The lane, and a number that changes with the segment of its spool.
        """
        while True:
            with self._guard:
                try:
                    lane = self.lane
                    if lane is None or lane.over is not None:
                        lane = self._new_lane()
                    segment = lane.spool.prepare(size)
                    if segment is not None:
                        self._unstick()
                        return lane, segment
                    self._stick(
                        f"the spool {lane.spool.folder} is full: it holds {self._options.spool_bytes} bytes "
                        "that are not delivered"
                    )
                except OSError as error:
                    self._stick(f"the spool in {self._options.root} can not be written: {error}")
                self._guard.wait(PULSE)
            self._pulse()
            if self.closing:
                raise Closing

    def _stick(self, why: str) -> None:
        if not self.stuck:
            say(why)
        self.stuck = why
        if self._options.on_spool_full == "error" or self._options.offline:
            self._buffer.refuse(errors.ResourceExhausted(why))

    def _unstick(self) -> None:
        if self.stuck:
            self.stuck = ""
            self._buffer.refuse(None)

    def _new_lane(self) -> Lane:
        self.lane = None
        options = self._options
        lane = self.lane = Lane(Spool.create(options.root, uuid7().hex, options.address, options.spool_bytes))
        if self._carry is not None:
            self._carry(lane)
        return lane

    def write(self, lane: Lane, data: bytes, groups: dict[bytes, frame_pb2.Group]) -> bool:
        """Cuts a frame and hands it to the delivery.

        Args:
            lane: The writer that `open_lane` found.
            data: The frame's payload.
            groups: What it names.

        Returns:
            Whether it was cut; not if the writer is over meanwhile, or its spool needs another segment: to
            be made again for what `open_lane` finds.
        """
        while True:
            with self._guard:
                if lane.over is not None:
                    return False
                before = lane.writer.cut
                try:
                    lane.spool.append(lane.writer.cut_frame(data), data, groups.values())
                    self._unstick()
                    self._guard.notify_all()
                    return True
                except OSError as error:
                    lane.writer.cut = before
                    if lane.spool.reclaim():
                        return False
                    self._stick(f"the spool {lane.spool.folder} can not be written: {error}")
                    self._guard.wait(PULSE)
            self._pulse()
            if self.closing:
                raise Closing

    def target(self, lane: Lane) -> int:
        """Says how large the next frame should be."""
        behind = lane.writer.cut.sequence - lane.writer.sent > _BACKLOG_FRAMES
        return LARGE_FRAME_BYTES if behind else FRAME_BYTES
