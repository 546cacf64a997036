"""Periodic work: what an interrupted purge left, and request ids that have had their day."""

from __future__ import annotations

import asyncio

import structlog

from runwire_server.errors import RunwireError
from runwire_server.storage.base import MaintenanceStore

INTERVAL_SECONDS = 600.0

log = structlog.get_logger("runwire.janitor")


async def work(maintenance: MaintenanceStore) -> None:
    """Cleans up now and then, until cancelled; a full or absent database is tried again next time."""
    while True:
        try:
            await maintenance.finish_purges()
            await maintenance.forget_requests()
        except RunwireError as error:
            log.warning("clean-up put off", reason=error.reason)
        except Exception:
            # A bug here must not end the work for good, nor the server when it stops.
            log.exception("clean-up failed")
        await asyncio.sleep(INTERVAL_SECONDS)
