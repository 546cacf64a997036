"""Makes `AsyncClient` look like `Client`, so that one test body serves both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from runwire import AsyncClient, Client
from runwire._watch import AsyncMetricWatch
from runwire.curves import MetricEvent

KINDS = ("sync", "async")
# More than any call has time for.
PATIENCE = 400


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
            made = method(*args, **given)
            if isinstance(made, AsyncMetricWatch):
                return BlockingWatch(made, self._loop)
            return asyncio.run_coroutine_threadsafe(made, self._loop).result(PATIENCE)

        return call

    def close(self) -> None:
        """Closes the client and ends the loop."""
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def __enter__(self) -> Blocking:
        """Returns the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the client."""
        self.close()


class BlockingWatch:
    """An AsyncMetricWatch on an event loop of another thread, each event waited for."""

    def __init__(self, watch: AsyncMetricWatch, loop: asyncio.AbstractEventLoop) -> None:
        """Takes the watch."""
        self._watch = watch
        self._loop = loop

    @property
    def cursor(self) -> str:
        """Returns the watch's."""
        return self._watch.cursor

    def close(self) -> None:
        """Ends the watch."""
        asyncio.run_coroutine_threadsafe(self._watch.close(), self._loop).result(PATIENCE)

    def __iter__(self) -> BlockingWatch:
        """Returns the watch."""
        return self

    def __next__(self) -> MetricEvent:
        """Waits for the next event."""

        async def following() -> MetricEvent | None:
            return await anext(self._watch, None)

        event = asyncio.run_coroutine_threadsafe(following(), self._loop).result(PATIENCE)
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> BlockingWatch:
        """Returns the watch."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the watch."""
        self.close()


def connect(kind: str, address: str, **options: Any) -> Any:
    """Makes a client of either kind."""
    return Client(address, **options) if kind == "sync" else Blocking(address, **options)
