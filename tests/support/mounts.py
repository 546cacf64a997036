"""Small disks."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """A small file system of its own at the folder."""
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True, capture_output=True
    )
    try:
        yield
    finally:
        # Lazily: a test that failed may have left a process with open files there, and its failure is what
        # counts.
        subprocess.run(["umount", "--lazy", folder], check=True)
