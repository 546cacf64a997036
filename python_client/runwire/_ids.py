"""Ids that the client mints."""

from __future__ import annotations

import os
import random
import time
import uuid
from typing import Final

_ADJECTIVES: Final = (
    "amber brave bright calm clever crisp curious dapper eager fleet gentle golden grand happy honest humble "
    "keen kind lively loyal lucid mellow merry mighty nimble noble patient placid polite proud quick quiet"
).split()
_NOUNS: Final = (
    "badger beaver bison condor crane dolphin eagle egret falcon ferret finch fox gecko gull hare hawk heron "
    "ibex jay kestrel koala lark lemur lynx marten mink moose newt ocelot orca osprey otter owl panda pike"
).split()


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


def readable(chance: random.Random) -> str:
    """Makes a name of a run such as `brave-otter-417`, as the server does where none is given.

    Args:
        chance: Where it comes from.

    Returns:
        The name; not unique.
    """
    return f"{chance.choice(_ADJECTIVES)}-{chance.choice(_NOUNS)}-{chance.randrange(1000)}"
