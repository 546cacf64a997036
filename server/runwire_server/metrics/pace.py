"""How fast points may come in while compaction lags: the more it does, the slower."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# Bytes a second that all writers together may bring when it begins to lag, and when it lags most. Never
# nothing: what ails compaction may be there to stay.
TOP_RATE = 64 * 1024 * 1024
LEAST_RATE = 1024 * 1024
# Nobody rests longer at a time.
LONGEST_REST = 10.0
# A call has a deadline.
LONGEST_WAIT = 2.0


class Pace:
    """Tells writers how long to rest after what they have brought, so that small ones hardly notice."""

    def __init__(self, lag: Callable[[], float]) -> None:
        """Takes what says how far compaction lags: from 1 on writers rest, from 2 on as long as they may."""
        self._lag = lag
        self._callers = 0

    async def wait(self, size: int) -> None:
        """Has a single call with so many bytes wait before they are stored."""
        self._callers += 1
        try:
            if seconds := self.rest(size, self._callers):
                await asyncio.sleep(min(seconds, LONGEST_WAIT))
        finally:
            self._callers -= 1

    def rest(self, size: int, writers: int) -> float:
        """Returns for how many seconds one of some writers rests after so many bytes."""
        lag = self._lag()
        if lag < 1.0:
            return 0.0
        rate = max(LEAST_RATE, TOP_RATE * (2.0 - lag))
        return min(LONGEST_REST, size * max(1, writers) / rate)
