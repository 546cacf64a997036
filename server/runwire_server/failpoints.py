"""Named places at which a test may have the server die, as if its power had gone.

Nothing is armed but by the option `--failpoint NAME[:N]`. The one state of a module in this package: the
places are deep inside, and a parameter on every way to them would be there for tests alone.
"""

from __future__ import annotations

import os
import signal
import threading

# Where the server can die, and just before or after what.
NAMES = (
    "before-commit",
    "after-commit",
    "after-fold",
    "after-rejection",
    "compact-insert",
    "compact-flip",
    "compact-trim",
    "seal-insert",
    "seal-flip",
    "seal-trim",
    "before-checkpoint",
    "after-checkpoint",
    "summary-flush",
)


class Failpoint:
    """One place, and how often it may still be reached."""

    def __init__(self) -> None:
        self._name = ""
        self._left = 0
        self._lock = threading.Lock()

    def arm(self, name: str, reaches: int = 1) -> None:
        """Has the process die when a place is reached for the given time."""
        self._name, self._left = name, reaches

    def reach(self, name: str) -> None:
        """Says that a place is reached."""
        if name != self._name:
            return
        with self._lock:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


_ARMED = Failpoint()
arm = _ARMED.arm
reach = _ARMED.reach
