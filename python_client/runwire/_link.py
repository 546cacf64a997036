"""A client's way to its server: the channel, and in local mode finding the server or starting it."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import Any

import grpc
import grpc.aio

from runwire import _channel, _local
from runwire._stubs import stubs


class Link:
    """The channel of a sync client; threads share it.

    The server of a folder may end and be started again, elsewhere even. So after each failure to reach it,
    the next call joins the folder anew; one that is joined already costs less than a millisecond.
    """

    def __init__(self, given: _channel.Settings) -> None:
        """Makes the link; it connects at the first call.

        Args:
            given: The client's settings.
        """
        self._given = given
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._channels: list[grpc.Channel] = []
        self._stubs: dict[str, Any] | None = None
        self._closed = False

    def stubs(self, remaining: float) -> dict[str, Any]:
        """Returns the stubs, by the name of their service.

        Args:
            remaining: Seconds that finding or starting a server may take.

        Raises:
            LocalServerFailed: The folder has no server, and gets none.
            ValueError: The client is closed.
        """
        if self._closed:
            raise ValueError("the client is closed")
        found = self._stubs
        if found is not None:
            return found
        with self._lock:
            return self._stubs or self._open(remaining)

    def lost(self, *, anew: bool = False) -> None:
        """Says that the server could not be reached: the next call looks where it is.

        Args:
            anew: Whether the next call has a connection of its own. One that could not connect answers with
                that failure until the end of its own back-off.
        """
        if anew:
            self._server = None
        if anew or self._given.address.folder is not None:
            self._stubs = None

    def close(self) -> None:
        """Closes the link, for good."""
        self._closed = True
        with self._lock:
            for channel in self._channels:
                channel.close()

    def _open(self, remaining: float) -> dict[str, Any]:
        found = _found(self._given, remaining)
        if found != self._server:
            # The last channel stays open: other threads may be about to call there.
            for channel in self._channels[:-1]:
                channel.close()
            self._channels = [*self._channels[-1:], _channel.open_channel(found.settings)]
            self._server = found
        self._stubs = stubs(self._channels[-1])
        return self._stubs


class AioLink:
    """The channel of an async client, for the event loop that runs at its first call; see `Link`."""

    def __init__(self, given: _channel.Settings) -> None:
        """Makes the link; it connects at the first call."""
        self._given = given
        self._server: _Server | None = None
        self._channels: list[grpc.aio.Channel] = []
        self._stubs: dict[str, Any] | None = None
        self._closed = False

    async def stubs(self, remaining: float) -> dict[str, Any]:
        """Returns the stubs; see `Link.stubs`."""
        if self._closed:
            raise ValueError("the client is closed")
        if self._stubs is not None:
            return self._stubs
        if self._given.address.folder is None:
            found = _found(self._given, remaining)
        else:
            # It looks at files, and may wait seconds for a server to start.
            found = await asyncio.to_thread(_found, self._given, remaining)
        if found != self._server:
            old, self._channels = self._channels[:-1], self._channels[-1:]
            # Not before: a grpc.aio channel belongs to the event loop that runs when it is made.
            self._channels.append(_channel.open_aio_channel(found.settings))
            self._server = found
            for channel in old:
                await channel.close()
        # Another task may have been faster, or have lost the server again: this one's is as good.
        self._stubs = stubs(self._channels[-1])
        return self._stubs

    def lost(self) -> None:
        """Says that the server could not be reached; see `Link.lost`."""
        if self._given.address.folder is not None:
            self._stubs = None

    async def close(self) -> None:
        """Closes the link, for good."""
        self._closed = True
        for channel in self._channels:
            await channel.close()


@dataclasses.dataclass(frozen=True, slots=True)
class _Server:
    """Where to connect; in local mode another process is another server, even at the same place."""

    settings: _channel.Settings
    pid: int


def _found(given: _channel.Settings, remaining: float) -> _Server:
    if given.address.folder is None:
        return _Server(given, 0)
    joined = _local.join(given.address.folder, remaining)
    address = _channel.parse_address(joined.address)
    return _Server(dataclasses.replace(given, address=address), joined.pid)
