"""The bytes of a spool: what a segment file holds, and how it is read when its end is torn.

A segment starts with the 8 bytes `RWSPOOL1`; entries follow, without gaps. All numbers are
little-endian:

    entry      u32 size of the body, u32 CRC-32 (of zlib) of kind and body, u8 kind, body
    kind 1     head, the first entry: 16 bytes writer id, u64 sequence of the segment's first frame,
               u32 chained CRC of the frame before it, u16 size of an address, the address in UTF-8
    kind 2     group: a serialised `Group`. Groups that frames of the segment name stand before them
    kind 3     frame: u64 sequence, u32 chained CRC of the frame before it, the payload
    kind 4     rejection: a serialised `Rejection` (in the file `rejections` only, which has no head)

Each segment can be read alone: its groups are declared in it, and its first frame that names a run
begins that run. An entry that is cut short, or whose CRC is wrong, ends the segment: a process or a machine
stopped while it was written.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from runwire._writer import Mark, chained
from runwire.v1 import frame_pb2

MAGIC: Final = b"RWSPOOL1"
HEAD: Final = 1
GROUP: Final = 2
FRAME: Final = 3
REJECTION: Final = 4

_ENTRY: Final = struct.Struct("<IIB")
_HEAD: Final = struct.Struct("<16sQIH")
_FRAME: Final = struct.Struct("<QI")
# No entry is larger; a size beyond it is garbage, and not worth the memory of reading on.
_MOST_BYTES: Final = 64 * 1024 * 1024


class Entry(NamedTuple):
    """One entry, and where the next one starts."""

    kind: int
    body: bytes
    end: int


class Head(NamedTuple):
    """What the head of a segment says."""

    writer_id: str
    first: int
    previous_crc: int
    address: str


class Stored(NamedTuple):
    """A frame as it lies in a spool, with the groups that have to be declared before it."""

    sequence: int
    previous_crc: int
    crc: int
    payload: bytes
    groups: tuple[frame_pb2.Group, ...]


@dataclass(slots=True)
class Segment:
    """One segment file.

    Attributes:
        path: The file.
        before: The place in front of its first frame.
        last: Sequence of its last frame; that of `before` if it has none.
        size: Bytes of its whole entries.
        synced: How many of these were synced to the disk.
    """

    path: Path
    before: Mark
    last: int
    size: int
    synced: int = 0

    @property
    def filled(self) -> bool:
        """Whether it has any frame."""
        return self.last > self.before.sequence

    def sync(self) -> None:
        """Has it on the disk.

        Raises:
            OSError: The disk failed.
        """
        if self.synced < self.size:
            size = self.size
            sync(self.path)
            self.synced = size


def sync(path: Path) -> None:
    """Has a file's bytes, or a folder's entries, on the disk.

    Raises:
        OSError: The disk failed.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def entry(kind: int, body: bytes) -> bytes:
    """Writes an entry."""
    mark = bytes((kind,))
    return _ENTRY.pack(len(body), zlib.crc32(body, zlib.crc32(mark)), kind) + body


def head(given: Head) -> bytes:
    """Writes what a segment starts with."""
    address = given.address.encode()
    fixed = _HEAD.pack(bytes.fromhex(given.writer_id), given.first, given.previous_crc, len(address))
    return MAGIC + entry(HEAD, fixed + address)


def frame(sequence: int, previous_crc: int, payload: bytes) -> bytes:
    """Writes a frame's entry."""
    place = _FRAME.pack(sequence, previous_crc)
    crc = zlib.crc32(payload, zlib.crc32(place, zlib.crc32(bytes((FRAME,)))))
    # As `entry` does, but payloads are large: they are copied once.
    return b"".join((_ENTRY.pack(len(place) + len(payload), crc, FRAME), place, payload))


def write_whole(descriptor: int, data: bytes, at: int) -> None:
    """Writes at a place of a file, and leaves no part there if not all of it fits on the disk.

    Args:
        descriptor: The open file.
        data: The bytes.
        at: Where; what lies behind is cut off on failure.

    Raises:
        OSError: The disk is full, or failed.
    """
    view, done = memoryview(data), 0
    try:
        while done < len(data):
            done += os.pwrite(descriptor, view[done:], at + done)
    except OSError:
        os.ftruncate(descriptor, at)
        raise


