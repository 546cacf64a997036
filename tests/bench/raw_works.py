"""Works by the raw protocol: frames of exactly what a row says, from one process."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any

import grpc
import numpy as np
from tests.bench import series_data
from tests.bench.raw_stream import Stream
from tests.support import frames

from runwire.v1 import frame_pb2, metric_pb2, metric_pb2_grpc

Works = Generator[None, None, dict[str, float]]
Timed = Callable[[], Coroutine[Any, Any, dict[str, float]]]
ROUNDS = 16


def _work(address: str, prepare: Callable[[grpc.aio.Channel], Awaitable[Timed]]) -> Works:
    """Makes a work of a coroutine that prepares, and returns the one that is timed."""

    async def opened() -> tuple[grpc.aio.Channel, Timed]:
        channel = grpc.aio.insecure_channel(address)
        return channel, await prepare(channel)

    with asyncio.Runner() as runner:
        channel, timed = runner.run(opened())
        yield
        result = runner.run(timed())
        runner.run(channel.close())
    return result


def fat(address: str, count: int, size: int, width: int = 1, window: int = 8) -> Works:
    """Frames of `size` steps of `width` keys on one stream."""

    async def prepare(channel: grpc.aio.Channel) -> Timed:
        stream, run_id = Stream(channel), frames.new_id()
        await stream.open()
        names = series_data.keys(width)
        key = await stream.declare(names) if width > frames.INLINE_KEYS else names
        values = series_data.losses(ROUNDS * size * width).reshape(ROUNDS, size * width)
        times = series_data.times(size)

        def payloads(first: int, end: int) -> Iterator[bytes]:
            for number in range(first, end):
                at = number * size
                block = frames.block(key, values[number % ROUNDS], times=times + at, first=at)
                yield frames.payload(frames.batch(run_id, block))

        await stream.deliver(iter([frames.payload(frames.begin(run_id)), *payloads(0, 2)]), window)

        async def timed() -> dict[str, float]:
            began = time.perf_counter()
            await stream.deliver(payloads(2, count + 2), window)
            seconds = time.perf_counter() - began
            await stream.close()
            return {"amount": count * size * width, "seconds": seconds}

        return timed

    return _work(address, prepare)


def single(address: str, streams: int, count: int, window: int) -> Works:
    """Frames of one point each, `count` of them on each stream; a window of 1 stops and waits."""

    async def prepare(channel: grpc.aio.Channel) -> Timed:
        opened = [Stream(channel) for _ in range(streams)]
        runs = [frames.new_id() for _ in opened]
        for stream, run_id in zip(opened, runs, strict=True):
            await stream.open()
            await stream.deliver(iter([frames.payload(frames.begin(run_id))]), 1)

        def payloads(run_id: str) -> Iterator[bytes]:
            for step in range(count):
                block = frames.block(["loss"], [step / 3], times=[series_data.START_MS + step], first=step)
                yield frames.payload(frames.batch(run_id, block))

        async def timed() -> dict[str, float]:
            began = time.perf_counter()
            pairs = zip(opened, runs, strict=True)
            await asyncio.gather(*(stream.deliver(payloads(run), window) for stream, run in pairs))
            seconds = time.perf_counter() - began
            return {"amount": streams * count, "seconds": seconds, **_latencies(opened)}

        return timed

    return _work(address, prepare)


def crowd(address: str, streams: int, seconds: float, size: int, window: int) -> Works:
    """Many streams, each with a run of its own, as fast as they are acknowledged, for some time."""

    async def prepare(channel: grpc.aio.Channel) -> Timed:
        opened = [Stream(channel) for _ in range(streams)]
        for stream in opened:
            await stream.open()
        values = series_data.losses(ROUNDS * size).reshape(ROUNDS, size)
        times = series_data.times(size)

        def payloads(end: float) -> Iterator[bytes]:
            run_id = frames.new_id()
            yield frames.payload(frames.begin(run_id))
            for number in itertools.count():
                if time.perf_counter() >= end:
                    return
                at = number * size
                block = frames.block(["loss"], values[number % ROUNDS], times=times + at, first=at)
                yield frames.payload(frames.batch(run_id, block))

        async def timed() -> dict[str, float]:
            began = time.perf_counter()
            await asyncio.gather(*(s.deliver(payloads(began + seconds), window) for s in opened))
            took = time.perf_counter() - began
            sent = sum(stream.cutter.sequence - 1 for stream in opened)
            return {"amount": sent * size, "seconds": took, **_latencies(opened)}

        return timed

    return _work(address, prepare)


def firehose(address: str, width: int, seconds: float, run_id: str, window: int = 8) -> Works:
    """One step of very many keys of one run after the other, in frames of 10,000 keys, for some time."""

    async def prepare(channel: grpc.aio.Channel) -> Timed:
        stream = Stream(channel)
        await stream.open()
        names = series_data.keys(width)
        parts = [names[at : at + 10_000] for at in range(0, width, 10_000)]
        groups = [await stream.declare(part) for part in parts]
        values = series_data.losses(ROUNDS * 10_000).reshape(ROUNDS, 10_000)

        def payloads(steps: Iterator[int], end: float) -> Iterator[bytes]:
            for step in steps:
                if time.perf_counter() >= end:
                    return
                for number, group in enumerate(groups):
                    row = values[(step + number) % ROUNDS, : len(parts[number])]
                    block = frames.block(group, row, times=[series_data.START_MS + step], first=step)
                    yield frames.payload(frames.batch(run_id, block))

        steps = itertools.count()
        first = payloads(itertools.islice(steps, 2), float("inf"))
        await stream.deliver(itertools.chain([frames.payload(frames.begin(run_id))], first), window)

        async def timed() -> dict[str, float]:
            before, began = stream.cutter.sequence, time.perf_counter()
            await stream.deliver(payloads(steps, began + seconds), window)
            took = time.perf_counter() - began
            return {"amount": (stream.cutter.sequence - before) / len(groups) * width, "seconds": took}

        return timed

    return _work(address, prepare)


def repeats(address: str, lasts: dict[str, dict[str, Any]], count: int) -> Works:
    """Sends the last frames of some writers again, as after an answer that was lost: with a hello, in turns.

    Args:
        address: Of the server.
        lasts: writer_id, sequence, crc and payload of each, by a name for its time.
        count: How often.
    """

    def request_of(writer_id: str, sequence: int, crc: int, payload: bytes) -> metric_pb2.AppendFramesRequest:
        return metric_pb2.AppendFramesRequest(
            hello=frame_pb2.Hello(writer_id=writer_id, acked_sequence=sequence - 1, acked_crc=crc),
            frames=[frame_pb2.Frame(sequence=sequence, previous_crc=crc, payload=payload)],
        )

    async def prepare(channel: grpc.aio.Channel) -> Timed:
        stub = metric_pb2_grpc.MetricServiceStub(channel)
        requests = {name: request_of(**last) for name, last in lasts.items()}

        async def timed() -> dict[str, float]:
            taken: dict[str, list[float]] = {name: [] for name in requests}
            for _ in range(count):
                for name, request in requests.items():
                    began = time.perf_counter()
                    response = await stub.AppendFrames(request)
                    taken[name].append(time.perf_counter() - began)
                    assert response.ack.sequence == request.frames[0].sequence, response
            return {f"{name}_ms": statistics.median(times) * 1e3 for name, times in taken.items()}

        return timed

    return _work(address, prepare)


def _latencies(streams: list[Stream]) -> dict[str, float]:
    taken = np.concatenate([np.frombuffer(stream.latencies) for stream in streams])
    return {"p50_ms": float(np.median(taken)) * 1e3, "p99_ms": float(np.quantile(taken, 0.99)) * 1e3}
