"""The thread that carries frames to the server: one stream, opened again whenever it breaks."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import grpc

from runwire import errors
from runwire._calls import backoff
from runwire._channel import Settings
from runwire._link import Link
from runwire._segments import Stored
from runwire._spool import Spool
from runwire._status import from_rpc_error
from runwire._stderr import say
from runwire._threads import join
from runwire._writer import FINAL, Disagreement, Writer
from runwire.v1 import frame_pb2, metric_pb2

# A stream whose frames are not acknowledged for so long is cut and opened again: the way may be a black hole.
_SILENCE: Final = 30.0
_FORK_PATIENCE: Final = 5.0
# Being away for less is not worth a word to the user.
_PATIENCE: Final = 5.0
# Runs that one call may name.
_MOST_BEATS: Final = 1000
_REFUSALS: Final = (
    errors.Unauthenticated,
    errors.PermissionDenied,
    errors.Unimplemented,
    errors.InvalidArgument,
    errors.LocalServerFailed,
)

Request = metric_pb2.StreamFramesRequest


class Lane:
    """One writer with its spool. A client has one, and a new one when the writer is over.

    Attributes:
        spool: The frames.
        writer: The protocol's state.
        over: Why the writer can not go on; None as long as it can.
    """

    def __init__(self, spool: Spool) -> None:
        """Takes up a spool."""
        self.spool = spool
        self.writer = Writer(spool.writer_id, acked=spool.acked, cut=spool.cut)
        self.over: errors.RunwireError | None = None


class _Stream:
    """One stream, from hello to its end."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.over = False
        self.silent = False
        self.call: Any = None
        self.next: Stored | None = None
        self.declared: set[bytes] = set()