def entries(file: BinaryIO, start: int, end: int) -> Iterator[Entry]:
    """Reads entries until the end, or to the first that is not whole.

    Args:
        file: The file.
        start: Where the first entry starts.
        end: Where to stop.

    Yields:
        The entries.
    """
    file.seek(start)
    at = start
    while at + _ENTRY.size <= end:
        size, crc, kind = _ENTRY.unpack(file.read(_ENTRY.size))
        if size > _MOST_BYTES or at + _ENTRY.size + size > end:
            return
        body = file.read(size)
        if len(body) < size or zlib.crc32(body, zlib.crc32(bytes((kind,)))) != crc:
            return
        at += _ENTRY.size + size
        yield Entry(kind, body, at)


def read_head(body: bytes) -> Head:
    """Reads the body of a head."""
    writer, first, crc, size = _HEAD.unpack_from(body)
    return Head(writer.hex(), first, crc, body[_HEAD.size : _HEAD.size + size].decode())


def read_frame(body: bytes) -> tuple[int, int, bytes]:
    """Reads the body of a frame: sequence, previous CRC, payload."""
    sequence, crc = _FRAME.unpack_from(body)
    return sequence, crc, body[_FRAME.size :]


class Scan:
    """A segment read from its start to its end, or to where it is torn.

    Attributes:
        head: What its head says; None if not even that is whole.
        segment: The segment, as far as it is whole.
        end: The place of its last whole frame.
        torn: How many bytes at its end are not whole.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Args:
            path: The segment.

        Raises:
            OSError: It can not be read.
        """
        self.head: Head | None = None
        size = path.stat().st_size
        whole = 0
        self.end = Mark(0, 0)
        with path.open("rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                for one in entries(file, len(MAGIC), size):
                    if not self._take(one):
                        break
                    whole = one.end
        before = Mark(self.head.first - 1, self.head.previous_crc) if self.head else Mark(0, 0)
        self.segment = Segment(path, before, self.end.sequence, whole)
        self.torn = size - whole

    def _take(self, one: Entry) -> bool:
        """Takes an entry; returns whether it fits what came before."""
        try:
            return self._fits(one)
        except (struct.error, UnicodeDecodeError):
            # It is whole, but no program that knows the format has written it.
            return False

    def _fits(self, one: Entry) -> bool:
        if self.head is None:
            if one.kind != HEAD:
                return False
            self.head = read_head(one.body)
            self.end = Mark(self.head.first - 1, self.head.previous_crc)
        elif one.kind == FRAME:
            sequence, previous, payload = read_frame(one.body)
            if (sequence, previous) != (self.end.sequence + 1, self.end.crc):
                return False
            self.end = Mark(sequence, chained(previous, payload))
        return True


class Cursor:
    """Reads the frames of one segment in their order, also while more are written behind them."""

    def __init__(self, segment: Segment) -> None:
        """Opens the segment at its start.

        Args:
            segment: The segment; its `size` says how far to read.

        Raises:
            OSError: It can not be read.
        """
        self.segment = segment
        # Not buffered: a buffer has a lock, and a child forked within a read would wait for it for ever.
        self._file: Any = segment.path.open("rb", buffering=0)
        self._at = len(MAGIC)
        self._groups: dict[bytes, frame_pb2.Group] = {}
        self.next = segment.before.sequence + 1

    def read(self, sequence: int) -> Stored | None:
        """Reads on to a frame.

        Args:
            sequence: The frame, at or behind `next`.

        Returns:
            It, with all groups that stand before it in the segment; None if the segment has none such yet.
        """
        for one in entries(self._file, self._at, self.segment.size):
            self._at = one.end
            if one.kind == GROUP:
                group = frame_pb2.Group.FromString(one.body)
                self._groups[group.hash] = group
            elif one.kind == FRAME:
                found, previous, payload = read_frame(one.body)
                self.next = found + 1
                if found == sequence:
                    crc = chained(previous, payload)
                    return Stored(found, previous, crc, payload, tuple(self._groups.values()))
        return None

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def crc_in(segment: Segment, sequence: int) -> int | None:
    """Reads a segment up to a frame.

    Args:
        segment: The segment.
        sequence: The frame.

    Returns:
        The frame's chained CRC; None if the segment has no such frame.
    """
    crc = segment.before.crc
    with segment.path.open("rb") as file:
        for one in entries(file, len(MAGIC), segment.size):
            if one.kind == FRAME:
                found, previous, payload = read_frame(one.body)
                crc = chained(previous, payload)
                if found == sequence:
                    return crc
    return None
