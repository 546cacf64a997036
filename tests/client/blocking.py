"""Makes `AsyncClient` look like `Client`, so that one test body serves both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from runwire import AsyncClient, Client

KINDS = ("sync", "async")


class Blocking:
    """An AsyncClient on an event loop of its own, each call waited for."""

    def __init__(self, address: str, **options: Any) -> None:
        """Makes the client and starts the loop."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="async-client")
        self._thread.start()
        self._client = AsyncClient(address, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Returns a method of the client, waited for."""
        method = getattr(self._client, name)

        def call(*args: Any, **given: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(method(*args, **given), self._loop).result(60)

        return call

    def close(self) -> None:
        """Closes the client and ends the loop."""
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Blocking:
        """Returns the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the client."""
        self.close()


def connect(kind: str, address: str, **options: Any) -> Any:
    """Makes a client of either kind."""
    return Client(address, **options) if kind == "sync" else Blocking(address, **options)
