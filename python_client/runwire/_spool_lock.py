"""Who has a spool: the one process that writes it, or delivers it once its writer is gone."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

# What says that somebody else has the lock; a file system that has no locks, or no room, says something else.
_TAKEN: Final = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)


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
        Held: Another process has it, or this one.
        OSError: There is no such folder, or it can not be written.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Record locks are all that the JVM has; the two kinds do not see each other.
        _take_record_lock(descriptor)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        raise Held(folder, os.pread(descriptor, 32, 0).decode(errors="replace").strip()) from None


def _take_record_lock(descriptor: int) -> None:
    # One of the open file, where the system has such: one of the process would end as soon as it closes the
    # file again, having looked whether somebody holds a spool of its own.
    if hasattr(fcntl, "F_OFD_SETLK"):
        whole = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, whole)
    else:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def make(folder: Path) -> int:
    """Makes the folder of a spool, and takes it for this process.

    Args:
        folder: The folder, which is not there yet.

    Returns:
        As `lock` does.

    Raises:
        OSError: It can not be made; nothing of it is there then.
    """
    folder.mkdir(mode=0o700)
    try:
        return lock(folder)
    except BaseException:
        # The next try makes another one.
        (folder / "lock").unlink(missing_ok=True)
        folder.rmdir()
        raise
