"""A writer's spool: the frames that the server has not acknowledged, in files.

A spool is a folder of its own, named by its writer:

    lock          held (flock) by the one process that writes or delivers the spool; its text is the pid
    HEX.segment   segments, named by the sequence of their first frame in 16 hex digits; `_segments` has their
                  bytes
    acked         u64 sequence, u32 chained CRC, u32 CRC-32 of these 12 bytes: what is known to be
                  acknowledged; a stale or torn one costs nothing but a longer welcome
    rejections    entries of kind 4: what the server rejected, until a person was told
    aside         JSON: why this spool's frames can not go on as their writer

A frame's bytes are handed to the operating system before they are sent, so that they outlive the process.
They are not synced to disk one by one: online, the server's acknowledgement is the promise, and what is
acknowledged soon never costs a disk access here; `sync` is for those who have no server. Segments whose
frames are all acknowledged are deleted.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from runwire._segments import (
    GROUP,
    Cursor,
    Head,
    Scan,
    Segment,
    Stored,
    crc_in,
    entry,
    frame,
    head,
    sync,
    write_whole,
)
from runwire._spool_lock import lock, make
from runwire._spool_notes import NAMES, Notes
from runwire._spool_reader import Reader
from runwire._writer import START, Cut, Mark
from runwire.v1 import frame_pb2

SEGMENT_BYTES: Final = 16 * 1024 * 1024
# The bound of a spool that nobody adds to.
NO_LIMIT: Final = 1 << 62
_OVERHEAD: Final = 64
_LEAST_OF_FREE: Final = 256 * 1024


class Spool:
    """One writer's spool, held by this process.

    Attributes:
        folder: Where it lies.
        writer_id: The writer.
        address: The server that it is for; empty where none was set.
        acked: The last frame that is known to be acknowledged.
        cut: The last frame that was cut.
        torn: What was skipped when the spool was opened, in sentences.
        notes: What lies beside the frames.
    """

    def __init__(
        self, folder: Path, writer_id: str, address: str, held: int, limit: int, acked: Mark, cut: Mark
    ) -> None:
        """Use `create` or `open`."""
        self.folder = folder
        self.writer_id = writer_id
        self.address = address
        self.acked = acked
        self.cut = cut
        self.torn: list[str] = []
        self.notes = Notes(folder)
        self._limit = limit
        self._segment_bytes = 0
        self._lock_file = held
        self._guard = threading.Lock()
        self._segments: list[Segment] = []
        self._strays: list[Segment] = []
        self._file = -1
        self._declared: set[bytes] = set()
        self._reader = Reader(cut.sequence + 1)
        self._floor: int | None = None

    @classmethod
    def create(cls, root: Path, writer_id: str, address: str, limit: int, *, hidden: bool = False) -> Spool:
        """Makes the spool of a new writer.

        Args:
            root: The folder of spools; made if there is none.
            writer_id: The writer.
            address: The server that it is for.
            limit: Most bytes of its segments.
            hidden: Whether to leave it under a name that nobody takes for a spool.

        Returns:
            The spool.

        Raises:
            OSError: It can not be made.
        """
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Nobody looks into it before the lock is held: names with a dot are not spools.
        folder = root / f".{writer_id}"
        held = make(folder)
        if not hidden:
            folder = folder.rename(root / writer_id)
        return cls(folder, writer_id, address, held, limit, START, START)

    @classmethod
    def open(cls, folder: Path, limit: int) -> Spool:
        """Takes over the spool of a process that is gone.

        Args:
            folder: The spool.
            limit: Most bytes of its segments.

        Returns:
            The spool; `torn` says what was skipped.

        Raises:
            Held: Another process has it.
            OSError: It can not be read.
        """
        held = lock(folder)
        try:
            return cls._recovered(folder, held, limit)
        except BaseException:
            os.close(held)
            raise

    @classmethod
    def _recovered(cls, folder: Path, held: int, limit: int) -> Spool:
        scans = [Scan(path) for path in sorted(folder.glob("*.segment"))]
        whole = [scan for scan in scans if scan.head is not None]
        first = whole[0].head if whole else None
        base = whole[0].segment.before if whole else START
        writer_id, address = (first.writer_id, first.address) if first else (folder.name, "")
        spool = cls(folder, writer_id, address, held, limit, base, base)
        for scan in scans:
            if scan.torn:
                spool.torn.append(f"{scan.torn} bytes at the end of {scan.segment.path} are not whole")
            if scan.head is None:
                continue
            if spool._strays or scan.segment.before != spool.cut:
                spool.torn.append(f"{scan.segment.path} does not follow on what is in front of it")
                spool._strays.append(scan.segment)
                continue
            spool._segments.append(scan.segment)
            spool.cut = scan.end
        spool.acked = max(base, spool.notes.acked() or base)
        spool._reader = Reader(spool.acked.sequence + 1)
        aside = spool.notes.aside()
        spool._floor = None if aside is None else int(str(aside["delivered"]))
        return spool

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._segments)

    @property
    def pending(self) -> int:
        """How many frames are held that are not known to be acknowledged."""
        return max(0, self.cut.sequence - self.acked.sequence)

    @property
    def undelivered(self) -> int:
        """How many frames are held that the server does not have, as far as is known."""
        return max(0, self.cut.sequence - self._delivered) + self.stray

    @property
    def stray(self) -> int:
        """How many of these stand behind a damaged place, so that they can not go on as this writer."""
        return sum(max(0, one.last - max(one.before.sequence, self._delivered)) for one in self._strays)

    @property
    def _delivered(self) -> int:
        """The last frame that the server has, as far as is known, or that is not held."""
        if self._floor is None:
            return self.acked.sequence
        return max(self._floor, self._segments[0].before.sequence if self._segments else self.cut.sequence)

    def left(self) -> Iterator[Stored]:
        """Yields the frames that are undelivered.

        Raises:
            OSError: One can not be read.
        """
        for segment in (*self._segments, *self._strays):
            with contextlib.closing(Cursor(segment)) as cursor:
                for sequence in range(max(segment.before.sequence, self._delivered) + 1, segment.last + 1):
                    stored = cursor.read(sequence)
                    assert stored is not None
                    yield stored

    def set_aside(self, reason: str, message: str, delivered: int) -> None:
        """Notes that the frames can not go on as this writer.

        Args:
            reason: Name of the `ErrorReason`.
            message: A sentence for a person.
            delivered: The last sequence that the server has, as far as is known.

        Raises:
            OSError: The disk is full, or failed.
        """
        self._floor = delivered
        self.notes.set_aside(reason, message, delivered)

    def prepare(self, size: int) -> int | None:
        """Finds room for a frame, in a new segment if need be.

        Args:
            size: Bytes of the frame to come, with its groups.

        Returns:
            A number that changes with the segment; None if the spool is full.

        Raises:
            OSError: The disk is full, or failed.
        """
        size += _OVERHEAD
        with self._guard:
            current = self._segments[-1] if self._file >= 0 else None
            if current is not None and current.last <= self.acked.sequence:
                most = self._segment_bytes
                if current.filled and (current.size > most // 2 or current.size + size > most):
                    self._drop(len(self._segments))
                    current = None
            if self.pending and self.size + size > self._limit:
                return None
            if current is None or (current.filled and current.size + size > self._segment_bytes):
                self._begin_segment()
            return self._segments[-1].before.sequence

    def _begin_segment(self) -> None:
        first = self.cut.sequence + 1
        path = self.folder / f"{first:016x}.segment"
        data = head(Head(self.writer_id, first, self.cut.crc, self.address))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_whole(descriptor, data, 0)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        self._close_file()
        self._file = descriptor
        self._declared = set()
        self._segment_bytes = self._segment_bound()
        self._segments.append(Segment(path, self.cut, self.cut.sequence, len(data)))

    def _segment_bound(self) -> int:
        """Says how large a segment may grow: to a part of what is free, so that acks free some."""
        found = os.statvfs(self.folder)
        free = max(_LEAST_OF_FREE, found.f_bavail * found.f_frsize // 4)
        return max(4096, min(SEGMENT_BYTES, self._limit // 8, free))

    def _close_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def append(self, made: Cut, payload: bytes, groups: Iterable[frame_pb2.Group]) -> None:
        """Writes a frame, in the segment that `prepare` found.

        Args:
            made: Its place.
            payload: What it says.
            groups: What it names.

        Raises:
            OSError: The disk is full, or failed; nothing of the frame is there then.
        """
        named = tuple(groups)
        new = [group for group in named if group.hash not in self._declared]
        data = b"".join(entry(GROUP, group.SerializeToString()) for group in new)
        data += frame(made.sequence, made.previous_crc, payload)
        with self._guard:
            segment = self._segments[-1]
            write_whole(self._file, data, segment.size)
            self._declared.update(group.hash for group in new)
            segment.size += len(data)
            segment.last = made.sequence
            self.cut = Mark(made.sequence, made.crc)
            self._reader.offer(Stored(made.sequence, made.previous_crc, made.crc, payload, named))

    def take(self, sequence: int) -> Stored | None:
        """Returns a frame to send.

        Args:
            sequence: The frame, one that is not acknowledged.

        Returns:
            It; None if it was not cut yet.

        Raises:
            OSError: It can not be read.
        """
        with self._guard:
            return self._reader.take(sequence, self._segments)

    def crc_at(self, sequence: int) -> int | None:
        """Returns the chained CRC of a frame that is held; None if it is not."""
        with self._guard:
            for segment in self._segments:
                if segment.before.sequence == sequence:
                    return segment.before.crc
                if segment.before.sequence < sequence <= segment.last:
                    return crc_in(segment, sequence)
        return None

    def acknowledge(self, mark: Mark) -> None:
        """Notes what is acknowledged, and deletes the segments that are so as a whole.

        Args:
            mark: The last frame that is on the server's disk.
        """
        with self._guard:
            if mark.sequence <= self.acked.sequence:
                return
            self.acked = mark
            # A mark that a full disk does not take is a longer welcome, and no loss.
            with contextlib.suppress(OSError):
                self.notes.acknowledge(mark)
            whole = 0
            while whole < len(self._segments) - 1 and self._segments[whole].last <= mark.sequence:
                whole += 1
            self._drop(whole)

    def reclaim(self) -> bool:
        """Deletes what is written if all of it is acknowledged: the way on when the disk is full.

        Returns:
            Whether that freed anything; the next frame needs `prepare` then.
        """
        with self._guard:
            if self.pending or not any(segment.filled for segment in self._segments):
                return False
            self._drop(len(self._segments))
            return True

    def _drop(self, count: int) -> None:
        """Deletes the first segments."""
        gone, self._segments = self._segments[:count], self._segments[count:]
        if gone and not self._segments:
            self._close_file()
        for segment in gone:
            self._reader.drop(segment)
            segment.path.unlink(missing_ok=True)

    def sync(self) -> None:
        """Has everything on the disk.

        Raises:
            OSError: The disk failed.
        """
        with self._guard:
            for segment in self._segments:
                segment.sync()
            sync(self.folder)
            # Where its own name stands.
            sync(self.folder.parent)

    def close(self) -> None:
        """Lets go of the spool, and removes it if it holds nothing that anybody needs."""
        if self.undelivered or self.notes.kept:
            self.release()
        else:
            self.remove()

    def remove(self) -> None:
        """Removes the spool with all that it holds."""
        with self._guard:
            # The mark of what is delivered goes behind them: a crash in between must not bring frames back.
            for path in sorted(self.folder.glob("*.segment")):
                path.unlink(missing_ok=True)
            for name in NAMES:
                (self.folder / name).unlink(missing_ok=True)
            # Whatever else lies there is somebody's.
            with contextlib.suppress(OSError):
                self.folder.rmdir()
        self.release()

    def release(self) -> None:
        """Lets go of the spool, also in a child that inherited it: the lock stays with the parent then."""
        self._close_file()
        self._reader.close()
        self.notes.close()
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1
