"""Waits until what was logged is delivered; says why it is not where there is no hope, or no time left."""

from __future__ import annotations

import threading
import time
from typing import Final

from runwire import _failures, errors
from runwire._buffer import Mark
from runwire._channel import Settings
from runwire._delivery import Delivery, Lane
from runwire._lanes import Lanes
from runwire._places import Options
from runwire._stderr import say

_PROGRESS: Final = 2.0


class Waiting:
    """What those who wait for one client's delivery share.

    Attributes:
        delivery: What carries frames to the server; None before the first, and offline.
        broken: Why nothing moves on any more; None while it does.
        ended: Whether the client is closed, and nobody delivers any more.
    """

    def __init__(self, given: Settings, options: Options, guard: threading.Condition, lanes: Lanes) -> None:
        """Makes it.

        Args:
            given: The client's settings.
            options: How it keeps what is logged.
            guard: Guards lanes and writers, and these attributes.
            lanes: Who takes frames.
        """
        self._given = given
        self._options = options
        self._guard = guard
        self._lanes = lanes
        self.delivery: Delivery | None = None
        self.broken: errors.RunwireError | None = None
        self.ended = False

    def wait(self, mark: Mark, start: float, timeout: float, *, progress: bool) -> None:
        """Waits until all before a mark is on the server's disk; offline, on this machine's.

        Args:
            mark: The place in what was logged.
            start: When the wait began, by the monotonic clock.
            timeout: Most seconds from then on.
            progress: Whether to say on stderr how it goes when it takes long.

        Raises:
            RunwireError: Something is not delivered.
        """
        told = start + _PROGRESS
        with self._guard:
            while not self._done(mark):
                now = time.monotonic()
                left = start + timeout - now
                error = self._given_up(start, now)
                if error is not None or left <= 0:
                    raise self._undelivered(error, now - start)
                if progress and now >= told:
                    told = now + _PROGRESS
                    self._say_progress(left)
                self._guard.wait(min(left, 0.5))

    def _done(self, mark: Mark) -> bool:
        if not mark.folded:
            return False
        lane: Lane | None = mark.lane
        if lane is None or lane.over is not None or lane.writer.acked.sequence >= mark.sequence:
            return True
        if not self._options.offline:
            return False
        try:
            lane.spool.sync()
        except OSError as error:
            raise errors.Unavailable(f"the spool {lane.spool.folder} can not be synced: {error}") from error
        return True

    def _given_up(self, start: float, now: float) -> errors.RunwireError | None:
        """Says whether there is no hope that anything moves on."""
        delivery = self.delivery
        if self.ended:
            # By another thread, in whose time it was not delivered.
            return errors.Cancelled("the client was closed meanwhile")
        if self.broken is not None:
            return self.broken
        if delivery is None:
            # Nobody makes room in a spool that is not delivered.
            return errors.ResourceExhausted(self._lanes.stuck) if self._lanes.stuck else None
        return delivery.given_up(start, now)

    def _undelivered(self, error: errors.RunwireError | None, waited: float) -> errors.RunwireError:
        cause = error or (self.delivery.away if self.delivery else None)
        if self._options.offline and cause is None:
            cause = errors.DeadlineExceeded(f"the spool was not on the disk within {waited:.1f} s")
        lane = self._lanes.lane
        where = lane.spool.folder if lane else self._options.root
        frames = lane.writer.pending if lane else 0
        return _failures.undelivered(
            cause, self._given.address.text, waited, frames, where, self._lanes.stuck
        )

    def _say_progress(self, left: float) -> None:
        lane = self._lanes.lane
        size = lane.spool.size if lane else 0
        say(f"delivering {size / 1e6:.1f} MB to {self._given.address.text}; giving up in {left:.0f} s")
