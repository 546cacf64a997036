"""What follows a commit and precedes its answer: points are folded, watchers are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from runwire_server.storage.appended import Appended

Follower = Callable[[Sequence[Appended]], Awaitable[None]]

log = structlog.get_logger("runwire.metrics")


class Behind:
    """Hands what commits have added to those who follow, all that was committed together at once."""

    def __init__(self, *followers: Follower) -> None:
        """Takes the followers, in the order in which they are told."""
        self._followers = followers
        self._waiting: list[Appended] = []
        self._round: asyncio.Task[None] | None = None

    async def __call__(self, appended: Sequence[Appended]) -> None:
        """Returns once all followers have been told."""
        if not appended:
            return
        self._waiting += appended
        if self._round is None:
            # It begins when all callers whose commit it was have come here.
            self._round = asyncio.create_task(self._tell())
        await asyncio.shield(self._round)

    async def _tell(self) -> None:
        appended, self._waiting, self._round = self._waiting, [], None
        for follower in self._followers:
            try:
                await follower(appended)
            except Exception:
                # What is on disk is acknowledged, whatever a follower makes of it.
                log.exception("a follower of commits failed")
