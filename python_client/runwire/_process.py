"""What happens to a client when its process forks or ends."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

# When this process began to exit, once it did.
_exits: Final[list[float]] = []


def at_fork(
    child: Callable[[], None],
    before: Callable[[], None] | None = None,
    parent: Callable[[], None] | None = None,
) -> None:
    """Has methods called around each fork.

    Args:
        child: A bound method to call in the child; its object is not kept alive by this.
        before: The same, to call before the fork.
        parent: The same, to call in the parent afterwards.
    """
    if hasattr(os, "register_at_fork"):
        given = {"after_in_child": child, "before": before, "after_in_parent": parent}
        os.register_at_fork(**{when: _weak(method) for when, method in given.items() if method})


def _weak(method: Callable[[], None]) -> Callable[[], None]:
    found = weakref.WeakMethod(method)

    def call() -> None:
        it = found()
        if it is not None:
            it()

    return call


def at_termination(act: Callable[[], None], patience: float) -> None:
    """Has something done before SIGTERM ends the process as it always would.

    Nothing changes where the program handles SIGTERM itself, or from a thread that may not handle signals.

    Args:
        act: What to do. It runs on a thread of its own, because what the main thread was at may hold locks.
        patience: Most seconds to wait for it.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return

    def handle(number: int, frame: object) -> None:
        worker = threading.Thread(target=act, name="runwire-termination", daemon=True)
        worker.start()
        worker.join(patience)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, handle)


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


def seconds_into_exit() -> float:
    """Tells how long this process has been exiting; the first call at its exit begins to count."""
    if not _exits:
        _exits.append(time.monotonic())
    return time.monotonic() - _exits[0]
