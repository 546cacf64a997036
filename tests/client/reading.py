"""Runs with points, and the command as a process, for the tests of reading."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from runwire import MetricBlock


def new_run(client: Any) -> str:
    """Creates a run and returns its id."""
    return str(client.create_run("0").info.run_id)


def fill(client: Any, run: str, values: Any, key: str = "loss", first: int = 0) -> None:
    """Logs values at steps from `first` on, each a millisecond after the one before."""
    for start in range(0, len(values), 10_000):
        part = values[start : start + 10_000]
        steps = list(range(first + start, first + start + len(part)))
        client.log_batch(run, [MetricBlock([key], steps, part, [1_000_000 + step for step in steps])])
    client.flush()


def command(server: Any, *arguments: str) -> subprocess.Popen[str]:
    """Starts the command."""
    there = {**os.environ, "RUNWIRE_TRACKING_URI": server.address}
    words = [sys.executable, "-u", "-m", "runwire.cli", "--timeout", "100", *arguments]
    return subprocess.Popen(words, env=there, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(server: Any, *arguments: str) -> str:
    """Runs the command to its end, and returns what it printed."""
    process = command(server, *arguments)
    out, complained = process.communicate(timeout=120)
    assert (process.returncode, complained) == (0, "")
    return out
