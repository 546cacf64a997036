"""A raw client of streamed frames: makes their bytes, sends them, and waits for acknowledgements.

Records are made as bytes, without an object for each point: what is measured with them is the server.
"""

from __future__ import annotations

import hashlib
import queue
import struct
import threading
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
import numpy as np
from tests.support.server import PATIENCE

from runwire._ids import uuid7
from runwire.v1 import frame_pb2, metric_pb2, run_pb2

PATH = "/runwire.v1.MetricService/StreamFrames"
INLINE_KEYS = 8
# Numbers of fields that are written by hand.
_FRAME, _PAYLOAD_RECORDS, _RECORD_BATCH = 2, 1, 3
_BATCH_RUN, _BATCH_BLOCKS = 1, 2
_KEYS, _GROUP, _STEPS, _RANGE, _TIMES, _VALUES = 1, 2, 3, 4, 5, 6


def new_id() -> str:
    """Returns an id for a writer or a run."""
    return uuid7().hex


def group_hash(keys: Iterable[str]) -> bytes:
    """Returns what blocks call a group of keys."""
    return hashlib.sha256(b"".join(key.encode() + b"\0" for key in keys)).digest()[:16]


def block(
    keys: Sequence[str] | bytes,
    values: Any,
    *,
    times: Any,
    steps: Any = None,
    first: int = 0,
    stride: int = 1,
) -> bytes:
    """Returns the bytes of a block.

    Args:
        keys: The keys, or the hash of a group.
        values: S x K numbers, step after step.
        times: S unix milliseconds.
        steps: S steps; None takes `first` and `stride` instead.
        first: The first step.
        stride: The distance of the steps.
    """
    names = _field(_GROUP, keys) if isinstance(keys, bytes) else _key_fields(tuple(keys))
    if steps is None:
        axis = _field(_RANGE, struct.pack("<BqBq", 9, first, 17, stride))
    else:
        axis = _field(_STEPS, _field(1, _bytes(steps, "<i8")))
    return b"".join(
        (names, axis, _field(_TIMES, _bytes(times, "<i8")), _field(_VALUES, _bytes(values, "<f8")))
    )


def batch(run_id: str, *blocks: bytes) -> bytes:
    """Returns the bytes of a record of blocks."""
    fields = [_field(_BATCH_RUN, run_id.encode()), *(_field(_BATCH_BLOCKS, each) for each in blocks)]
    return _field(_RECORD_BATCH, b"".join(fields))


def begin(run_id: str, experiment_name: str = "", **fields: Any) -> bytes:
    """Returns the bytes of a record that begins a run, in the Default experiment if none is named."""
    if not experiment_name:
        fields.setdefault("experiment_id", "0")
    run = run_pb2.CreateRunRequest(run_id=run_id, **fields)
    return record(begin=frame_pb2.BeginRun(run=run, experiment_name=experiment_name))


def finish(run_id: str) -> bytes:
    """Returns the bytes of a record that ends a run."""
    return record(finish=run_pb2.FinishRunRequest(run_id=run_id))


def record(**kind: Any) -> bytes:
    """Returns the bytes of any record."""
    return frame_pb2.Record(**kind).SerializeToString()


def payload(*records: bytes) -> bytes:
    """Returns the bytes of a FramePayload."""
    return b"".join(_field(_PAYLOAD_RECORDS, each) for each in records)


def chained(previous: int, data: bytes) -> int:
    """Returns the chained CRC of the frame of a payload."""
    return zlib.crc32(data, zlib.crc32(previous.to_bytes(4, "little")))


@dataclass(frozen=True, slots=True)
class Frame:
    """A cut frame."""

    sequence: int
    previous_crc: int
    payload: bytes

    @property
    def crc(self) -> int:
        """Its chained CRC."""
        return chained(self.previous_crc, self.payload)

    @property
    def request(self) -> bytes:
        """The StreamFramesRequest that sends it."""
        head = b"\x08" + _varint(self.sequence) + struct.pack("<BI", 21, self.previous_crc)
        return _field(_FRAME, head + _field(3, self.payload))

    @property
    def message(self) -> frame_pb2.Frame:
        """It as AppendFrames takes it."""
        return frame_pb2.Frame(sequence=self.sequence, previous_crc=self.previous_crc, payload=self.payload)


class Cutter:
    """Cuts the frames of one writer.

    Attributes:
        writer_id: The writer.
        sequence: Of the last frame that was cut.
        crc: Its chained CRC.
    """

    def __init__(self, writer_id: str = "", sequence: int = 0, crc: int = 0) -> None:
        self.writer_id = writer_id or new_id()
        self.sequence = sequence
        self.crc = crc

    def cut(self, *records: bytes) -> Frame:
        """Cuts a frame of some records."""
        return self.cut_payload(payload(*records))

    def cut_payload(self, data: bytes) -> Frame:
        """Cuts a frame of a payload, whatever it is."""
        self.sequence += 1
        frame = Frame(self.sequence, self.crc, data)
        self.crc = frame.crc
        return frame


