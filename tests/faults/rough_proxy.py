"""A proxy that does to every few messages, in both directions, what networks do."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from enum import Enum

from tests.client.lossy_proxy import LossyProxy

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADER_BYTES, _DATA_FRAME = 9, 0


class Fault(Enum):
    """What happens to a message."""

    # It comes late, and so does all behind it.
    DELAY = "delay"
    # Half of it passes, then both connections end.
    CUT = "cut"
    # Half of it passes, then both connections are reset.
    RESET = "reset"
    # It vanishes, and so does all behind it, in both directions; the connections stay for a while.
    BLACKHOLE = "blackhole"


class RoughProxy(LossyProxy):
    """Forwards connections to a server, and mistreats every k-th message.

    Attributes:
        faults: How many messages have been mistreated.
        calm: Whether it leaves messages alone; a black hole ends then.
    """

    def __init__(
        self, host: str, port: int, fault: Fault, every: int, seconds: float, *, once: bool = False
    ) -> None:
        """Makes a proxy for a server; `running` starts it.

        Args:
            host: Of the server.
            port: Its port.
            fault: What to do.
            every: To which messages, counted over all connections.
            seconds: How long a delay or a black hole lasts.
            once: Whether only the first of them is mistreated.
        """
        super().__init__(host, port)
        self._fault = fault
        self._every = every
        self._seconds = seconds
        self._once = once
        self._messages = 0
        self.faults = 0
        self.calm = False

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await reader.readexactly(len(_PREFACE)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        await self._answers(reader, writer)

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                header = await reader.readexactly(_HEADER_BYTES)
                frame = header + await reader.readexactly(int.from_bytes(header[:3], "big"))
                if header[3] == _DATA_FRAME and self._is_next():
                    if not await self._mistreat(frame, writer):
                        return
                else:
                    writer.write(frame)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    def _is_next(self) -> bool:
        self._messages += 1
        calm = self.calm or (self._once and self.faults > 0)
        return not calm and self._messages % self._every == 0

    async def _mistreat(self, frame: bytes, writer: asyncio.StreamWriter) -> bool:
        """Does what is to be done; whether the connection goes on."""
        self.faults += 1
        if self._fault is Fault.DELAY:
            await asyncio.sleep(self._seconds)
            writer.write(frame)
            return True
        if self._fault is Fault.BLACKHOLE:
            # Nothing is read in this direction either; the other one ends with this one.
            until = time.monotonic() + self._seconds
            while not self.calm and time.monotonic() < until:  # noqa: ASYNC110 - set from another thread
                await asyncio.sleep(0.01)
            return False
        writer.write(frame[: len(frame) // 2])
        await writer.drain()
        if self._fault is Fault.RESET:
            for end in self._ends:
                _reset(end)
        return False


def _reset(end: asyncio.StreamWriter) -> None:
    """Has a connection end with a reset when it is closed."""
    raw = end.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.transport.abort()
