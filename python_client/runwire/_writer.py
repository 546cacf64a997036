"""The client's side of the protocol of frames: a state machine, without I/O and without a clock.

It knows which frames were cut, sent and acknowledged, never what is in them. Whoever drives it keeps the
frames (the spool), carries the messages, and asks it what is next. `StreamFrames` in `metric.proto` is
the protocol.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from runwire.v1 import frame_pb2

# Reasons after which a writer is over: what it holds has to be set aside. WRITER_FENCED is none: a writer's
# own hello may fence it, from a connection that was given up and whose bytes still arrive.
FINAL: Final = frozenset({"SERVER_BEHIND", "WRITER_UNKNOWN", "WRITER_DIVERGED"})

# Bounds the memory of what is on its way where frames are tiny.
_MOST_IN_FLIGHT: Final = 16_384


class Mark(NamedTuple):
    """A place in a writer's history: a frame's sequence, and the chained CRC of all frames up to it."""

    sequence: int
    crc: int


START: Final = Mark(0, 0)


class Disagreement(Exception):
    """The server and this writer hold two histories.

    Attributes:
        reason: Name of the `ErrorReason`.
        message: A sentence for a person.
    """

    def __init__(self, reason: str, message: str) -> None:
        """Makes the error."""
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Cut:
    """A frame that was cut.

    Attributes:
        sequence: Its place.
        previous_crc: The chained CRC of the frame before it.
        crc: Its own.
    """

    sequence: int
    previous_crc: int
    crc: int


class _Flying(NamedTuple):
    sequence: int
    crc: int
    size: int


def chained(previous_crc: int, payload: bytes) -> int:
    """Computes the chained CRC of a frame.

    Args:
        previous_crc: That of the frame before it; 0 for the first.
        payload: The frame's payload.

    Returns:
        The CRC, which stands for all frames up to this one.
    """
    return zlib.crc32(payload, zlib.crc32(previous_crc.to_bytes(4, "little")))


class Writer:
    """One writer, as its client sees it.

    Attributes:
        writer_id: Its id.
        replayable: Whether it makes its frames again instead of keeping them.
        cut: The last frame that was cut.
        acked: The last one that is known to be on the server's disk.
        sent: The last one that was sent on this stream, or that needs not be sent.
        confirm: All rejections up to this sequence are noted, which the server has yet to be told; 0 if
            there is nothing to tell.
    """

    def __init__(
        self, writer_id: str, *, acked: Mark = START, cut: Mark = START, replayable: bool = False
    ) -> None:
        """Takes a writer up.

        Args:
            writer_id: Its id.
            acked: The last frame that is known to be acknowledged.
            cut: The last frame that was cut.
            replayable: Whether it makes its frames again instead of keeping them.
        """
        self.writer_id = writer_id
        self.replayable = replayable
        self.cut = cut
        self.acked = acked
        self.sent = acked.sequence
        self.confirm = 0
        self._open = False
        self._window = 0
        self._flying: deque[_Flying] = deque()
        self._bytes = 0
        self._noted: dict[tuple[str, str], int] = {}

    @property
    def pending(self) -> int:
        """How many frames are cut and not acknowledged."""
        return max(0, self.cut.sequence - self.acked.sequence)

    @property
    def is_open(self) -> bool:
        """Whether the server has welcomed the writer on this stream."""
        return self._open

    def cut_frame(self, payload: bytes) -> Cut:
        """Gives the next frame its place.

        Args:
            payload: What it says, for good.

        Returns:
            The frame's place.
        """
        made = Cut(self.cut.sequence + 1, self.cut.crc, chained(self.cut.crc, payload))
        self.cut = Mark(made.sequence, made.crc)
        return made

    def hello(self) -> frame_pb2.Hello:
        """Opens a new stream: what was sent and not acknowledged counts as unsent.

        Returns:
            What to say first.
        """
        self.lost()
        return frame_pb2.Hello(
            writer_id=self.writer_id,
            acked_sequence=self.acked.sequence,
            acked_crc=self.acked.crc,
            replayable=self.replayable,
        )

    def lost(self) -> None:
        """Notes that the stream is over."""
        self._open = False
        self._flying.clear()
        self._bytes = 0
        self.sent = self.acked.sequence

    def welcomed(self, welcome: frame_pb2.Welcome, crc_at: Callable[[int], int | None]) -> None:
        """Takes the server's answer to hello.

        Args:
            welcome: The answer.
            crc_at: Tells the chained CRC of a frame that was cut; None where it is not known any more.

        Raises:
            Disagreement: The server's history is not this writer's.
        """
        there = Mark(welcome.committed_sequence, welcome.committed_crc)
        if there.sequence < self.acked.sequence:
            raise Disagreement(
                "SERVER_BEHIND",
                f"the server has frames up to {there.sequence} of this writer and had acknowledged "
                f"{self.acked.sequence}: it was restored from a backup",
            )
        if not self.replayable:
            self._compare(there, crc_at)
        self.acked = there
        self.sent = there.sequence
        self._window = welcome.window_bytes
        self._open = True

    def _compare(self, there: Mark, crc_at: Callable[[int], int | None]) -> None:
        if there.sequence > self.cut.sequence:
            raise Disagreement(
                "WRITER_DIVERGED",
                f"the server has frames of this writer up to {there.sequence}, and only "
                f"{self.cut.sequence} were cut here: a copy of the spool was used elsewhere, or its last "
                "part was lost with the machine",
            )
        known = self._known(there.sequence, crc_at)
        if known is not None and known != there.crc:
            raise Disagreement(
                "WRITER_DIVERGED",
                f"the server has another frame {there.sequence} of this writer than was cut here: a copy of "
                "the spool was used elsewhere",
            )

    def _known(self, sequence: int, crc_at: Callable[[int], int | None]) -> int | None:
        for mark in (START, self.acked, self.cut):
            if mark.sequence == sequence:
                return mark.crc
        return crc_at(sequence)

    def may_send(self, size: int) -> bool:
        """Says whether the next frame may go out now.

        Args:
            size: Bytes of its payload.

        Returns:
            Whether the stream is open and the window has room; one frame alone always fits.
        """
        if not self._open or self.sent >= self.cut.sequence:
            return False
        if not self._flying:
            return True
        return self._bytes + size <= self._window and len(self._flying) < _MOST_IN_FLIGHT

    def sending(self, sequence: int, crc: int, size: int) -> None:
        """Notes that a frame goes out.

        Args:
            sequence: Its place, the one behind `sent`.
            crc: Its chained CRC.
            size: Bytes of its payload.
        """
        self.sent = sequence
        self._flying.append(_Flying(sequence, crc, size))
        self._bytes += size

    def acknowledged(self, ack: frame_pb2.Ack) -> None:
        """Takes an acknowledgement.

        Args:
            ack: What the server has on disk.

        Raises:
            Disagreement: It acknowledges what was not sent, or other bytes.
        """
        if ack.sequence > self.sent:
            raise Disagreement(
                "WRITER_DIVERGED",
                f"the server acknowledged frame {ack.sequence}, and {self.sent} was the last one sent",
            )
        while self._flying and self._flying[0].sequence <= ack.sequence:
            frame = self._flying.popleft()
            self._bytes -= frame.size
            if frame.sequence == ack.sequence and frame.crc != ack.crc and not self.replayable:
                raise Disagreement(
                    "WRITER_DIVERGED", f"the server acknowledged another frame {ack.sequence} than was sent"
                )
        if ack.sequence > self.acked.sequence:
            self.acked = Mark(ack.sequence, ack.crc)

    def news(self, rejections: Iterable[frame_pb2.Rejection]) -> list[frame_pb2.Rejection]:
        """Picks the rejections that were not noted before; a welcome repeats those of a lost ack.

        Args:
            rejections: What a welcome or an ack tells.

        Returns:
            Those that are new: note them durably, then call `noted`.
        """
        return [one for one in rejections if one.last_sequence > self._noted.get((one.run_id, one.reason), 0)]

    def noted(self, rejections: Iterable[frame_pb2.Rejection]) -> None:
        """Notes that rejections are on this side's disk, so that the server may forget them.

        Args:
            rejections: All that a welcome or an ack told, new or not.
        """
        for one in rejections:
            place = (one.run_id, one.reason)
            self._noted[place] = max(self._noted.get(place, 0), one.last_sequence)
            self.confirm = max(self.confirm, one.last_sequence)

    def take_confirmation(self) -> int:
        """Returns what to send as `confirmed_through`, once; 0 if there is nothing to send."""
        told, self.confirm = self.confirm, 0
        return told
