"""What the clients log, the same for every server."""

from __future__ import annotations

import random
import time

POINTS = 1_000

_CHANCE = random.Random(7)

PARAMS = {f"param_{i:02}": f"value of param {i}" for i in range(20)}
METRICS = {f"metric_{i:02}": _CHANCE.random() for i in range(10)}
TAGS = {f"tag_{i}": f"value of tag {i}" for i in range(5)}
# Values change from call to call, as losses do: an index of latest values has to follow.
ROUNDS = [[_CHANCE.random() for _ in range(POINTS)] for _ in range(16)]
KEYS = [f"layer.{i:03}.grad_norm" for i in range(POINTS)]
# Steps take some 20 ms each, and not the same time each.
OFFSETS = [i * 20 + _CHANCE.randrange(10) for i in range(POINTS)]


def now() -> int:
    """Returns unix milliseconds."""
    return time.time_ns() // 1_000_000


def times() -> list[int]:
    """Returns unix milliseconds of `POINTS` steps from now on."""
    start = now()
    return [start + offset for offset in OFFSETS]
