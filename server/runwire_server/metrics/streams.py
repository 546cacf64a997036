"""Conversations with writers: streams of frames, and the same by single calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from runwire.v1 import metric_pb2
from runwire_server.errors import InvalidArgument, RunwireError
from runwire_server.metrics.frame_stream import FrameStream
from runwire_server.metrics.ingest import Ingest


async def converse(
    ingest: Ingest, requests: AsyncIterator[metric_pb2.StreamFramesRequest]
) -> AsyncGenerator[metric_pb2.StreamFramesResponse, None]:
    """Speaks the server's side of `MetricService.StreamFrames`.

    Raises:
        RunwireError: what ends the stream.
    """
    first = await anext(requests, None)
    if first is None:
        return
    if first.WhichOneof("step") != "hello":
        raise InvalidArgument.field("hello", "must come first")
    stream = await ingest.open(first.hello)
    reading = asyncio.create_task(_read(stream, requests))
    try:
        yield metric_pb2.StreamFramesResponse(welcome=stream.welcome)
        while (ack := await stream.next_ack()) is not None:
            yield metric_pb2.StreamFramesResponse(ack=ack)
    finally:
        stream.leave()
        reading.cancel()
        await asyncio.wait([reading])


async def _read(stream: FrameStream, requests: AsyncIterator[metric_pb2.StreamFramesRequest]) -> None:
    """Takes in what a client sends, until it has ended its side or breaks the protocol."""
    try:
        async for request in requests:
            step = request.WhichOneof("step")
            if step == "frame":
                await stream.receive(request.frame)
            elif step == "declare":
                stream.declare(request.declare)
            elif step == "confirmed_through":
                await stream.confirm(request.confirmed_through)
            else:
                raise InvalidArgument.field("step", "must be a frame, declare or confirmed_through")
            if stream.ended:
                return
        stream.end()
    except Exception as error:
        stream.end(error)


async def append(ingest: Ingest, request: metric_pb2.AppendFramesRequest) -> metric_pb2.AppendFramesResponse:
    """Answers `MetricService.AppendFrames`.

    Raises:
        RunwireError: as the stream would end; frames before the one at fault are stored.
    """
    answer = metric_pb2.AppendFramesResponse()
    if request.HasField("hello"):
        stream = await ingest.open(request.hello)
        answer.welcome.CopyFrom(stream.welcome)
    else:
        stream = await ingest.resume(request.writer_id, request.epoch)
    try:
        await _take_in(stream, request)
        answer.ack.CopyFrom(await stream.last_ack())
        if request.confirmed_through:
            await stream.confirm(request.confirmed_through)
    finally:
        stream.leave()
    return answer


async def _take_in(stream: FrameStream, request: metric_pb2.AppendFramesRequest) -> None:
    try:
        for group in request.groups:
            stream.declare(group)
        for frame in request.frames:
            await stream.receive(frame)
    except RunwireError as error:
        stream.end(error)
