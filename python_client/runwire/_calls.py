"""The core that the sync and the async client share: when a call is repeated and how it ends.

No I/O and no clock here: the clients send, sleep and tell the time; this decides.
"""

from __future__ import annotations

import abc
import random
from collections.abc import Callable
from typing import Any, Final, TypeVar

from runwire import errors
from runwire._channel import Retry, Settings
from runwire._requests import Call, Requests

R = TypeVar("R")

# Nothing of these was stored, or a repeat under the same request id gets the first answer.
# Nobody cancels a call here: CANCELLED is what a server that closes says of calls in flight.
_REPEATABLE: Final = (errors.Unavailable, errors.Aborted, errors.Cancelled)
# What the last repeat has for its answer, seconds; a tenth of a call's time if that is less. Without it the
# repeat would be done and heard of by nobody, and its DEADLINE_EXCEEDED would hide what was said before.
_ROOM: Final = 0.1
# After an attempt to connect that failed, gRPC begins no other for a tenth of a second and a bit.
_AGAIN: Final = 0.25


class Attempts:
    """The attempts of one call: how long the next may take, and whether there is one."""

    def __init__(
        self,
        given: Settings,
        timeout: float,
        now: float,
        *,
        reached: bool,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Starts the call's clock.

        Args:
            given: The client's settings.
            timeout: Seconds that all attempts may take together.
            now: The time, seconds of a monotonic clock.
            reached: Whether the client has had an answer from its server before.
            uniform: Draws a number between two.
        """
        self._address = given.address.text
        self._retry = given.retry
        self._start = now
        self._deadline = now + timeout
        self._latest = self._deadline - min(_ROOM, timeout / 10)
        # Who joined a folder had its server before him.
        self._reached = reached or given.address.folder is not None
        self._uniform = uniform
        self._count = 0
        # Whether the window in which a server has to be reached is over when the next attempt begins.
        self._last = False

    def remaining(self, now: float) -> float:
        """Returns the seconds that the next attempt may take."""
        return self._deadline - now

    def pause(self, error: errors.RunwireError, now: float) -> float | None:
        """Decides what follows a failed attempt.

        Args:
            error: How it failed.
            now: The time, seconds of a monotonic clock.

        Returns:
            Seconds to wait before the next attempt; None if there is none.
        """
        self._count += 1
        retry = self._retry
        if not _repeatable(error) or self._count == retry.max_attempts:
            return None
        pause = self._uniform(0, backoff(retry, self._count)) + (error.retry_delay or 0)
        if isinstance(error, errors.ServerUnavailable) and not self._reached:
            if self._last or now >= self._latest:
                return None
            left = min(self._start + retry.connect_timeout, self._latest) - now
            self._last = pause >= left
            # One last attempt at the end of the window, so that it is as long as it says; or behind it: this
            # one may have found no server only because all stood still.
            return min(pause, left) if left > 0 else _AGAIN
        self._reached = True
        return pause if now + pause < self._latest else None

    def final(self, error: errors.RunwireError, now: float) -> errors.RunwireError:
        """Makes the error to raise once there is no further attempt.

        Args:
            error: How the last attempt failed.
            now: The time, seconds of a monotonic clock.

        Returns:
            The same error, or one that says in a sentence where no server was found or answered in time.
        """
        start = "Start one with `runwire server`, or name another with RUNWIRE_TRACKING_URI."
        if isinstance(error, errors.DeadlineExceeded) and not answered(error):
            hint = "" if self._reached else f" {start}"
            return errors.DeadlineExceeded(
                f"no answer from {self._address} in {now - self._start:.1f} s.{hint}",
                metadata={"address": self._address},
            )
        if not isinstance(error, errors.ServerUnavailable) or isinstance(error, errors.LocalServerFailed):
            return error
        attempts = "1 attempt" if self._count == 1 else f"{self._count} attempts"
        cause = " ".join(error.message.split())
        return errors.ServerUnavailable(
            f"no Runwire server answers at {self._address} ({attempts} in {now - self._start:.1f} s). "
            f"{start} gRPC says: {cause}",
            metadata={"address": self._address},
        )


def backoff(retry: Retry, attempt: int) -> float:
    """Bounds the pause behind an attempt.

    Args:
        retry: How to repeat.
        attempt: Number of the attempt that failed, from 1.

    Returns:
        The longest pause, seconds.
    """
    # The exponent is bounded because a long deadline with short pauses would overflow a float.
    return float(min(retry.maximum, retry.initial * retry.multiplier ** min(attempt - 1, 64)))


def _repeatable(error: errors.RunwireError) -> bool:
    if isinstance(error, errors.ResourceExhausted):
        # A full disk may be cleared; a message that is too large stays so, and carries no RetryInfo.
        return error.retry_delay is not None
    return isinstance(error, _REPEATABLE) and not isinstance(error, errors.LocalServerFailed)


def left(timeout: float, start: float, now: float) -> float:
    """Returns what is left of a call's time for its next part.

    Args:
        timeout: Seconds that the whole call may take.
        start: When it began, seconds of a monotonic clock.
        now: The time, by the same clock.

    Returns:
        Seconds; a moment at least, so that the next part ends as a call that is too late does.
    """
    return max(timeout - (now - start), 0.001)


def answered(error: errors.RunwireError) -> bool:
    """Says whether an error came from a Runwire server, and not from gRPC or a proxy on the way."""
    return bool(error.reason)


class Sender(abc.ABC):
    """What the groups of sync methods need of the client that they are part of."""

    _requests: Requests
    _settings: Settings

    @abc.abstractmethod
    def _send(self, call: Call[R], timeout: float | None) -> R:
        """Sends a call, repeats it as need be, and returns its result."""

    @abc.abstractmethod
    def _open_stream(self, call: Call[Any]) -> Any:
        """Sends a call once, and returns gRPC's stream of its answers; it has no deadline."""

    @abc.abstractmethod
    def _lost(self, error: errors.RunwireError) -> None:
        """Takes in that an attempt failed: the next one looks anew where the server is, if that may help."""


class AsyncSender(abc.ABC):
    """What the groups of async methods need of the client that they are part of."""

    _requests: Requests
    _settings: Settings

    @abc.abstractmethod
    async def _send(self, call: Call[R], timeout: float | None) -> R:
        """Sends a call, repeats it as need be, and returns its result."""

    @abc.abstractmethod
    async def _open_stream(self, call: Call[Any]) -> Any:
        """Sends a call once, and returns gRPC's stream of its answers; it has no deadline."""

    @abc.abstractmethod
    def _lost(self, error: errors.RunwireError) -> None:
        """Takes in that an attempt failed; see `Sender._lost`."""
