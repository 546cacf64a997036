"""Ids that the client mints."""

from __future__ import annotations

import os
import time
import uuid


def uuid7() -> uuid.UUID:
    """Makes a UUID of version 7 (RFC 9562): unix milliseconds, then 74 random bits.

    Returns:
        The UUID. Later ones sort behind earlier ones, to the millisecond.
    """
    # Python has uuid.uuid7 from 3.14 on.
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return uuid.UUID(int=number)
