"""The way of frames into storage: queues bounded in bytes, fair turns, and acks once all is on disk.

Each stream has a queue. A turn takes frames off one queue, reads them, and hands them to storage as one
unit; on SQLite all units that wait for the writer share a commit. A stream has one unit on its way at a
time, and all units together are bounded, so that a commit stays short whoever sends how much. What has been
committed is folded and acknowledged while the next units commit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import structlog

from runwire.v1 import frame_pb2
from runwire_server.domain import frames, writers
from runwire_server.domain.blocks import Points
from runwire_server.domain.frames import Contents
from runwire_server.domain.limits import MAX_FRAME_BYTES, MAX_STREAM_BYTES
from runwire_server.errors import ResourceExhausted, RunwireError
from runwire_server.failpoints import reach
from runwire_server.metrics.frame_stream import FrameStream, Queued
from runwire_server.metrics.pace import Pace
from runwire_server.metrics.suspects import Suspects
from runwire_server.storage.appended import AfterCommit
from runwire_server.storage.writer_base import Applied, Care, OpenWriter, WriterStore

# Unacknowledged bytes of all streams together.
SERVER_BYTES = 64 * 1024 * 1024
# Bytes on their way to storage: about as many as one commit takes. More would not be faster, and everybody
# waits for a commit.
COMMIT_BYTES = 2 * 1024 * 1024
# The least that a stream's turn takes.
QUANTUM = 256 * 1024
# Larger frames are read in a thread, so that other streams do not wait for them.
LARGE_FRAME = 64 * 1024

CheckRoom = Callable[[str, Sequence[Points]], None]

log = structlog.get_logger("runwire.ingest")


class Ingest:
    """Takes in the frames of all streams.

    Attributes:
        queued_bytes: Weight of all frames that are not acknowledged.
        streams: Those that are open.
        frames: How many were stored since it was made.
        rejected: How many records of theirs were rejected.
    """

    def __init__(
        self, store: WriterStore, after_commit: AfterCommit, check_room: CheckRoom, pace: Pace
    ) -> None:
        """Takes its neighbours.

        Args:
            store: Where frames go.
            after_commit: Is told what they have added to runs.
            check_room: Refuses blocks with which a run would have too many series.
            pace: Says how long streams rest between turns.
        """
        self._store = store
        self._check_room = check_room
        self._pace = pace
        self._after_commit = after_commit
        self.queued_bytes = 0
        self.streams: set[FrameStream] = set()
        self.frames = self.rejected = 0
        self._suspects = Suspects()
        self._ready: deque[FrameStream] = deque()
        self._committing_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._stopping = asyncio.Event()

    async def open(self, hello: frame_pb2.Hello) -> FrameStream:
        """Opens a stream of a writer.

        Raises:
            InvalidArgument: INVALID_FIELD.
            FailedPrecondition: WRITER_UNKNOWN, SERVER_BEHIND, WRITER_DIVERGED.
        """
        writers.check_hello(hello)
        return self._opened(await self._store.open(hello))

    async def resume(self, writer_id: str, epoch: int) -> FrameStream:
        """Goes on with a writer that was opened before.

        Raises:
            InvalidArgument: INVALID_FIELD.
            FailedPrecondition: WRITER_UNKNOWN, WRITER_FENCED.
        """
        writers.check_writer_id(writer_id, "writer_id")
        return self._opened(await self._store.resume(writer_id, epoch))

    def _opened(self, writer: OpenWriter) -> FrameStream:
        stream = FrameStream(self, writer)
        self.streams.add(stream)
        return stream

    async def room_for(self, stream: FrameStream, weight: int) -> None:
        """See `Intake.room_for`."""
        while not self._has_room(stream, weight):
            self._room.clear()
            await self._room.wait()

    def _has_room(self, stream: FrameStream, weight: int) -> bool:
        if stream.weight and stream.weight + weight > MAX_STREAM_BYTES:
            return False
        total = self.queued_bytes + weight
        if total <= SERVER_BYTES // 2 or not self.queued_bytes:
            return True
        # The other half is shared out: who brings little finds room, whatever others bring.
        share = SERVER_BYTES // 2 // max(1, len(self.streams))
        return total <= SERVER_BYTES and (not stream.weight or stream.weight + weight <= share)

    def enqueue(self, stream: FrameStream, frame: Queued) -> None:
        """See `Intake.enqueue`."""
        stream.weight += frame.weight
        self.queued_bytes += frame.weight
        stream.queue.append(frame)
        self._make_ready(stream)
        self._take_turns()

    def release(self, stream: FrameStream, weight: int) -> None:
        """See `Intake.release`."""
        stream.weight -= weight
        self.queued_bytes -= weight
        self._room.set()

    async def confirm(self, writer: OpenWriter, through: int) -> None:
        """See `Intake.confirm`."""
        await self._store.confirm(writer, through)

    def left(self, stream: FrameStream) -> None:
        """See `Intake.left`."""
        self.streams.discard(stream)

    def stop(self, error: RunwireError) -> None:
        """Has all streams end with an error, once what they have sent is acknowledged."""
        self._stopping.set()
        for stream in self.streams:
            stream.end(error)

    async def close(self) -> None:
        """Returns once nothing is on its way to storage any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _make_ready(self, stream: FrameStream) -> None:
        if stream.queue and not (stream.waiting or stream.committing or stream.resting):
            stream.waiting = True
            self._ready.append(stream)

    def _take_turns(self) -> None:
        """Starts turns in rotation while there is room for more bytes on their way."""
        while self._ready and self._committing_bytes < COMMIT_BYTES:
            stream = self._ready.popleft()
            stream.waiting = False
            # A frame that was larger than its turn is paid back by the turns after it.
            share = max(QUANTUM, COMMIT_BYTES // (2 * len(self._ready) + 2))
            stream.credit = min(stream.credit, 0) + share
            taken = []
            while stream.queue and stream.credit > 0:
                frame = stream.queue.popleft()
                stream.credit -= frame.weight
                taken.append(frame)
            if taken:
                stream.committing = True
                self._committing_bytes += sum(frame.weight for frame in taken)
                self._start(self._turn(stream, taken))
            else:
                self._make_ready(stream)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _turn(self, stream: FrameStream, taken: list[Queued]) -> None:
        """Stores frames of a stream, then folds and acknowledges them while its next turn is on."""
        weight = sum(frame.weight for frame in taken)
        applied = None
        try:
            part = await self._read(stream, taken)
            after = taken[-1].after
            care = self._care(stream, taken[0])
            applied = await self._store.apply(stream.writer, stream.stored, after, part, care)
            stream.stored = after
            self._suspects.passed(stream.writer.writer_id)
            self.frames += len(taken)
            self.rejected += sum(rejection.records for rejection in applied.rejections)
        except Exception as error:
            self._failed(stream, taken, error)
        turn = stream.following
        if applied is not None:
            stream.following = asyncio.current_task()
            self._rest(stream, sum(frame.weight for frame in taken))
        stream.committing = False
        self._committing_bytes -= weight
        self._make_ready(stream)
        self._take_turns()
        if applied is not None:
            await self._follow(stream, turn, taken, applied)
        stream.settled()

    def _rest(self, stream: FrameStream, weight: int) -> None:
        """Keeps a stream from its next turn for a while, if compaction lags."""
        if (seconds := self._pace.rest(weight, len(self.streams))) and not self._stopping.is_set():
            stream.resting = True
            self._start(self._rested(stream, seconds))

    async def _rested(self, stream: FrameStream, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        stream.resting = False
        self._make_ready(stream)
        self._take_turns()

    def _failed(self, stream: FrameStream, taken: Sequence[Queued], error: Exception) -> None:
        """Ends a stream; after a failure that nobody expected, its frames are tried again with care first."""
        writer_id, first = stream.writer.writer_id, taken[0].after.sequence
        known = isinstance(error, RunwireError)
        if not known and first > stream.careful:
            log.exception("frames are stored with care", writer_id=writer_id)
            stream.careful = taken[-1].after.sequence
            stream.queue.extendleft(reversed(taken))
            return
        if not known:
            self._suspects.failed(writer_id, first)
        self.release(stream, sum(frame.weight for frame in taken))
        stream.fail(error)

    def _care(self, stream: FrameStream, first: Queued) -> Care:
        sequence = first.after.sequence
        if sequence > stream.careful:
            return Care.NONE
        return self._suspects.care(stream.writer.writer_id, sequence)

    async def _read(self, stream: FrameStream, taken: list[Queued]) -> list[Contents]:
        """Reads frames that can be stored together; the others of those taken go back to the queue."""
        if taken[0].after.sequence <= stream.careful:
            self._put_back(stream, taken, 1)
            sequence, writer_id = taken[0].after.sequence, stream.writer.writer_id
            return [self._suspects.read(writer_id, sequence, partial(self._contents, stream, taken[0]))]
        part: list[Contents] = []
        for frame in taken:
            if LARGE_FRAME < len(frame.payload) <= MAX_FRAME_BYTES:
                groups = dict(stream.groups)
                contents = await asyncio.to_thread(frames.read, frame.after.sequence, frame.payload, groups)
                self._check_series(contents)
            else:
                contents = self._contents(stream, frame)
            # One that names a strange group may have to be refused: it is stored apart.
            if part and (contents.undeclared or part[0].undeclared):
                break
            part.append(contents)
        self._put_back(stream, taken, len(part))
        return part

    @staticmethod
    def _put_back(stream: FrameStream, taken: list[Queued], kept: int) -> None:
        """Has all but some first frames wait for the next turn."""
        while len(taken) > kept:
            stream.queue.appendleft(taken.pop())

    def _contents(self, stream: FrameStream, frame: Queued) -> Contents:
        contents = frames.read(frame.after.sequence, frame.payload, stream.groups)
        self._check_series(contents)
        return contents

    def _check_series(self, contents: Contents) -> None:
        """Rejects what would give a run too many series."""
        admitted = []
        for change in contents.changes:
            try:
                self._check_room(change.run_id, change.blocks)
            except ResourceExhausted as error:
                contents.reject(change.run_id, error, change.points)
            else:
                admitted.append(change)
        contents.changes = admitted

    async def _follow(
        self,
        stream: FrameStream,
        turn: asyncio.Task[None] | None,
        done: Sequence[Queued],
        applied: Applied,
    ) -> None:
        """Folds and acknowledges what was stored; each stream's in order."""
        reach("after-commit")
        await self._after_commit(applied.appended)
        reach("after-fold")
        if applied.rejections:
            reach("after-rejection")
        if turn is not None:
            await turn
        self.release(stream, sum(frame.weight for frame in done))
        if stream.stored == done[-1].after:
            stream.following = None
        stream.acknowledge(done[-1].after, applied.rejections)
