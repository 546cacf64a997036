"""What a failed call raises.

One base class, one subclass for each gRPC status code, and one more for a server that is not there:

    RunwireError
     |-- Aborted                other writers kept getting in the way; nothing was stored
     |-- AlreadyExists          a name or an id is taken
     |-- Cancelled              the call was cancelled
     |-- DataLoss               stored data is damaged
     |-- DeadlineExceeded       no answer within the call's time
     |-- FailedPrecondition     the thing is not in a state that allows this
     |-- InternalError          a bug or a damaged database on the server
     |-- InvalidArgument        a field breaks a rule; see `violations`
     |-- NotFound               there is no such experiment, run or tag
     |-- OutOfRange             a position lies outside of what exists
     |-- PermissionDenied       the caller may not do this
     |-- ResourceExhausted      a message is too large, or a disk is full
     |-- Unauthenticated        the token is missing or wrong
     |-- Unavailable            the server or its database can not serve right now
     |    `-- ServerUnavailable     nothing answers at the address
     |         `-- LocalServerFailed     a folder has no server, and none could be started
     |-- Unimplemented          the server does not know the method
     `-- UnknownError           the server gave no reason

Branch on the class, or on `reason`: a name of `ErrorReason` in `runwire/v1/error.proto`, such as
`PARAM_IMMUTABLE`. Wrong Python types raise TypeError or ValueError at the call, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Cancelled",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "InternalError",
    "InvalidArgument",
    "LocalServerFailed",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "ResourceExhausted",
    "RunwireError",
    "ServerUnavailable",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "UnknownError",
    "Violation",
    "class_for_code",
]


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that breaks a rule.

    Attributes:
        field: Path of the field in the request, such as `params[3].key`.
        description: The rule that it breaks, in one sentence.
    """

    field: str
    description: str


class RunwireError(Exception):
    """A call that failed; the base of every error that a server or the way to it causes.

    Attributes:
        code: Name of the gRPC status code, such as `NOT_FOUND`.
        message: The server's sentence for a person.
        reason: Name of an `ErrorReason`, such as `RUN_NOT_FOUND`; empty if the failure carried none.
        metadata: What the reason speaks of, such as `{"run_id": "0198..."}`.
        violations: The fields that break a rule; empty but for InvalidArgument.
        retry_delay: Seconds after which the server says that a retry may help; None if it does not.
    """

    code: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_delay: float | None = None,
    ) -> None:
        """Makes the error.

        Args:
            message: The sentence for a person.
            reason: Name of an `ErrorReason`, or empty.
            metadata: What the reason speaks of.
            violations: The fields that break a rule.
            retry_delay: Seconds after which a retry may help.
        """
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_delay = retry_delay

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments are lost by the default; worker processes send errors by pickle.
        return type(self), (self.message,), self.__dict__


class Aborted(RunwireError):
    """Other transactions kept getting in the way; nothing was stored."""

    code = "ABORTED"


class AlreadyExists(RunwireError):
    """A name or an id is taken."""

    code = "ALREADY_EXISTS"


class Cancelled(RunwireError):
    """The call was cancelled."""

    code = "CANCELLED"


class DataLoss(RunwireError):
    """Stored data is damaged."""

    code = "DATA_LOSS"


class DeadlineExceeded(RunwireError):
    """No answer came within the call's time. The call may or may not have been applied."""

    code = "DEADLINE_EXCEEDED"


class FailedPrecondition(RunwireError):
    """The experiment, run or param is not in a state that allows the call."""

    code = "FAILED_PRECONDITION"


class InternalError(RunwireError):
    """A bug or a damaged database; the server's log has the story."""

    code = "INTERNAL"


class InvalidArgument(RunwireError):
    """A field breaks a rule; `violations` names each."""

    code = "INVALID_ARGUMENT"


class NotFound(RunwireError):
    """There is no such experiment, run or tag."""

    code = "NOT_FOUND"


class OutOfRange(RunwireError):
    """A position lies outside of what exists."""

    code = "OUT_OF_RANGE"


class PermissionDenied(RunwireError):
    """The caller may not do this."""

    code = "PERMISSION_DENIED"


class ResourceExhausted(RunwireError):
    """The message is too large, or the server's disk is full."""

    code = "RESOURCE_EXHAUSTED"


class Unauthenticated(RunwireError):
    """The token is missing or wrong."""

    code = "UNAUTHENTICATED"


class Unavailable(RunwireError):
    """The server or its database can not serve right now. The call may or may not have been applied."""

    code = "UNAVAILABLE"


class ServerUnavailable(Unavailable):
    """Nothing answers at the address, or the connection broke and did not come back."""


class LocalServerFailed(ServerUnavailable):
    """The address is a folder that has no server, and none could be started; the message says why."""


class Unimplemented(RunwireError):
    """The server does not know the method; it may be older than the client."""

    code = "UNIMPLEMENTED"


class UnknownError(RunwireError):
    """The server failed without saying how."""

    code = "UNKNOWN"


def class_for_code(code: str) -> type[RunwireError]:
    """Finds the class of a gRPC status code.

    Args:
        code: The code's name, such as `NOT_FOUND`.

    Returns:
        The class; UnknownError for a code that has none.
    """
    found = {subclass.code: subclass for subclass in RunwireError.__subclasses__()}
    return found.get(code, UnknownError)
