"""Bugs to plant into a server: each must turn a test red.

Each folder has a `sitecustomize` that Python imports before all else in a process that is given the folder.
"""

from __future__ import annotations

import os
from pathlib import Path


def planted(bug: str) -> dict[str, str]:
    """Returns the environment of a server that has a bug."""
    folder = Path(__file__).with_name(bug)
    assert (folder / "sitecustomize.py").is_file()
    others = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *([others] if others else [])])}
