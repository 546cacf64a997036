"""Processes that are not as they should be: bugs, each of which must turn a test red, and odd machines.

Each folder has a `sitecustomize`, which Python imports before all else in a process that is given the folder.
"""

from __future__ import annotations

import os
from pathlib import Path


def environment_of(name: str, **variables: str) -> dict[str, str]:
    """Returns the environment of a process that has what the folder of that name brings.

    Args:
        name: The folder.
        variables: Further variables.
    """
    folder = Path(__file__).with_name(name)
    assert (folder / "sitecustomize.py").is_file()
    others = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *([others] if others else [])]), **variables}
