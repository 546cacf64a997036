"""A server and its data folder: owns it alone, says there where it listens, leaves when nobody is left."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import structlog

from runwire._folder import OWNER_LOCK, POINTER, START_LOCK
from runwire_server.errors import StartupError

# A client that looks whether the folder has an owner holds its lock for a moment.
PROBE_SECONDS = 0.5
# A server that leaves lets calls in flight finish.
LEAVING_SECONDS = 20.0
# How often a server that may leave looks around, at most, seconds.
LOOK_SECONDS = 1.0

log = structlog.get_logger("runwire.local")


@contextlib.asynccontextmanager
async def locked(folder: Path, patience: float) -> AsyncIterator[None]:
    """Keeps other servers out of a data folder within the block.

    Args:
        folder: The folder; made if there is none.
        patience: Seconds to wait for one that leaves.

    Raises:
        StartupError: if one is in there, naming its pid, or the folder can not be used.
    """
    try:
        descriptor = _lock_file(folder)
    except OSError as error:
        raise StartupError(f"{folder} can not be used: {error.strerror}") from error
    try:
        # The kernel lets go of it when the process ends, however it ends.
        deadline = time.monotonic() + patience
        while not _taken(descriptor):
            if time.monotonic() > deadline:
                owner = os.read(descriptor, 32).decode().strip() or "unknown"
                raise StartupError(f"{folder} is in use by the server with pid {owner}")
            await asyncio.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """Tries to lock a file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_file(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder / OWNER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


@contextlib.contextmanager
def pointed(folder: Path, address: str) -> Iterator[None]:
    """Says in the data folder, within the block, where its server listens.

    Args:
        folder: The data folder; this process owns it.
        address: As clients take it.

    Raises:
        StartupError: if that can not be written.
    """
    pointer = folder / POINTER
    write_whole(pointer, json.dumps({"address": address, "pid": os.getpid()}) + "\n")
    try:
        yield
    finally:
        pointer.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Writes a file by renaming it into place, so that nobody reads half of it.

    Raises:
        StartupError: if it can not be written.
    """
    draft = path.with_name(path.name + ".new")
    try:
        draft.write_text(text)
        draft.replace(path)
    except OSError as error:
        raise StartupError(f"{path} can not be written: {error.strerror}") from error


async def unneeded(folder: Path, seconds: float, socket: Path | None, busy: Callable[[], bool]) -> None:
    """Returns when no client has been there for some time; from then on none can join or start a server.

    A client that joins holds the start lock shared and sets its file's time. Once this has the lock to
    itself and the file is old, no client is about to call; the lock is kept until the process has ended, so
    that the next server starts when this one is gone.

    Args:
        folder: The data folder.
        seconds: For how long nobody may have been there.
        socket: The socket listened at, whose connections count too; None for a port.
        busy: Says whether calls are being answered.
    """
    last = time.monotonic()

    def needed() -> bool:
        return busy() or connections(socket) > 0

    while True:
        await asyncio.sleep(min(LOOK_SECONDS, seconds / 4))
        if socket is not None and not _is_there(socket):
            # Removed from outside: no client can come any more, and the next one shall start a server.
            log.warning("the socket was removed", path=str(socket))
            return
        if needed():
            last = time.monotonic()
        elif time.monotonic() - last >= seconds and _closed(folder, seconds, needed):
            return


def _closed(folder: Path, seconds: float, needed: Callable[[], bool]) -> bool:
    """Takes the start lock for good, unless somebody has it, had it lately, or is there now."""
    descriptor = os.open(folder / START_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    if _taken(descriptor):
        lately = abs(time.time() - os.fstat(descriptor).st_mtime) < seconds
        if not lately and not needed():
            return True
    os.close(descriptor)
    return False


def _is_there(path: Path) -> bool:
    return path.exists()


def connections(socket: Path | None) -> int:
    """Counts the connections to a socket, where the system tells (Linux does)."""
    if socket is None:
        return 0
    try:
        lines = Path("/proc/self/net/unix").read_text().splitlines()
    except OSError:
        return 0
    # Num RefCount Protocol Flags Type St Inode Path; 02 waits to be accepted, 03 is connected, and what
    # listens is 01.
    columns = (line.split(maxsplit=7) for line in lines[1:])
    return sum(len(c) == 8 and c[5] in ("02", "03") and c[7] == str(socket) for c in columns)
