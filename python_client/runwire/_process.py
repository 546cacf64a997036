"""What happens to a client when its process forks or ends."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Callable


def at_fork(method: Callable[[], None]) -> None:
    """Has a method called in each forked child.

    Args:
        method: A bound method; its object is not kept alive by this.
    """
    found = weakref.WeakMethod(method)

    def forked() -> None:
        call = found()
        if call is not None:
            call()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forked)


def at_exit(call: Callable[[], None]) -> None:
    """Has something called when the interpreter exits, what was registered last first.

    Args:
        call: What to call; it may be called twice.
    """
    atexit.register(call)
    util, process = sys.modules.get("multiprocessing.util"), sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        # The children of multiprocessing end by os._exit, which runs no atexit hooks.
        util.Finalize(None, call, exitpriority=0)


def not_at_exit(call: Callable[[], None]) -> None:
    """Takes `at_exit` back, as far as that goes.

    Args:
        call: What was registered.
    """
    atexit.unregister(call)
