"""The way of frames into storage: queues bounded in bytes, fair turns, and acks once all is on disk.

Each stream has a queue. A turn takes frames off one queue, reads them, and hands them to storage as one
unit; on SQLite all units that wait for the writer share a commit. A stream has one unit on its way at a
time, and all units together are bounded, so that a commit stays short whoever sends how much. What has been
committed is folded and acknowledged while the units of other streams commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from runwire.v1 import frame_pb2
from runwire_server.domain import frames, writers
from runwire_server.domain.batches import Group
from runwire_server.domain.frames import Contents
from runwire_server.domain.validate import MAX_FRAME_BYTES, MAX_STREAM_BYTES, MAX_STREAM_GROUPS
from runwire_server.domain.writers import Writer
from runwire_server.errors import ResourceExhausted, RunwireError
from runwire_server.failpoints import reach
from runwire_server.storage.base import AfterCommit, OpenWriter, WriterStore

# Unacknowledged bytes of all streams together.
SERVER_BYTES = 64 * 1024 * 1024
# Bytes on their way to storage: as many as one commit takes.
COMMIT_BYTES = 8 * 1024 * 1024
# The least that a stream's turn takes.
QUANTUM = 256 * 1024
# What a frame weighs in memory besides its payload.
FRAME_OVERHEAD = 512
# Larger frames are read in a thread, so that other streams do not wait for them.
LARGE_FRAME = 64 * 1024

log = structlog.get_logger("runwire.ingest")


@dataclass(frozen=True, slots=True)
class Queued:
    """A frame that waits.

    Attributes:
        payload: Its bytes.
        after: The writer's state with it.
    """

    payload: bytes
    after: Writer

    @property
    def weight(self) -> int:
        """What it takes in memory."""
        return len(self.payload) + FRAME_OVERHEAD


class Ingest:
    """Takes in the frames of all streams.

    Attributes:
        queued_bytes: Weight of all frames that are not acknowledged.
        streams: Those that are open.
    """

    def __init__(self, store: WriterStore, after_commit: AfterCommit) -> None:
        self._store = store
        self._after_commit = after_commit
        self.queued_bytes = 0
        self.streams: set[Stream] = set()
        self._ready: deque[Stream] = deque()
        self._committing_bytes = 0
        self._turns: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()

    async def open(self, hello: frame_pb2.Hello) -> Stream:
        """Opens a stream of a writer.

        Raises:
            InvalidArgument: INVALID_FIELD.
            FailedPrecondition: WRITER_UNKNOWN, SERVER_BEHIND, WRITER_DIVERGED.
        """
        writers.check_hello(hello)
        return self._opened(await self._store.open(hello))

    async def resume(self, writer_id: str, epoch: int) -> Stream:
        """Goes on with a writer that was opened before.

        Raises:
            InvalidArgument: INVALID_FIELD.
            FailedPrecondition: WRITER_UNKNOWN, WRITER_FENCED.
        """
        writers.check_writer_id(writer_id, "writer_id")
        return self._opened(await self._store.resume(writer_id, epoch))

    def _opened(self, writer: OpenWriter) -> Stream:
        stream = Stream(self, writer)
        self.streams.add(stream)
        return stream

    async def room_for(self, stream: Stream, weight: int) -> None:
        """Waits until a frame may come in; nothing else is read from its stream meanwhile."""
        while stream.weight and (
            stream.weight + weight > MAX_STREAM_BYTES or self.queued_bytes + weight > SERVER_BYTES
        ):
            self._room.clear()
            await self._room.wait()

    def enqueue(self, stream: Stream, frame: Queued) -> None:
        """Takes a frame in."""
        stream.weight += frame.weight
        self.queued_bytes += frame.weight
        stream.queue.append(frame)
        self._make_ready(stream)

    async def confirm(self, writer: OpenWriter, through: int) -> None:
        """Forgets rejections; see `WriterStore.confirm`."""
        await self._store.confirm(writer, through)

    def _make_ready(self, stream: Stream) -> None:
        if not stream.waiting and not stream.committing and stream.queue:
            stream.waiting = True
            self._ready.append(stream)
            self._take_turns()

    def _take_turns(self) -> None:
        """Starts turns in rotation while there is room for more bytes on their way."""
        while self._ready and self._committing_bytes < COMMIT_BYTES:
            stream = self._ready.popleft()
            # A large frame is paid back by the turns after it.
            stream.credit = min(stream.credit, 0) + max(QUANTUM, COMMIT_BYTES // (2 * len(self._ready) + 2))
            taken = []
            while stream.queue and stream.credit > 0:
                frame = stream.queue.popleft()
                stream.credit -= frame.weight
                taken.append(frame)
            if not taken:
                self._ready.append(stream)
                continue
            stream.waiting, stream.committing = False, True
            self._committing_bytes += sum(frame.weight for frame in taken)
            task = asyncio.create_task(self._turn(stream, taken))
            self._turns.add(task)
            task.add_done_callback(self._turns.discard)

    async def _turn(self, stream: Stream, taken: list[Queued]) -> None:
        """Stores frames of a stream, and acknowledges them; a failure ends the stream."""
        weight = sum(frame.weight for frame in taken)
        try:
            await self._store_all(stream, taken)
        except RunwireError as error:
            stream.fail(error)
        except Exception as error:
            log.exception("frames could not be stored", writer_id=stream.writer.writer_id)
            stream.fail(error)
        finally:
            stream.committing = False
            self._committing_bytes -= weight
            self._release(stream, weight)
            self._make_ready(stream)
            self._take_turns()

    async def _store_all(self, stream: Stream, taken: Sequence[Queued]) -> None:
        at = 0
        while at < len(taken):
            part: list[Contents] = []
            while at + len(part) < len(taken):
                contents = await self._read(stream, taken[at + len(part)])
                # Frames before one that names a strange group are stored without it.
                if contents.undeclared and part:
                    break
                part.append(contents)
                if contents.undeclared:
                    break
            after = taken[at + len(part) - 1].after
            applied = await self._store.apply(stream.writer, stream.committed, after, part)
            reach("after-commit")
            await self._after_commit(applied.appended)
            reach("after-fold")
            if applied.rejections:
                reach("after-rejection")
            stream.acknowledge(after, applied.rejections)
            at += len(part)

    async def _read(self, stream: Stream, frame: Queued) -> Contents:
        if LARGE_FRAME < len(frame.payload) <= MAX_FRAME_BYTES:
            return await asyncio.to_thread(
                frames.read, frame.after.sequence, frame.payload, dict(stream.groups)
            )
        return frames.read(frame.after.sequence, frame.payload, stream.groups)

    def _release(self, stream: Stream, weight: int) -> None:
        stream.weight -= weight
        self.queued_bytes -= weight
        self._room.set()

    def drop_queue(self, stream: Stream) -> None:
        """Forgets the frames that a failed stream has waiting."""
        weight = sum(frame.weight for frame in stream.queue)
        stream.queue.clear()
        self._release(stream, weight)

    def stop(self, error: RunwireError) -> None:
        """Has all streams end with an error, once what they have sent is acknowledged."""
        for stream in self.streams:
            stream.end(error)

    async def close(self) -> None:
        """Returns once nothing is on its way to storage any more."""
        while self._turns:
            await asyncio.wait(self._turns)


class Stream:
    """One stream of a writer: what came in, what is committed, and what its client is told.

    Attributes:
        writer: The writer as it was opened.
        committed: Its state on disk.
        groups: What was declared, by hash.
        queue: Frames that wait for a turn.
        weight: Of all frames that are not acknowledged.
        credit: What its next turn may take beyond the usual; below 0 for a frame that was larger.
        waiting: Whether it waits for a turn.
        committing: Whether a turn is on its way.
    """

    def __init__(self, ingest: Ingest, writer: OpenWriter) -> None:
        self.writer = writer
        self.committed = writer.state
        self.groups: dict[bytes, Group] = {}
        self.queue: deque[Queued] = deque()
        self.weight = 0
        self.credit = 0
        self.waiting = False
        self.committing = False
        self._ingest = ingest
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
            untold_rejections=self.writer.untold,
        )

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
        queued = Queued(payload, after)
        await self._ingest.room_for(self, queued.weight)
        if self._failure is None:
            self._received = after
            self._ingest.enqueue(self, queued)

    async def confirm(self, through: int) -> None:
        """Forgets rejections that the client has noted.

        Raises:
            InvalidArgument: INVALID_FIELD.
            FailedPrecondition: WRITER_FENCED.
        """
        writers.check_confirmed(through)
        await self._ingest.confirm(self.writer, through)

    def acknowledge(self, state: Writer, rejections: Sequence[frame_pb2.Rejection]) -> None:
        """Notes that frames are on disk."""
        self.committed = state
        self._rejections += rejections
        self._news.set()

    def end(self, error: Exception | None = None) -> None:
        """Takes nothing in any more; what came before is stored, then the stream ends with the error."""
        if not self._ended:
            self._ended = True
            self._failure = error
        self._news.set()

    def fail(self, error: Exception) -> None:
        """Ends the stream at once."""
        self._ended, self._failure = True, error
        self._ingest.drop_queue(self)
        self._news.set()

    @property
    def ended(self) -> bool:
        """Whether it takes nothing in any more."""
        return self._ended

    async def next_ack(self) -> frame_pb2.Ack | None:
        """Returns the next ack; None when all is acknowledged and no more will come.

        Raises:
            RunwireError: what has ended the stream, once all acks were returned.
        """
        while True:
            if self._told != self.committed.sequence or self._repeated:
                return self._ack()
            if self._ended and not self.queue and not self.committing:
                if self._failure is not None:
                    raise self._failure
                return None
            self._news.clear()
            await self._news.wait()

    def _ack(self) -> frame_pb2.Ack:
        told = writers.noted({}, self._rejections)[0].values()
        self._told, self._rejections, self._repeated = self.committed.sequence, [], False
        return frame_pb2.Ack(sequence=self.committed.sequence, crc=self.committed.crc, rejections=told)

    async def acknowledged(self) -> frame_pb2.Ack:
        """Returns the last ack, once all that came in is stored.

        Raises:
            RunwireError: what has ended the stream.
        """
        self.end()
        rejections: list[frame_pb2.Rejection] = []
        while (ack := await self.next_ack()) is not None:
            rejections += ack.rejections
        told = writers.noted({}, rejections)[0].values()
        return frame_pb2.Ack(sequence=self.committed.sequence, crc=self.committed.crc, rejections=told)

    def leave(self) -> None:
        """Says that nobody waits for acks any more; frames that came in are stored all the same."""
        self.end()
        self._ingest.streams.discard(self)
