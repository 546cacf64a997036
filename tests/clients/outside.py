"""Runs the tools of other languages, so that they find this checkout's server and nothing of the user's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CLIENTS: Final = ROOT / "clients"
_SHOWN: Final = 12_000


def environment(**more: str) -> dict[str, str]:
    """Makes the environment: where `runwire` is, and no settings of a client's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RUNWIRE_")}
    return {
        **kept,
        "RUNWIRE_SERVER_COMMAND": str(Path(sys.executable).with_name("runwire")),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "LC_ALL": "C.UTF-8",
        **more,
    }


def succeed(command: Sequence[str | Path], folder: Path, timeout: float, **more: str) -> str:
    """Runs a command, which has to end with code 0.

    Args:
        command: Program and arguments.
        folder: Where.
        timeout: Seconds that it may take.
        more: Further variables.

    Returns:
        What it wrote.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))} failed:\n{done.stdout[-_SHOWN:]}"
    return done.stdout
