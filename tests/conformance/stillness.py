"""Sees when everything stood still: a machine that is shared with others does, for seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

_STEP: Final = 0.05
# Far more than a thread waits for its turn, and less than the times that cases give.
_LONG: Final = 0.5


class Stillness:
    """Looks at the clock all the time, on a thread, and so knows when it could not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts without the thread.

        Args:
            clock: Tells the time in seconds.
        """
        self._clock = clock
        self._seen = clock()
        self._times = 0

    def watch(self) -> Stillness:
        """Looks from now on until the process ends."""
        threading.Thread(target=self._watch, name="stillness", daemon=True).start()
        return self

    def _watch(self) -> None:
        while True:
            time.sleep(_STEP)
            self.times()

    def times(self) -> int:
        """Says how often nothing moved for a while so far."""
        now = self._clock()
        if now - self._seen > _LONG:
            self._times += 1
        self._seen = now
        return self._times