class Delivery:
    """Carries the frames of lanes.

    Attributes:
        reached: Whether the server has ever welcomed this client.
        away: How the last stream failed, while it is not mended.
        refusal: An error that a repeat will not heal, as a wrong token; None if there is none.
        rejections: What the server rejected, and nobody was told of yet.
        ended: Writers that are over, and nobody was told of yet.
    """

    def __init__(self, given: Settings, guard: threading.Condition) -> None:
        """Makes the delivery; `start` starts it.

        Args:
            given: The client's settings.
            guard: Guards lanes and writers; notified whenever something changes.
        """
        self._given = given
        self._guard = guard
        self._link = Link(given)
        self._stub: Any = None
        self._opening = threading.Lock()
        self._forking = False
        self._stream: _Stream | None = None
        self._lane: Lane | None = None
        self._due: list[str] = []
        self._stopping = False
        self._failures = 0
        self._away_since = 0.0
        self._told = False
        self._progress = 0.0
        self._hurried = False
        # When the attempt began that failed last.
        self._tried = 0.0
        self._thread = threading.Thread(target=self._run, name="runwire-delivery", daemon=True)
        self.reached = False
        self.away: errors.RunwireError | None = None
        self.refusal: errors.RunwireError | None = None
        self.rejections: list[frame_pb2.Rejection] = []
        self.ended: list[Lane] = []

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def carry(self, lane: Lane) -> None:
        """Says whose frames to carry; the guard is held."""
        self._lane = lane
        self._guard.notify_all()

    def stop(self, timeout: float) -> None:
        """Ends the stream and the thread.

        Args:
            timeout: Most seconds to wait for it.
        """
        with self._guard:
            self._stopping = True
            stream = self._stream
            self._guard.notify_all()
        if stream is not None and stream.call is not None:
            stream.call.cancel()
        join(self._thread, timeout)
        self._link.close()

    def before_fork(self) -> None:
        """Waits until nothing is being opened: that imports modules, whose locks a child would inherit."""
        self._forking = self._opening.acquire(timeout=_FORK_PATIENCE)

    def after_fork(self) -> None:
        """Goes on in the parent."""
        if self._forking:
            self._opening.release()

    def watch(self) -> None:
        """Cuts a stream on which nothing was acknowledged for long; called from time to time."""
        with self._guard:
            stream = self._stream
            if stream is None or stream.call is None:
                return
            writer = stream.lane.writer
            waiting = not writer.is_open or writer.sent > writer.acked.sequence
            if not waiting or time.monotonic() - self._progress < _SILENCE:
                return
            stream.silent = True
        stream.call.cancel()

    def given_up(self, start: float, now: float) -> errors.RunwireError | None:
        """Says whether there is no hope for who waits; the guard is held.

        To be asked again and again: it may have found that the pause before the next stream is too long.

        Args:
            start: Since when he waits, by the monotonic clock.
            now: The time, by the same clock.

        Returns:
            How it failed; None while there is hope.
        """
        if self.refusal is not None:
            return self.refusal
        never = not self.reached and isinstance(self.away, errors.ServerUnavailable)
        if self._given.address.folder is not None:
            # One that does not answer yet is being started, or replaced.
            never = isinstance(self.away, errors.LocalServerFailed)
        enough = start + self._given.retry.connect_timeout
        if not never or now <= enough:
            return None
        if self._tried > enough:
            return self.away
        # One last attempt: the server may have come since the one before, whose pause may be long, or which
        # failed only because all stood still.
        if not self._hurried:
            self._hurried = True
            self._guard.notify_all()
        return None

    def heartbeat(self, run_ids: list[str]) -> None:
        """Says that runs are alive, without waiting for an answer; no stream need be open."""
        with self._guard:
            if self._stream is None:
                # Finding the server may take a while.
                self._due = run_ids
                self._guard.notify_all()
            elif self.away is None:
                self._say_alive(run_ids)

    def _say_alive(self, run_ids: list[str]) -> None:
        # Once it stops, the channel may be closed at any moment.
        if self._stub is None or self._stopping:
            return
        for first in range(0, len(run_ids), _MOST_BEATS):
            request = metric_pb2.HeartbeatRequest(run_ids=run_ids[first : first + _MOST_BEATS])
            call = self._stub.Heartbeat.future(request, timeout=10.0, metadata=self._given.metadata)
            call.add_done_callback(self._beaten)

    def _beaten(self, call: Any) -> None:
        if call.code() is grpc.StatusCode.UNAVAILABLE:
            self._link.lost()

    def _run(self) -> None:
        while True:
            with self._guard:
                while not (self._stopping or self._needed() or self._due):
                    self._guard.wait()
                if self._stopping:
                    return
                due, self._due = self._due, []
                lane = self._lane if self._needed() else None
            if lane is None:
                self._beat(due)
                continue
            began = time.monotonic()
            error = self._carry(lane)
            if error is not None:
                self._pause(error, began)

    def _beat(self, run_ids: list[str]) -> None:
        """Finds the server while there is nothing to carry, and says that runs are alive."""
        # The thread lives on whatever happens: the next beat tries again.
        with contextlib.suppress(Exception):
            with self._opening:
                self._stub = self._link.stubs(self._given.timeout)["MetricService"]
            with self._guard:
                self._say_alive(run_ids)

    def _needed(self) -> bool:
        lane = self._lane
        return lane is not None and lane.over is None and lane.writer.pending > 0

    def _carry(self, lane: Lane) -> errors.RunwireError | None:
        """Runs one stream to its end; returns how it failed."""
        stream = _Stream(lane)
        try:
            with self._opening:
                stub = self._stub = self._link.stubs(self._given.timeout)["MetricService"]
                with self._guard:
                    self._stream = stream
                    self._progress = time.monotonic()
                stream.call = stub.StreamFrames(self._requests(stream), metadata=self._given.metadata)
            for response in stream.call:
                with self._guard:
                    self._take(lane, response)
            return None
        except grpc.RpcError as failed:
            # Also where another error is told: it lets go of the stream.
            error = from_rpc_error(failed)
            if stream.silent:
                return errors.Unavailable(f"nothing was acknowledged for {_SILENCE:.0f} s")
            return error
        except Disagreement as disagreement:
            stream.call.cancel()
            return errors.FailedPrecondition(disagreement.message, reason=disagreement.reason)
        # The thread lives on whatever happens: who waits for a delivery is told of it when his time is over.
        except Exception as error:
            if stream.call is not None:
                stream.call.cancel()
            return error if isinstance(error, errors.RunwireError) else errors.Unavailable(repr(error))
        finally:
            with self._guard:
                stream.over = True
                self._stream = None
                lane.writer.lost()
                self._guard.notify_all()

    def _take(self, lane: Lane, response: metric_pb2.StreamFramesResponse) -> None:
        writer = lane.writer
        self._progress = time.monotonic()
        if response.HasField("welcome"):
            welcome = response.welcome
            writer.welcomed(welcome, lane.spool.crc_at)
            self._back()
            rejections = welcome.rejections
        else:
            writer.acknowledged(response.ack)
            self._failures = 0
            rejections = response.ack.rejections
        # First, because it frees disk.
        lane.spool.acknowledge(writer.acked)
        self._reject(lane, rejections)
        self._guard.notify_all()

    def _reject(self, lane: Lane, rejections: Any) -> None:
        if not rejections:
            return
        news = lane.writer.news(rejections)
        self.rejections.extend(one for one in news if one not in self.rejections)
        # On a full disk they are in memory only, and with the server, which is not told that it may forget.
        with contextlib.suppress(OSError):
            lane.spool.notes.note(news)
            lane.writer.noted(rejections)

    def _requests(self, stream: _Stream) -> Iterator[Request]:
        """Says what there is to say, on a thread of gRPC's."""
        with self._guard:
            hello = stream.lane.writer.hello()
        yield Request(hello=hello)
        while True:
            with self._guard:
                while True:
                    if stream.over or self._stopping or stream.lane is not self._lane:
                        return
                    said = self._next(stream)
                    if said:
                        break
                    self._guard.wait()
            yield from said

    def _next(self, stream: _Stream) -> list[Request]:
        writer = stream.lane.writer
        if not writer.is_open:
            return []
        confirmed = writer.take_confirmation()
        if confirmed:
            return [Request(confirmed_through=confirmed)]
        if stream.next is None and writer.sent < writer.cut.sequence:
            stream.next = stream.lane.spool.take(writer.sent + 1)
        frame = stream.next
        if frame is None or not writer.may_send(len(frame.payload)):
            return []
        if writer.sent == writer.acked.sequence:
            # The silence before the first frame was nobody's fault.
            self._progress = time.monotonic()
        stream.next = None
        writer.sending(frame.sequence, frame.crc, len(frame.payload))
        new = [group for group in frame.groups if group.hash not in stream.declared]
        stream.declared.update(group.hash for group in new)
        message = frame_pb2.Frame(
            sequence=frame.sequence, previous_crc=frame.previous_crc, payload=frame.payload
        )
        return [*(Request(declare=group) for group in new), Request(frame=message)]

    def _pause(self, error: errors.RunwireError, began: float) -> None:
        """Decides what follows a stream that began then and failed, and waits."""
        with self._guard:
            lane = self._lane
            assert lane is not None
            if self._stopping:
                return
            if error.reason in FINAL:
                self._set_aside(lane, error)
                return
            self._failures += 1
            self.away, self._tried = error, began
            self._hurried = False
            self.refusal = error if isinstance(error, _REFUSALS) else None
            if isinstance(error, errors.ServerUnavailable):
                self._say_away(lane)
            pause = random.uniform(0, backoff(self._given.retry, self._failures)) + (error.retry_delay or 0)
            deadline = time.monotonic() + pause
            self._guard.notify_all()
            while not (self._stopping or self._hurried) and (left := deadline - time.monotonic()) > 0:
                self._guard.wait(left)
        if isinstance(error, errors.Unavailable):
            self._link.lost(anew=not self.reached)

    def _set_aside(self, lane: Lane, error: errors.RunwireError) -> None:
        delivered = error.metadata.get("committed_sequence", "")
        known = int(delivered) if delivered.isdecimal() else 0
        if error.reason == "WRITER_DIVERGED":
            known = lane.writer.acked.sequence
        lane.spool.set_aside(error.reason, error.message, known)
        lane.over = error
        self.ended.append(lane)
        self._lane = None
        self._guard.notify_all()

    def _say_away(self, lane: Lane) -> None:
        now = time.monotonic()
        if self._failures == 1:
            self._away_since = now
        elif not self._told and now - self._away_since > _PATIENCE:
            self._told = True
            say(
                f"no answer from {self._given.address.text}; what is logged waits in {lane.spool.folder} "
                "and is sent when the server is back"
            )

    def _back(self) -> None:
        self.reached = True
        self.away = self.refusal = None
        if self._told:
            self._told = False
            say(f"{self._given.address.text} is back; sending what waited")
