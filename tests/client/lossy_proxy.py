"""A TCP proxy that loses answers: the server has done the work, and the client does not hear of it.

It understands just enough HTTP/2 to know when an answer passes: the nine bytes in front of each
frame. Once told to, it waits for the first data frame from the server, does not pass it on, and cuts
the connection. A unary answer is one data frame behind its headers, and a server sends it when it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

_DATA_FRAME = 0
_HEADER_BYTES = 9


class LossyProxy:
    """Forwards connections to a server, and loses answers on demand.

    Attributes:
        address: Where it listens.
        lost: How many answers it has lost.
    """

    def __init__(self, host: str, port: int) -> None:
        """Makes a proxy for a server; `running` starts it."""
        self._upstream = (host, port)
        self._to_lose = 0
        self._ends: set[asyncio.StreamWriter] = set()
        self.address = ""
        self.lost = 0

    def lose_next(self, count: int = 1) -> None:
        """Loses the answers of the next calls."""
        self._to_lose = count
        self.lost = 0

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        ways: list[asyncio.Future[None]] = []
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._upstream)
            self._ends.add(there_writer)
            ways = [
                asyncio.ensure_future(self._copy(reader, there_writer)),
                asyncio.ensure_future(self._answers(there_reader, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            # At once: what has been lost must not reach the client after all.
            writer.close()
            there_writer.close()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                header = await reader.readexactly(_HEADER_BYTES)
                body = await reader.readexactly(int.from_bytes(header[:3], "big"))
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            if header[3] == _DATA_FRAME and self._to_lose:
                self._to_lose -= 1
                self.lost += 1
                return
            writer.write(header + body)
            await writer.drain()

    @contextlib.contextmanager
    def running(self) -> Iterator[LossyProxy]:
        """Runs the proxy in a thread of its own, so that blocking clients can talk to it."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="lossy-proxy")
        thread.start()

        async def start() -> asyncio.Server:
            return await asyncio.start_server(self._client, "127.0.0.1", 0)

        async def stop(server: asyncio.Server) -> None:
            server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            for end in self._ends:
                end.transport.abort()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

        server = asyncio.run_coroutine_threadsafe(start(), loop).result(120)
        try:
            self.address = f"runwire://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(stop(server), loop).result(120)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(120)
            loop.close()
