"""Who has a spool: the one process that writes it, or delivers it once its writer is gone."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Held(Exception):
    """Another process has the spool.

    Attributes:
        pid: Its process id, as text; empty if it did not say.
    """

    def __init__(self, folder: Path, pid: str) -> None:
        """Makes the error."""
        super().__init__(f"the spool {folder} is in use by process {pid or 'unknown'}")
        self.pid = pid


def lock(folder: Path) -> int:
    """Takes a spool for this process.

    Args:
        folder: The spool.

    Returns:
        A file that holds the lock until it is closed.

    Raises:
        Held: Another process has it.
        OSError: There is no such folder, or it can not be written.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Record locks are all that the JVM has; the two kinds do not see each other.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise Held(folder, pid) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
