"""The server's exceptions: each carries its gRPC code, its reason and the facts a program needs.

Raised by domain and storage, turned into a rich status in one place (`interceptors.py`). Nothing
here knows gRPC; the codes are its numbers all the same, so that the mapping is a cast.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_VIOLATIONS = 20


class Code(enum.IntEnum):
    """The gRPC status codes that this server answers with, by their wire numbers."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(frozen=True)
class Violation:
    """One broken rule of one field, named by its path (`params[3].key`)."""

    field: str
    description: str


class RunwireError(Exception):
    """A failure that the caller is told about.

    Attributes:
        code: The gRPC code.
        reason: Name of the `ErrorReason`, without its prefix.
        metadata: What `ErrorInfo.metadata` shall hold.
        violations: The broken fields, for INVALID_ARGUMENT.
        retry_after: Seconds to wait before the same call may work, or None when it will not.
    """

    code = Code.INTERNAL

    def __init__(
        self,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
        *,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after = retry_after


class InvalidArgument(RunwireError):
    """The request can never work as it is."""

    code = Code.INVALID_ARGUMENT

    @classmethod
    def of(cls, violations: Sequence[Violation], reason: str = "INVALID_FIELD") -> InvalidArgument:
        """Makes the error for a non-empty list of violations, of which it shows the first 20."""
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        return cls(
            reason,
            f"{first.field}: {first.description}{more}",
            {"field": first.field},
            violations=violations[:MAX_VIOLATIONS],
        )

    @classmethod
    def field(
        cls,
        field: str,
        description: str,
        reason: str = "INVALID_FIELD",
        metadata: Mapping[str, str] | None = None,
    ) -> InvalidArgument:
        """Makes the error for one field."""
        return cls(
            reason,
            f"{field}: {description}",
            {"field": field, **(metadata or {})},
            violations=[Violation(field, description)],
        )


class NotFound(RunwireError):
    """What the request names is not there."""

    code = Code.NOT_FOUND


class AlreadyExists(RunwireError):
    """What the request would create is there already."""

    code = Code.ALREADY_EXISTS


class FailedPrecondition(RunwireError):
    """The request is sound, but not in the present state."""

    code = Code.FAILED_PRECONDITION


class ResourceExhausted(RunwireError):
    """A limit or the disk is used up."""

    code = Code.RESOURCE_EXHAUSTED


class Aborted(RunwireError):
    """Other transactions kept getting in the way."""

    code = Code.ABORTED


class Unavailable(RunwireError):
    """Not now; the same call may work later."""

    code = Code.UNAVAILABLE


class Unauthenticated(RunwireError):
    """The caller did not say who it is."""

    code = Code.UNAUTHENTICATED


class Unimplemented(RunwireError):
    """There is no such method."""

    code = Code.UNIMPLEMENTED


class StartupError(Exception):
    """The server can not start; the message is for the person at the terminal.

    Attributes:
        exit_code: What the process shall exit with.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def experiment_not_found(**by: str) -> NotFound:
    """Makes EXPERIMENT_NOT_FOUND for `experiment_id=` or `name=`."""
    ((what, value),) = by.items()
    noun = "id" if what == "experiment_id" else "name"
    return NotFound(
        "EXPERIMENT_NOT_FOUND", f"no experiment has the {noun} {shorten(value)!r}", {what: shorten(value)}
    )


def run_not_found(run_id: str) -> NotFound:
    """Makes RUN_NOT_FOUND."""
    return NotFound("RUN_NOT_FOUND", f"no run has the id {run_id!r}", {"run_id": run_id})


def shorten(text: str, length: int = 200) -> str:
    """Cuts a text for an error message, marking the cut, so that statuses stay small."""
    return text if len(text) <= length else text[:length] + "..."
