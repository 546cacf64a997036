"""What flush, close and end_run raise when something that was logged did not arrive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runwire import errors
from runwire._delivery import Lane
from runwire.v1 import frame_pb2

_CLASSES: Final[dict[str, type[errors.RunwireError]]] = {
    "EXPERIMENT_NOT_FOUND": errors.NotFound,
    "INTERNAL": errors.InternalError,
    "INVALID_FIELD": errors.InvalidArgument,
    "LIMIT_EXCEEDED": errors.ResourceExhausted,
    "MALFORMED_MESSAGE": errors.InvalidArgument,
    "MESSAGE_TOO_LARGE": errors.ResourceExhausted,
    "RUN_EXISTS": errors.AlreadyExists,
    "RUN_NOT_FOUND": errors.NotFound,
}
_SHOWN: Final = 5


def lost(rejections: Sequence[frame_pb2.Rejection], ended: Sequence[Lane]) -> errors.RunwireError:
    """Makes the error of what is lost, or waits for a person.

    Args:
        rejections: What the server rejected.
        ended: Writers that could not go on.

    Returns:
        An error of the class of the first: what the RPC of the same meaning would raise.
    """
    sentences = [_ended(lane) for lane in ended] + [told(one) for one in rejections]
    more = len(sentences) - _SHOWN
    message = "; ".join(sentences[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
    if ended:
        first = ended[0].over
        assert first is not None
        metadata = {**first.metadata, "spool": str(ended[0].spool.folder)}
        return errors.FailedPrecondition(message, reason=first.reason, metadata=metadata)
    top = rejections[0]
    kind = _CLASSES.get(top.reason, errors.FailedPrecondition)
    metadata = {**top.metadata, "run_id": top.run_id} if top.run_id else dict(top.metadata)
    field = metadata.get("field")
    violations = [errors.Violation(field, top.message)] if field else []
    return kind(message, reason=top.reason, metadata=metadata, violations=violations)


def told(rejection: frame_pb2.Rejection) -> str:
    """Says in a sentence what was rejected."""
    what = _counted(rejection.records, "record")
    if rejection.points:
        what += f" with {_counted(rejection.points, 'metric point')}"
    run = f" of run {rejection.run_id}" if rejection.run_id else ""
    return f"the server rejected {what}{run}: {rejection.message} ({rejection.reason})"


def _ended(lane: Lane) -> str:
    error, spool = lane.over, lane.spool
    assert error is not None
    are, they, them = ("is", "It is", "it") if spool.undelivered == 1 else ("are", "They are", "them")
    return (
        f"{_counted(spool.undelivered, 'frame')} {are} not delivered: {error.message} ({error.reason}). "
        f"{they} kept in {spool.folder}; `runwire sync --as-new-writer {spool.folder}` delivers {them}"
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def undelivered(
    cause: errors.RunwireError | None,
    address: str,
    waited: float,
    frames: int,
    where: Path,
    stuck: str,
) -> errors.RunwireError:
    """Makes the error of what could not be delivered in time.

    Args:
        cause: How the last attempt failed; None if there was none.
        address: The server.
        waited: Seconds.
        frames: How many frames wait in the spool.
        where: The spool.
        stuck: Why the spool takes no more; empty if it does.

    Returns:
        The error.
    """
    wait, them = ("waits", "it") if frames == 1 else ("wait", "them")
    rest = ""
    if frames:
        rest += (
            f". {_counted(frames, 'frame')} {wait} in {where}; `runwire sync {where}` delivers {them} later"
        )
    if stuck:
        told = cause is not None and cause.message == stuck
        rest += ". What was logged last is in memory only" + ("" if told else f": {stuck}")
    if isinstance(cause, errors.ServerUnavailable) and not isinstance(cause, errors.LocalServerFailed):
        text = " ".join(cause.message.split())
        return errors.ServerUnavailable(
            f"no Runwire server answers at {address} ({waited:.1f} s). Start one with `runwire server`, or "
            f"name another with RUNWIRE_TRACKING_URI{rest}. gRPC says: {text}",
            metadata={"address": address, "spool": str(where)},
        )
    if cause is not None:
        return type(cause)(
            f"{cause.message}{rest}",
            reason=cause.reason,
            metadata={**cause.metadata, "spool": str(where)},
            retry_delay=cause.retry_delay,
        )
    return errors.DeadlineExceeded(
        f"not everything was delivered to {address} within {waited:.1f} s{rest}",
        metadata={"address": address, "spool": str(where)},
    )
