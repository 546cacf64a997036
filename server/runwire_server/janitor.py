"""Periodic work: what an interrupted purge left, what has had its day, and runs that fell silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from runwire_server.errors import RunwireError
from runwire_server.storage.base import Stores

INTERVAL_SECONDS = 600.0
# How late a run is found to be lost.
LEASE_SECONDS = 10.0

log = structlog.get_logger("runwire.janitor")


async def work(stores: Stores) -> None:
    """Cleans up now and then, until cancelled; a full or absent database is tried again next time."""

    async def clean() -> None:
        await stores.maintenance.finish_purges()
        await stores.maintenance.forget_requests()
        await stores.writers.forget_unused()

    async def find_lost() -> None:
        if count := await stores.leases.mark_lost():
            log.info("runs fell silent", count=count)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_every(INTERVAL_SECONDS, clean))
        tasks.create_task(_every(LEASE_SECONDS, find_lost))


async def _every(seconds: float, task: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await task()
        except RunwireError as error:
            log.warning("clean-up put off", reason=error.reason)
        except Exception:
            # A bug here must not end the work for good, nor the server when it stops.
            log.exception("clean-up failed")
        await asyncio.sleep(seconds)
