"""Writers of frames in SQL: their epochs, what their frames do, and what was rejected.

Frames of one writer that wait together are one transaction: the writer's row moves from the state before
to the state after them, or nothing happens at all. Locks are taken in one order: the writer, experiments
and new runs, run rows.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy import bindparam

from runwire.v1 import frame_pb2
from runwire_server.domain import writers
from runwire_server.domain.frames import Contents
from runwire_server.domain.writers import RejectionKey, Writer
from runwire_server.errors import Aborted
from runwire_server.failpoints import reach
from runwire_server.storage.engine import Engine, HotStatement, insert
from runwire_server.storage.frame_changes import FrameChanges
from runwire_server.storage.schema import metric_rejection, metric_writer
from runwire_server.storage.writer_base import Applied, Care, OpenWriter

# How long an unused writer is remembered.
KEPT_MS = 90 * 24 * 3600 * 1000
# Rows removed in one step.
STEP = 1_000

_OPEN = HotStatement(
    lambda _: (
        insert(metric_writer)
        .values(
            writer_id=bindparam("writer_id"),
            epoch=1,
            sequence=0,
            crc=0,
            replayable=bindparam("replayable"),
            last_used_time=bindparam("now"),
        )
        .on_conflict_do_update(
            index_elements=["writer_id"],
            set_={
                "epoch": metric_writer.c.epoch + 1,
                "replayable": insert(metric_writer).excluded.replayable,
                "last_used_time": insert(metric_writer).excluded.last_used_time,
            },
        )
        .returning(
            metric_writer.c.id,
            metric_writer.c.epoch,
            metric_writer.c.sequence,
            metric_writer.c.crc,
        )
    )
)
_KNOWN = HotStatement(
    lambda _: sa.select(
        metric_writer.c.id,
        metric_writer.c.epoch,
        metric_writer.c.sequence,
        metric_writer.c.crc,
        metric_writer.c.replayable,
    ).where(metric_writer.c.writer_id == bindparam("writer_id"))
)
_ADVANCE = HotStatement(
    lambda _: (
        sa.update(metric_writer)
        .where(
            metric_writer.c.id == bindparam("writer"),
            metric_writer.c.epoch == bindparam("at_epoch"),
            metric_writer.c.sequence == bindparam("before"),
        )
        .values(sequence=bindparam("after"), crc=bindparam("to_crc"), last_used_time=bindparam("now"))
    )
)
_REJECTIONS = HotStatement(
    lambda _: (
        sa.select(
            metric_rejection.c.run_id,
            metric_rejection.c.reason,
            metric_rejection.c.message,
            metric_rejection.c.metadata,
            metric_rejection.c.first_sequence,
            metric_rejection.c.last_sequence,
            metric_rejection.c.records,
            metric_rejection.c.points,
        )
        .where(metric_rejection.c.writer == bindparam("writer"))
        .order_by(metric_rejection.c.first_sequence, metric_rejection.c.run_id, metric_rejection.c.reason)
    )
)
_REJECTION_NAMES = tuple(c.name for c in metric_rejection.c)


def _upsert_rejection(_: str) -> sa.Executable:
    statement = insert(metric_rejection).values(
        {c.name: bindparam(c.name, type_=c.type) for c in metric_rejection.c}
    )
    changing = ("last_sequence", "records", "points")
    return statement.on_conflict_do_update(
        index_elements=["writer", "run_id", "reason"],
        set_={name: statement.excluded[name] for name in changing},
    )


_UPSERT_REJECTION = HotStatement(_upsert_rejection)


class SqlWriters:
    """See `writer_base.WriterStore`."""

    def __init__(self, engine: Engine, clock: Callable[[], int], chance: random.Random) -> None:
        self._engine = engine
        self._clock = clock
        self._chance = chance

    async def open(self, hello: frame_pb2.Hello) -> OpenWriter:
        """See `writer_base.WriterStore.open`."""
        now = self._clock()

        def unit(connection: sa.Connection) -> OpenWriter:
            ((key, epoch, sequence, crc),) = _OPEN.rows(
                connection, writer_id=hello.writer_id, replayable=int(hello.replayable), now=now
            )
            stored = None if epoch == 1 else Writer(epoch - 1, sequence, crc)
            state = writers.opened(stored, hello)
            kept = tuple(_rejections(connection, key).values()) if stored else ()
            return OpenWriter(key, hello.writer_id, state, kept)

        return await self._engine.write(unit)

    async def resume(self, writer_id: str, epoch: int) -> OpenWriter:
        """See `writer_base.WriterStore.resume`."""

        def unit(connection: sa.Connection) -> OpenWriter:
            found = _KNOWN.rows(connection, writer_id=writer_id)
            if not found:
                raise writers.unknown(writer_id)
            ((key, current, sequence, crc, replayable),) = found
            if current != epoch:
                raise writers.fenced(writer_id, current)
            return OpenWriter(key, writer_id, Writer(current, sequence, crc, bool(replayable)))

        return await self._engine.read(unit)

    async def apply(
        self,
        writer: OpenWriter,
        before: Writer,
        after: Writer,
        frames: Sequence[Contents],
        care: Care = Care.NONE,
    ) -> Applied:
        """See `writer_base.WriterStore.apply`."""
        now = self._clock()

        def unit(connection: sa.Connection) -> Applied:
            if not _ADVANCE.count(
                connection,
                writer=writer.key,
                at_epoch=before.epoch,
                before=before.sequence,
                after=after.sequence,
                to_crc=after.crc,
                now=now,
            ):
                raise self._lost(connection, writer, before)
            changes = FrameChanges(connection, now, self._chance, care)
            appended = changes.apply(frames)
            rejections = changes.rejections
            if rejections:
                _note(connection, writer.key, rejections)
            reach("before-commit")
            return Applied(tuple(rejections), tuple(appended))

        return await self._engine.write(unit)

    def _lost(self, connection: sa.Connection, writer: OpenWriter, before: Writer) -> Exception:
        """Says why a writer's row is not as it was."""
        found = _KNOWN.rows(connection, writer_id=writer.writer_id)
        if not found:
            return writers.unknown(writer.writer_id)
        if found[0][1] != before.epoch:
            return writers.fenced(writer.writer_id, found[0][1])
        return Aborted("STORAGE_CONFLICT", "another call of this writer came in between", retry_after=0.1)

    async def confirm(self, writer: OpenWriter, through: int) -> None:
        """See `writer_base.WriterStore.confirm`."""
        now = self._clock()
        mine = (metric_writer.c.id == writer.key) & (metric_writer.c.epoch == writer.state.epoch)

        def unit(connection: sa.Connection) -> None:
            used = sa.update(metric_writer).where(mine).values(last_used_time=now)
            if not connection.execute(used).rowcount:
                raise self._lost(connection, writer, writer.state)
            connection.execute(
                sa.delete(metric_rejection).where(
                    metric_rejection.c.writer == writer.key, metric_rejection.c.last_sequence <= through
                )
            )

        await self._engine.write(unit)

    async def forget_unused(self) -> None:
        """See `writer_base.WriterStore.forget_unused`."""
        before = self._clock() - KEPT_MS
        told = sa.exists().where(metric_rejection.c.writer == metric_writer.c.id)
        old = (
            sa.select(metric_writer.c.id)
            .where(metric_writer.c.last_used_time <= before, ~told)
            .order_by(metric_writer.c.last_used_time)
            .limit(STEP)
        )

        def step(connection: sa.Connection) -> int:
            # One that is in use by now keeps its row.
            unused = metric_writer.c.last_used_time <= before
            gone = sa.delete(metric_writer).where(metric_writer.c.id.in_(old), unused)
            return connection.execute(gone).rowcount

        while await self._engine.read(lambda c: c.scalar(sa.select(sa.exists(old)))):
            if not await self._engine.write(step):
                return


def _rejections(connection: sa.Connection, writer: int) -> dict[RejectionKey, frame_pb2.Rejection]:
    """Returns the rejections that a writer has to confirm."""
    return {
        (run_id, reason): frame_pb2.Rejection(
            run_id=run_id,
            reason=reason,
            message=message,
            metadata=json.loads(metadata),
            first_sequence=first,
            last_sequence=last,
            records=records,
            points=points,
        )
        for run_id, reason, message, metadata, first, last, records, points in _REJECTIONS.rows(
            connection, writer=writer
        )
    }


def _note(connection: sa.Connection, writer: int, rejections: Sequence[frame_pb2.Rejection]) -> None:
    """Keeps rejections until they are confirmed."""
    changed = writers.noted(_rejections(connection, writer), rejections)
    rows = [
        (
            writer,
            r.run_id,
            r.reason,
            r.message,
            json.dumps(dict(r.metadata)),
            r.first_sequence,
            r.last_sequence,
            r.records,
            r.points,
        )
        for r in changed.values()
    ]
    _UPSERT_REJECTION.many(connection, rows, _REJECTION_NAMES)
