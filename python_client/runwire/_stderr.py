"""What a client says to the person at the terminal, from threads that have nobody else to tell."""

from __future__ import annotations

import contextlib
import sys


def say(text: str) -> None:
    """Says something on stderr; who closed that does not want to know, and loses nothing else by it.

    Args:
        text: A line.
    """
    with contextlib.suppress(OSError, ValueError):
        print(f"runwire: {text}", file=sys.stderr)