class FrameStream:
    """An open stream of frames. Its methods may be called from several threads.

    Attributes:
        welcome: What the server said first.
        acked: The last acknowledged sequence; that of the welcome at first.
        crc: Its chained CRC.
        rejections: All that acknowledgements have told, in order; those of the welcome are in there.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        writer_id: str,
        *,
        acked_sequence: int = 0,
        acked_crc: int = 0,
        replayable: bool = False,
        timeout: float = PATIENCE,
    ) -> None:
        """Says hello, and waits for the welcome.

        Raises:
            grpc.RpcError: as the stream ended, if it did.
        """
        hello = frame_pb2.Hello(
            writer_id=writer_id,
            acked_sequence=acked_sequence,
            acked_crc=acked_crc,
            replayable=replayable,
        )
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._ended: grpc.RpcError | None = None
        self._over = False
        self.welcome = frame_pb2.Welcome()
        self.acked = self.crc = 0
        self.rejections: list[frame_pb2.Rejection] = []
        method = channel.stream_stream(PATH, response_deserializer=metric_pb2.StreamFramesResponse.FromString)
        self._requests.put(metric_pb2.StreamFramesRequest(hello=hello).SerializeToString())
        self._call = method(iter(self._requests.get, None))
        threading.Thread(target=self._read, name="frame-stream", daemon=True).start()
        self._await(lambda: self.welcome.epoch > 0, timeout)

    def send(self, *frames: Frame) -> None:
        """Sends frames; it does not wait."""
        for frame in frames:
            self._requests.put(frame.request)

    def send_requests(self, requests: Iterable[bytes]) -> None:
        """Sends serialised requests."""
        for request in requests:
            self._requests.put(request)

    def declare(self, keys: Sequence[str], hash: bytes | None = None) -> bytes:
        """Declares a group, and returns its hash (or the one that it is to claim)."""
        group = frame_pb2.Group(hash=group_hash(keys) if hash is None else hash, keys=keys)
        self._requests.put(metric_pb2.StreamFramesRequest(declare=group).SerializeToString())
        return group.hash

    def confirm(self, through: int) -> None:
        """Confirms rejections."""
        self._requests.put(metric_pb2.StreamFramesRequest(confirmed_through=through).SerializeToString())

    def wait(self, sequence: int, timeout: float = PATIENCE) -> None:
        """Waits until a frame is acknowledged.

        Raises:
            grpc.RpcError: as the stream ended, if it did before that.
            TimeoutError: if nothing happens.
        """
        self._await(lambda: self.acked >= sequence, timeout)

    def deliver(self, *frames: Frame, timeout: float = PATIENCE) -> None:
        """Sends frames and waits until they are acknowledged; raises as `wait` does."""
        self.send(*frames)
        self.wait(frames[-1].sequence, timeout)

    def half_close(self, timeout: float = PATIENCE) -> None:
        """Says that nothing more comes, and waits for the end of the stream.

        Raises:
            grpc.RpcError: if the stream does not end with OK.
            TimeoutError: if it does not end.
        """
        self._requests.put(None)
        self._await(lambda: self._over, timeout)

    def error(self, timeout: float = PATIENCE) -> grpc.RpcError:
        """Waits for the stream to end badly, and returns how.

        Raises:
            TimeoutError: if it does not end.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._over, timeout):
                raise TimeoutError("the stream goes on")
        assert self._ended is not None, "the stream ended with OK"
        return self._ended

    def cancel(self) -> None:
        """Breaks the stream off."""
        self._requests.put(None)
        self._call.cancel()

    def __enter__(self) -> FrameStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def _await(self, condition: Any, timeout: float) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: condition() or self._over, timeout):
                raise TimeoutError(f"acknowledged up to {self.acked}, and no further")
            if not condition():
                raise self._ended or AssertionError("the stream ended with OK too early")

    def _read(self) -> None:
        try:
            for response in self._call:
                self._take(response)
        except grpc.RpcError as error:
            self._ended = error
        with self._changed:
            self._over = True
            self._changed.notify_all()
        # Lets the thread that sends go.
        self._requests.put(None)

    def _take(self, response: metric_pb2.StreamFramesResponse) -> None:
        with self._changed:
            if response.WhichOneof("step") == "welcome":
                self.welcome = response.welcome
                self.acked, self.crc = response.welcome.committed_sequence, response.welcome.committed_crc
                self.rejections += response.welcome.rejections
            else:
                self.acked, self.crc = response.ack.sequence, response.ack.crc
                self.rejections += response.ack.rejections
            self._changed.notify_all()


def _key_fields(keys: tuple[str, ...]) -> bytes:
    return b"".join(_field(_KEYS, key.encode()) for key in keys)


def _bytes(numbers: Any, kind: str) -> bytes:
    return numbers if isinstance(numbers, bytes) else np.ascontiguousarray(numbers, kind).tobytes()


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return bytes((number << 3 | 2,)) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
