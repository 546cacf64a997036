"""Ids and names that the server makes up."""

from __future__ import annotations

import os
import random

ADJECTIVES = (
    "amber brave bright calm clever crisp curious dapper eager fleet gentle golden grand happy honest humble "
    "keen kind lively loyal lucid mellow merry mighty nimble noble patient placid polite proud quick quiet "
    "rapid serene sharp silent sleek smooth steady still subtle swift tidy vivid warm wise witty zesty"
).split()
NOUNS = (
    "badger beaver bison condor crane dolphin eagle egret falcon ferret finch fox gecko gull hare hawk heron "
    "ibex jay kestrel koala lark lemur lynx marten mink moose newt ocelot orca osprey otter owl panda pike "
    "puffin quail raven robin seal shrew skua sparrow stoat swan tapir tern toad vole wren yak"
).split()


def readable(chance: random.Random) -> str:
    """Makes a name such as `brave-otter-417`; not unique."""
    return f"{chance.choice(ADJECTIVES)}-{chance.choice(NOUNS)}-{chance.randrange(1000)}"


def uuid7(now_ms: int) -> str:
    """Makes a run id: 32 hex digits of a UUID version 7 (RFC 9562), which sort by time."""
    tail = int.from_bytes(os.urandom(10), "big")
    random_a, random_b = tail >> 68, tail & (1 << 62) - 1
    value = (now_ms & (1 << 48) - 1) << 80 | 7 << 76 | random_a << 64 | 2 << 62 | random_b
    return f"{value:032x}"
