"""What storage promises to those who take in frames, as `base` says it for all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from runwire.v1 import frame_pb2, metric_pb2
from runwire_server.domain.frames import Contents
from runwire_server.domain.writers import Writer
from runwire_server.storage.appended import Appended


class Care(Enum):
    """What an error that nobody expected does to frames.

    Attributes:
        NONE: It fails all of them.
        RECORDS: A record that would always fail is rejected alone; other errors fail all frames.
        ANYTHING: A record that fails for whatever reason is rejected alone.
    """

    NONE = 0
    RECORDS = 1
    ANYTHING = 2


@dataclass(frozen=True, slots=True)
class OpenWriter:
    """A writer on behalf of one stream.

    Attributes:
        key: The writer's row key.
        writer_id: Its public id.
        state: What is committed.
        rejections: Those that are not confirmed.
    """

    key: int
    writer_id: str
    state: Writer
    rejections: tuple[frame_pb2.Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What a transaction with frames of one writer has done.

    Attributes:
        rejections: What it has rejected.
        appended: What it has added, by run.
    """

    rejections: tuple[frame_pb2.Rejection, ...]
    appended: tuple[Appended, ...]


class WriterStore(Protocol):
    """Writers and what their frames do."""

    async def open(self, hello: frame_pb2.Hello) -> OpenWriter:
        """Mints the next epoch of a writer, which fences its older streams.

        Raises:
            FailedPrecondition: WRITER_UNKNOWN, SERVER_BEHIND, WRITER_DIVERGED.
        """

    async def resume(self, writer_id: str, epoch: int) -> OpenWriter:
        """Returns a writer that was opened before, without its rejections.

        Raises:
            FailedPrecondition: WRITER_UNKNOWN, WRITER_FENCED.
        """

    async def apply(
        self,
        writer: OpenWriter,
        before: Writer,
        after: Writer,
        frames: Sequence[Contents],
        care: Care = Care.NONE,
    ) -> Applied:
        """Applies the next frames of a writer, and rejects what can not be applied.

        Args:
            writer: Which one.
            before: Its state that is committed.
            after: Its state with the frames.
            frames: In order. Only the first may name groups that are not declared.
            care: What to do about errors that nobody expected.

        Raises:
            FailedPrecondition: WRITER_FENCED, WRITER_UNKNOWN, GROUP_UNKNOWN. Nothing is stored.
            Aborted: STORAGE_CONFLICT, also when the writer is used by two calls at once.
        """

    async def confirm(self, writer: OpenWriter, through: int) -> None:
        """Forgets rejections that end at or before a sequence.

        Raises:
            FailedPrecondition: WRITER_FENCED.
        """

    async def forget_unused(self) -> None:
        """Removes writers that were not used for 90 days and have no unconfirmed rejections, in steps."""


class LeaseStore(Protocol):
    """Leases of runs, by which those that fell silent are found."""

    async def beat(self, request: metric_pb2.HeartbeatRequest) -> metric_pb2.HeartbeatResponse:
        """Opens or renews leases; runs that were lost are found again."""

    async def mark_lost(self) -> int:
        """Ends the leases of runs that have been silent for too long, and returns how many there were."""
