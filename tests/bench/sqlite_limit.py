"""The limit of the storage: blobs of the same bytes, inserted into SQLite by nothing but its driver."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from runwire_server.storage.sqlite import COMMON_PRAGMAS, WRITER_PRAGMAS

GROUP_BYTES = 8 << 20
# Written back as often as the server does it.
CHECKPOINT_PAGES = 4_000


def blobs(folder: Path, blob_bytes: int, total_bytes: int, commit_bytes: int) -> float:
    """Inserts blobs, several a transaction, each transaction on disk before the next.

    Args:
        folder: An existing folder on the disk to measure.
        blob_bytes: Size of a blob.
        total_bytes: How much to insert.
        commit_bytes: How much a transaction takes; at least one blob.

    Returns:
        Bytes per second.
    """
    path = folder / "limit.db"
    data, each = os.urandom(blob_bytes), max(commit_bytes // blob_bytes, 1)
    count = max(total_bytes // blob_bytes // each, 1) * each
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for pragma in (*WRITER_PRAGMAS, *COMMON_PRAGMAS):
                connection.execute(pragma)
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(
                "CREATE TABLE log (run INT, first INT, rows INT, data BLOB, PRIMARY KEY (run, first))"
            )
            began = time.perf_counter()
            for first in range(0, count, each):
                connection.execute("BEGIN IMMEDIATE")
                for number in range(first, first + each):
                    connection.execute("INSERT INTO log VALUES (1, ?, 1, ?)", (number, data))
                connection.execute("COMMIT")
            return count * blob_bytes / (time.perf_counter() - began)
    finally:
        for file in folder.glob("limit.db*"):
            file.unlink()


def best(folder: Path, blob_bytes: int, total_bytes: int) -> float:
    """Returns the better of a transaction for each blob and of `GROUP_BYTES` a transaction."""
    return max(blobs(folder, blob_bytes, total_bytes, size) for size in (blob_bytes, GROUP_BYTES))
