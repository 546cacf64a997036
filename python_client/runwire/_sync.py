"""Delivers spools that nobody writes any more: of offline runs, and of processes that are gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runwire import _channel
from runwire._delivery import Delivery, Lane
from runwire._failures import told
from runwire._renewal import renewed
from runwire._spool import NO_LIMIT, Spool
from runwire._spool_lock import Held

_PROGRESS: Final = 2.0


@dataclass
class Outcome:
    """What became of one spool.

    Attributes:
        folder: The spool.
        delivered: How many frames arrived.
        left: How many did not.
        rejected: What the server rejected, a sentence each.
        skipped: What was torn and is lost, a sentence each.
        problem: Why frames are left; empty if none are.
    """

    folder: str
    delivered: int = 0
    left: int = 0
    rejected: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def good(self) -> bool:
        """Whether all that was whole has arrived and was taken."""
        return not self.left and not self.rejected and not self.problem


def deliver(
    folder: Path,
    settings_for: Callable[[str], _channel.Settings],
    *,
    as_new_writer: bool,
    say: Callable[[str], None],
) -> Outcome:
    """Delivers one spool, each frame once, however often this is tried and wherever.

    Args:
        folder: The spool.
        settings_for: Makes settings for the address that the spool names, which may be empty.
        as_new_writer: Deliver what is not acknowledged under a new name: where the server and the spool have
            come apart. What the server has of these frames, without this spool knowing, is there twice then.
        say: Told how it goes when it takes long.

    Returns:
        What became of it.
    """
    outcome = Outcome(str(folder))
    try:
        spool = Spool.open(folder, NO_LIMIT)
        if as_new_writer and spool.undelivered:
            spool = renewed(spool)
            outcome.folder = str(spool.folder)
    except Held as held:
        outcome.problem = str(held)
        return outcome
    try:
        outcome.skipped = list(spool.torn)
        _deliver(spool, settings_for(spool.address), outcome, say)
        outcome.rejected = [told(one) for one in spool.notes.rejections()]
        outcome.left = spool.undelivered
        spool.notes.told()
    finally:
        spool.close()
    return outcome


def _deliver(spool: Spool, given: _channel.Settings, outcome: Outcome, say: Callable[[str], None]) -> None:
    aside = spool.notes.aside()
    if aside is not None:
        outcome.problem = f"{aside['message']} ({aside['reason']}); --as-new-writer delivers what is left"
        return
    if spool.stray:
        outcome.problem = f"{spool.stray} frames stand behind a damaged place; --as-new-writer delivers them"
    if not spool.pending:
        return
    guard = threading.Condition(threading.Lock())
    delivery = Delivery(given, guard)
    lane = Lane(spool)
    start = spool.acked.sequence
    delivery.start()
    try:
        with guard:
            delivery.carry(lane)
            outcome.problem = _wait(lane, delivery, guard, given, say) or outcome.problem
    finally:
        delivery.stop(5.0)
    outcome.delivered = spool.acked.sequence - start


def _wait(
    lane: Lane,
    delivery: Delivery,
    guard: threading.Condition,
    given: _channel.Settings,
    say: Callable[[str], None],
) -> str:
    """Waits until all is delivered, or nothing is any more; returns why it is not."""
    began = moved = told_at = time.monotonic()
    acked = lane.writer.acked.sequence
    while lane.writer.pending:
        now = time.monotonic()
        if lane.writer.acked.sequence != acked:
            acked, moved = lane.writer.acked.sequence, now
        if lane.over is not None:
            return f"{lane.over.message} ({lane.over.reason}); --as-new-writer delivers what is left"
        if delivery.refusal is not None:
            return delivery.refusal.message
        if delivery.given_up(moved, now) is not None or now - moved > given.timeout:
            cause = delivery.away.message if delivery.away else "the server acknowledges nothing"
            return f"{given.address.text}: {' '.join(cause.split())}"
        if now - told_at > _PROGRESS:
            told_at = now
            say(f"{lane.writer.pending} frames to go after {now - began:.0f} s")
        guard.wait(0.2)
    return ""
