"""The server's side of the protocol of frames, as pure decisions; see `MetricService.StreamFrames`.

A writer's state is one row. What comes from its client (a hello, a frame) either makes a new state, or is a
repeat, or raises the error that ends the stream. Storage asks here with what it has stored; streams ask with
what they have received so far.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from runwire.v1 import frame_pb2
from runwire_server.errors import FailedPrecondition, InvalidArgument

WRITER_ID = re.compile(r"[0-9a-f]{32}")
# Ranges that are kept of a writer's rejections; what is beyond is counted.
MAX_REJECTIONS = 1_000

_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Writer:
    """The state of a writer.

    Attributes:
        epoch: The number of the stream that may write.
        sequence: Of the last frame.
        crc: The chained CRC of that frame.
        replayable: Whether its client makes frames again rather than keeping them: CRCs tell nothing.
    """

    epoch: int
    sequence: int = 0
    crc: int = 0
    replayable: bool = False


def chained(previous_crc: int, payload: bytes) -> int:
    """Returns the CRC of a frame, which stands for all frames up to it."""
    return zlib.crc32(payload, zlib.crc32(_CRC.pack(previous_crc)))


def check_hello(hello: frame_pb2.Hello) -> None:
    """Checks what a hello says by itself.

    Raises:
        InvalidArgument: INVALID_FIELD.
    """
    check_writer_id(hello.writer_id, "hello.writer_id")
    if hello.acked_sequence < 0:
        raise InvalidArgument.field("hello.acked_sequence", "must not be negative")


def check_writer_id(writer_id: str, field: str) -> None:
    """Checks the id of a writer.

    Raises:
        InvalidArgument: INVALID_FIELD.
    """
    if WRITER_ID.fullmatch(writer_id) is None:
        raise InvalidArgument.field(field, "must be 32 lower-case hex digits")


def check_confirmed(through: int) -> None:
    """Checks what a client confirms.

    Raises:
        InvalidArgument: INVALID_FIELD.
    """
    if through < 0:
        raise InvalidArgument.field("confirmed_through", "must not be negative")


def opened(stored: Writer | None, hello: frame_pb2.Hello) -> Writer:
    """Answers a hello.

    Args:
        stored: The writer's state, None for one that is new.
        hello: What its client says.

    Returns:
        The new state: the old one, with the next epoch.

    Raises:
        FailedPrecondition: WRITER_UNKNOWN, SERVER_BEHIND, WRITER_DIVERGED.
    """
    acked = hello.acked_sequence
    facts = {"writer_id": hello.writer_id, "acked_sequence": str(acked)}
    if stored is None:
        if acked:
            raise FailedPrecondition(
                "WRITER_UNKNOWN",
                f"writer {hello.writer_id} has {acked} acknowledged frames, and is not known here",
                facts,
            )
        return Writer(1, replayable=hello.replayable)
    if acked > stored.sequence:
        raise FailedPrecondition(
            "SERVER_BEHIND",
            f"writer {hello.writer_id} has {acked} acknowledged frames, this server only {stored.sequence}: "
            "it was restored",
            {**facts, "committed_sequence": str(stored.sequence)},
        )
    if acked and acked == stored.sequence and hello.acked_crc != stored.crc and not hello.replayable:
        raise _diverged(hello.writer_id, acked)
    return replace(stored, epoch=stored.epoch + 1, replayable=hello.replayable)


def received(
    writer_id: str, state: Writer, sequence: int, previous_crc: int, payload: bytes
) -> Writer | None:
    """Answers a frame.

    Args:
        writer_id: The writer.
        state: Its state with all frames before.
        sequence: The frame's.
        previous_crc: What its client has as the chained CRC of the frame before.
        payload: Its bytes.

    Returns:
        The state with the frame; None for a repeat, which changes nothing.

    Raises:
        InvalidArgument: INVALID_FIELD, for a sequence that no frame has.
        FailedPrecondition: FRAME_OUT_OF_ORDER, WRITER_DIVERGED.
    """
    if sequence < 1:
        raise InvalidArgument.field("frame.sequence", "must be 1 or more")
    if sequence > state.sequence + 1:
        raise FailedPrecondition(
            "FRAME_OUT_OF_ORDER",
            f"frame {sequence} came where frame {state.sequence + 1} is the next one",
            {"sequence": str(sequence), "expected_sequence": str(state.sequence + 1)},
        )
    if sequence <= state.sequence:
        # Of older frames nothing is known to compare with.
        same = sequence < state.sequence or state.replayable
        if not same and chained(previous_crc, payload) != state.crc:
            raise _diverged(writer_id, sequence)
        return None
    if previous_crc != state.crc and not state.replayable:
        raise _diverged(writer_id, state.sequence)
    return Writer(state.epoch, sequence, chained(previous_crc, payload), state.replayable)


def fenced(writer_id: str, epoch: int | None) -> FailedPrecondition:
    """Makes WRITER_FENCED.

    Args:
        writer_id: The writer.
        epoch: The newer one, None where it is not known.
    """
    facts = {"writer_id": writer_id} | ({} if epoch is None else {"epoch": str(epoch)})
    return FailedPrecondition(
        "WRITER_FENCED", f"a newer stream of writer {writer_id} has taken over from this one", facts
    )


def unknown(writer_id: str) -> FailedPrecondition:
    """Makes WRITER_UNKNOWN for a writer that has said hello before."""
    return FailedPrecondition(
        "WRITER_UNKNOWN", f"this server does not know writer {writer_id}", {"writer_id": writer_id}
    )


def _diverged(writer_id: str, sequence: int) -> FailedPrecondition:
    return FailedPrecondition(
        "WRITER_DIVERGED",
        f"writer {writer_id} has another frame {sequence} than this server: its spool was used twice",
        {"writer_id": writer_id, "sequence": str(sequence)},
    )


# What rejections are kept by: run id and reason.
RejectionKey = tuple[str, str]
# Beyond MAX_REJECTIONS, all others are one.
_OTHERS: RejectionKey = ("", "LIMIT_EXCEEDED")


def noted(
    kept: Mapping[RejectionKey, frame_pb2.Rejection], fresh: Iterable[frame_pb2.Rejection]
) -> dict[RejectionKey, frame_pb2.Rejection]:
    """Adds rejections to those that a writer has kept.

    Args:
        kept: Those so far.
        fresh: Those of new frames, in order.

    Returns:
        Those that are new or changed.
    """
    changed: dict[RejectionKey, frame_pb2.Rejection] = {}
    room = MAX_REJECTIONS - len(kept)
    for rejection in fresh:
        key = (rejection.run_id, rejection.reason)
        known = changed.get(key) or kept.get(key)
        if known is not None:
            changed[key] = joined(known, rejection)
        elif room > 0:
            changed[key] = rejection
            room -= 1
        else:
            others = _other(rejection)
            known = changed.get(_OTHERS) or kept.get(_OTHERS)
            changed[_OTHERS] = others if known is None else joined(known, others)
    return changed


def _other(rejection: frame_pb2.Rejection) -> frame_pb2.Rejection:
    """Makes what is left of a rejection for which there is no room."""
    run_id, reason = _OTHERS
    return frame_pb2.Rejection(
        run_id=run_id,
        reason=reason,
        message=f"of further runs or for further reasons, and only {MAX_REJECTIONS} are kept apart",
        metadata={"limit": "rejections", "max": str(MAX_REJECTIONS)},
        first_sequence=rejection.first_sequence,
        last_sequence=rejection.last_sequence,
        records=rejection.records,
        points=rejection.points,
    )


def joined(first: frame_pb2.Rejection, second: frame_pb2.Rejection) -> frame_pb2.Rejection:
    """Joins a rejection with a later one of the same run and reason."""
    both = frame_pb2.Rejection()
    both.CopyFrom(first)
    both.last_sequence = second.last_sequence
    both.records += second.records
    both.points += second.points
    return both
