"""Waiting for threads."""

from __future__ import annotations

import threading
from typing import Final

_LOOK: Final = 0.05


def join(thread: threading.Thread, timeout: float) -> None:
    """Waits for a thread to end.

    Args:
        thread: It was started.
        timeout: Most seconds. A machine that stands still takes one look away, and not all of them.
    """
    waited = 0.0
    while thread.is_alive() and waited < timeout:
        thread.join(_LOOK)
        waited += _LOOK
