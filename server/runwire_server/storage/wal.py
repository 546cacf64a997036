"""SQLite's write-ahead log: how much of it is in use, and copying it into the database file in time.

SQLite would copy it within a commit, whose callers then wait for it; here that is done between commits,
after the answers.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

# Copied once so much was written since the last time.
CHECKPOINT_BYTES = 16 * 1024 * 1024
# Readers keep the log from starting over. From this size on they are waited for, a moment.
LARGE_BYTES = 64 * 1024 * 1024
PATIENCE_MS = 50

_HEADER = 32
_FRAME_HEADER = 24
# Two random numbers, drawn anew when the log starts over: in the header, and in each frame in use.
_SALTS_AT, _FRAME_SALTS_AT, _SALTS_BYTES = 16, 8, 8


class WriteAheadLog:
    """The log of one open database file; used in the thread of the connection that writes."""

    def __init__(self, connection: sqlite3.Connection, database: Path) -> None:
        """Opens the log, which is there from the connection's first read on."""
        self._connection = connection
        # No locks are taken on this file, so that closing it lets go of none.
        self._file = os.open(database.with_name(database.name + "-wal"), os.O_RDONLY | os.O_CLOEXEC)
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        self._frame = _FRAME_HEADER + int(page)
        self._salts = b""
        self._frames = 0
        self._copied = 0
        self.bytes = 0

    def is_due(self) -> bool:
        """Looks how much of the log is in use, and tells whether it is time for a checkpoint."""
        self._frames = self._in_use()
        self.bytes = self._frames * self._frame
        return (self._frames - self._copied) * self._frame >= CHECKPOINT_BYTES

    def checkpoint(self) -> None:
        """Copies into the database what no reader needs in the log, which may then start over.

        Raises:
            sqlite3.Error: such as for a full disk; the log has all of it still.
        """
        try:
            if self.bytes < LARGE_BYTES:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            else:
                self._restart()
        finally:
            # Also what failed, or was kept by a reader, is not tried again with each commit.
            self._copied = self._frames

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._file)

    def _restart(self) -> None:
        (usual,) = self._connection.execute("PRAGMA busy_timeout").fetchone()
        self._connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
        try:
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {usual}")

    def _in_use(self) -> int:
        """Counts the frames in use: SQLite tells only by a checkpoint. They are the first ones."""
        salts = os.pread(self._file, _SALTS_BYTES, _SALTS_AT)
        if salts != self._salts:
            # It has started over.
            self._salts, self._frames, self._copied = salts, 0, 0
        low, stride = self._frames, 1
        while self._is_used(low + stride - 1):
            low += stride
            stride *= 2
        high = low + stride - 1
        while low < high:
            middle = (low + high) // 2
            if self._is_used(middle):
                low = middle + 1
            else:
                high = middle
        return low

    def _is_used(self, frame: int) -> bool:
        at = _HEADER + frame * self._frame + _FRAME_SALTS_AT
        # An empty file has no salts either.
        return len(self._salts) == _SALTS_BYTES and os.pread(self._file, _SALTS_BYTES, at) == self._salts
