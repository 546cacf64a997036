"""A stream of frames on a grpc.aio channel, of which one process can hold many."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
from tests.support import frames

from runwire.v1 import frame_pb2, metric_pb2


class Stream:
    """Sends frames with a bound on those that are unacknowledged.

    Attributes:
        cutter: Its writer.
        latencies: Seconds from each frame's sending to its acknowledgement.
    """

    def __init__(self, channel: grpc.aio.Channel, cutter: frames.Cutter | None = None) -> None:
        """Opens the stream; its writer is a new one if none is given."""
        method = channel.stream_stream(
            frames.PATH, response_deserializer=metric_pb2.StreamFramesResponse.FromString
        )
        self._call: Any = method()
        self.cutter = cutter or frames.Cutter()
        self.latencies = array("d")
        self._sent: deque[float] = deque()
        self._acked = self.cutter.sequence
        self._moved = asyncio.Event()
        self._over: str | None = None
        self._reader: asyncio.Task[None] | None = None

    async def open(self) -> frame_pb2.Welcome:
        """Says hello and waits for the welcome."""
        hello = frame_pb2.Hello(
            writer_id=self.cutter.writer_id, acked_sequence=self._acked, acked_crc=self.cutter.crc
        )
        await self._write(metric_pb2.StreamFramesRequest(hello=hello))
        response = await self._call.read()
        if response is grpc.aio.EOF:
            raise ConnectionError(await self._end())
        self._reader = asyncio.ensure_future(self._read())
        return response.welcome

    async def declare(self, keys: Sequence[str]) -> bytes:
        """Declares a group, and returns its hash."""
        group = frame_pb2.Group(hash=frames.group_hash(keys), keys=keys)
        await self._write(metric_pb2.StreamFramesRequest(declare=group))
        return group.hash

    async def deliver(self, payloads: Iterator[bytes], window: int) -> None:
        """Cuts a frame of each payload and sends it; returns when all are acknowledged."""
        for payload in payloads:
            frame = self.cutter.cut_payload(payload)
            await self._until(window - 1)
            self._sent.append(time.perf_counter())
            await self._call.write(frame.request)
        await self._until(0)

    async def close(self) -> None:
        """Half-closes, and sees that the stream ends well."""
        await self._call.done_writing()
        if self._reader:
            await self._reader
        if await self._call.code() != grpc.StatusCode.OK:
            raise ConnectionError(await self._end())

    async def _until(self, unacknowledged: int) -> None:
        while len(self._sent) > unacknowledged:
            if self._over is not None:
                raise ConnectionError(self._over)
            self._moved.clear()
            await self._moved.wait()

    async def _write(self, request: metric_pb2.StreamFramesRequest) -> None:
        await self._call.write(request.SerializeToString())

    async def _read(self) -> None:
        while (response := await self._call.read()) is not grpc.aio.EOF:
            if response.ack.rejections:
                self._over = f"rejected: {response.ack.rejections}"
            now = time.perf_counter()
            while self._acked < response.ack.sequence:
                self._acked += 1
                self.latencies.append(now - self._sent.popleft())
            self._moved.set()
        self._over = await self._end()
        self._moved.set()

    async def _end(self) -> str:
        return f"{await self._call.code()}: {await self._call.details()}"
