"""One stream of a writer: what came in, what is on disk, and what its client is told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runwire.v1 import frame_pb2
from runwire_server.domain import frames, writers
from runwire_server.domain.batches import Group
from runwire_server.domain.limits import MAX_FRAME_BYTES, MAX_STREAM_BYTES, MAX_STREAM_GROUPS
from runwire_server.domain.writers import Writer
from runwire_server.errors import ResourceExhausted
from runwire_server.storage.writer_base import OpenWriter

# What a frame weighs in memory besides its payload.
FRAME_OVERHEAD = 512


@dataclass(frozen=True, slots=True)
class Queued:
    """A frame that waits.

    Attributes:
        payload: Its bytes; of one that is too large only as many as show that.
        after: The writer's state with it.
    """

    payload: bytes
    after: Writer

    @property
    def weight(self) -> int:
        """What it takes in memory."""
        return len(self.payload) + FRAME_OVERHEAD


class Intake(Protocol):
    """Where a stream's frames go."""

    async def room_for(self, stream: FrameStream, weight: int) -> None:
        """Waits until a frame may come in; nothing else is read from its stream meanwhile."""

    def enqueue(self, stream: FrameStream, frame: Queued) -> None:
        """Takes a frame in."""

    def release(self, stream: FrameStream, weight: int) -> None:
        """Gives back the room of frames that are acknowledged or dropped."""

    async def confirm(self, writer: OpenWriter, through: int) -> None:
        """Forgets rejections; see `WriterStore.confirm`."""

    def left(self, stream: FrameStream) -> None:
        """Says that nobody listens to the stream any more."""


class FrameStream:
    """See the module.

    Attributes:
        writer: The writer as it was opened.
        stored: Its state on disk.
        committed: Its state that may be acknowledged: on disk, and folded.
        groups: What was declared, by hash.
        queue: Frames that wait for a turn.
        weight: Of all frames that are not acknowledged.
        credit: What its next turn may take beyond the usual; below 0 for a frame that was larger.
        waiting: Whether it waits for a turn.
        committing: Whether a turn is on its way.
        resting: Whether it has to wait for compaction before its next turn.
        following: The last turn whose frames are stored, but not acknowledged yet.
        careful: Up to this sequence each frame is stored apart: one of them has failed in a way that
            nobody expected.
    """

    def __init__(self, intake: Intake, writer: OpenWriter) -> None:
        self.writer = writer
        self.stored = self.committed = writer.state
        self.groups: dict[bytes, Group] = {}
        self.queue: deque[Queued] = deque()
        self.weight = 0
        self.credit = 0
        self.waiting = False
        self.committing = False
        self.resting = False
        self.following: asyncio.Task[None] | None = None
        self.careful = 0
        self._intake = intake
        self._received = writer.state
        self._rejections: list[frame_pb2.Rejection] = []
        self._repeated = False
        self._told = writer.state.sequence
        self._ended = False
        self._failure: Exception | None = None
        self._news = asyncio.Event()

    @property
    def welcome(self) -> frame_pb2.Welcome:
        """What answers its hello."""
        return frame_pb2.Welcome(
            epoch=self.writer.state.epoch,
            committed_sequence=self.writer.state.sequence,
            committed_crc=self.writer.state.crc,
            window_bytes=MAX_STREAM_BYTES,
            rejections=self.writer.rejections,
        )

    @property
    def ended(self) -> bool:
        """Whether it takes nothing in any more."""
        return self._ended

    def declare(self, group: frame_pb2.Group) -> None:
        """Learns a group.

        Raises:
            InvalidArgument: INVALID_FIELD.
            ResourceExhausted: LIMIT_EXCEEDED.
        """
        known = frames.declared(group)
        if len(self.groups) >= MAX_STREAM_GROUPS and group.hash not in self.groups:
            raise ResourceExhausted(
                "LIMIT_EXCEEDED",
                f"a stream can declare at most {MAX_STREAM_GROUPS} groups",
                {"limit": "max_stream_groups", "max": str(MAX_STREAM_GROUPS)},
            )
        self.groups[group.hash] = known

    async def receive(self, frame: frame_pb2.Frame) -> None:
        """Takes the next frame in, once there is room for it.

        Raises:
            InvalidArgument: INVALID_FIELD.
            FailedPrecondition: FRAME_OUT_OF_ORDER, WRITER_DIVERGED.
        """
        payload = frame.payload
        after = writers.received(
            self.writer.writer_id, self._received, frame.sequence, frame.previous_crc, payload
        )
        if after is None:
            self._repeated = True
            self._news.set()
            return
        queued = Queued(payload[: MAX_FRAME_BYTES + 1], after)
        await self._intake.room_for(self, queued.weight)
        if not self._ended:
            self._received = after
            self._intake.enqueue(self, queued)

    async def confirm(self, through: int) -> None:
        """Forgets rejections that the client has noted.

        Raises:
            InvalidArgument: INVALID_FIELD.
            FailedPrecondition: WRITER_FENCED.
        """
        writers.check_confirmed(through)
        await self._intake.confirm(self.writer, through)

    def acknowledge(self, state: Writer, rejections: Sequence[frame_pb2.Rejection]) -> None:
        """Notes that frames are on disk and folded."""
        self.committed = state
        self._rejections += rejections
        self._news.set()

    def end(self, error: Exception | None = None) -> None:
        """Takes nothing in any more; what came before is stored, then the stream ends with the error."""
        if not self._ended:
            self._ended, self._failure = True, error
        self._news.set()

    def fail(self, error: Exception) -> None:
        """Ends the stream at once: frames that wait are dropped."""
        self._ended, self._failure = True, error
        weight = sum(frame.weight for frame in self.queue)
        self.queue.clear()
        self._intake.release(self, weight)
        self._news.set()

    def settled(self) -> None:
        """Says that a turn or a fold is over, which may have been the last."""
        self._news.set()

    async def next_ack(self) -> frame_pb2.Ack | None:
        """Returns the next ack; None when all is acknowledged and no more will come.

        Raises:
            RunwireError: what has ended the stream, once all acks were returned.
        """
        while True:
            if self._told != self.committed.sequence or self._repeated:
                return self._ack()
            if self._ended and not (self.queue or self.committing or self.following):
                if self._failure is not None:
                    raise self._failure
                return None
            self._news.clear()
            await self._news.wait()

    def _ack(self) -> frame_pb2.Ack:
        told = writers.noted({}, self._rejections).values()
        self._told, self._rejections, self._repeated = self.committed.sequence, [], False
        return frame_pb2.Ack(sequence=self.committed.sequence, crc=self.committed.crc, rejections=told)

    async def last_ack(self) -> frame_pb2.Ack:
        """Takes nothing in any more, and returns an ack of all that came in.

        Raises:
            RunwireError: what has ended the stream.
        """
        self.end()
        rejections: list[frame_pb2.Rejection] = []
        while (ack := await self.next_ack()) is not None:
            rejections += ack.rejections
        told = writers.noted({}, rejections).values()
        return frame_pb2.Ack(sequence=self.committed.sequence, crc=self.committed.crc, rejections=told)

    def leave(self) -> None:
        """Says that nobody waits for acks any more; frames that came in are stored all the same."""
        self.end()
        self._intake.left(self)
