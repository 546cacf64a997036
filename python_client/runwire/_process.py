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

from runwire._threads import join

# The end of the process is module-level state, because a process has one.
# When it began to exit, once it did.
_exits: Final[list[float]] = []
# What is called before SIGTERM ends it: first who may log more, then who delivers.
_endings: Final[list[Callable[[], None]]] = []
_closing: Final[dict[Callable[[float | None], None], None]] = {}
# What that may take; all clients share it.
_TERMINATION_SECONDS: Final = 5.0


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


def at_termination(call: Callable[[], None]) -> None:
    """Has something called before SIGTERM ends the process, before what `at_exit` has.

    Args:
        call: What to call; that it is named again changes nothing.
    """
    if call not in _endings:
        _endings.append(call)
    _hook_termination()


def _hook_termination() -> None:
    """Handles SIGTERM, unless the program does so itself; only the main thread can."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: object) -> None:
    # On a thread of its own, because what the main thread was at may hold locks.
    worker = threading.Thread(target=_end_all, name="runwire-termination", daemon=True)
    worker.start()
    join(worker, _TERMINATION_SECONDS + 1)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _end_all() -> None:
    for end in _endings:
        end()
    closing = list(_closing)
    for close in closing:
        close(_TERMINATION_SECONDS / len(closing))


def at_exit(call: Callable[[float | None], None]) -> None:
    """Has something called when the interpreter exits, what was registered last first, or SIGTERM ends it.

    Args:
        call: What to call, with the seconds that it may take, or None for its own; it may be called twice.
    """
    _closing[call] = None
    _hook_termination()
    atexit.register(call, None)
    util, process = sys.modules.get("multiprocessing.util"), sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        # The children of multiprocessing end by os._exit, which runs no atexit hooks.
        util.Finalize(None, call, (None,), exitpriority=0)


def not_at_exit(call: Callable[[float | None], None]) -> None:
    """Takes `at_exit` back, as far as that goes.

    Args:
        call: What was registered.
    """
    atexit.unregister(call)
    _closing.pop(call, None)


def seconds_into_exit() -> float:
    """Tells how long this process has been exiting; the first call at its exit begins to count."""
    if not _exits:
        _exits.append(time.monotonic())
    return time.monotonic() - _exits[0]
