"""A log cut off anywhere: what was acknowledged before that place is there, and no frame is in parts."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from tests.faults.frame_ledger import compare
from tests.faults.frame_plan import Plan
from tests.support.frames import FrameStream, new_id
from tests.support.server import ServerProcess

FRAMES, CUTS = 250, 200
# Beyond that the server copies its log to the database, and begins to write it anew.
LOG_BYTES = 14 << 20


@dataclass(frozen=True)
class Killed:
    """What a killed server has left.

    Attributes:
        data_dir: Its folder.
        plan: What was sent to it.
        sizes: Of the log, as each acknowledgement came; the first is before the first frame.
    """

    data_dir: Path
    plan: Plan
    sizes: list[int]

    def acknowledged(self, offset: int) -> int:
        """Returns how many frames were acknowledged while the log was no longer than that."""
        return max(bisect_right(self.sizes, offset) - 1, 0)

    def copy(self, folder: Path, offset: int) -> Path:
        """Copies the database with its log cut off."""
        folder.mkdir()
        database = folder / "runwire.db"
        shutil.copy(self.data_dir / "runwire.db", database)
        with open(self.data_dir / "runwire.db-wal", "rb") as log:
            database.with_name("runwire.db-wal").write_bytes(log.read(offset))
        return database


def killed(folder: Path, environment: dict[str, str] | None = None) -> Killed:
    """Sends frames one after the other to a server, and kills it."""
    plan, sizes = Plan("cut", new_id()), []
    with (
        ServerProcess(folder / "data", environment=environment) as server,
        grpc.insecure_channel(server.address) as channel,
        FrameStream(channel, plan.writer_id) as stream,
    ):
        log = server.data_dir / "runwire.db-wal"
        stream.declare(plan.wide)
        source = plan.frames(0, 0)
        sizes.append(log.stat().st_size)
        for _ in range(FRAMES):
            stream.deliver(next(source))
            sizes.append(log.stat().st_size)
        server.kill()
    assert sizes[-1] < LOG_BYTES
    return Killed(server.data_dir, plan, sizes)


def problems(left: Killed, folder: Path, offset: int) -> list[str]:
    """Opens what is left with its log cut at an offset, and returns what is wrong."""
    acknowledged, plan = left.acknowledged(offset), left.plan
    with contextlib.closing(sqlite3.connect(left.copy(folder, offset))) as raw:
        if raw.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            return [f"{offset}: damaged"]
        # Before the schema is there, nothing was acknowledged.
        if not raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'metric_writer'").fetchall():
            return [f"{offset}: no schema"] if acknowledged else []
        found = raw.execute("SELECT sequence FROM metric_writer").fetchall()
        committed = found[0][0] if found else 0
        rows = dict(
            raw.execute(
                "SELECT r.run_id, sum(l.rows) FROM metric_log AS l JOIN runs AS r ON r.id = l.run GROUP BY 1"
            ).fetchall()
        )
    wanted = {plan.shared_run: committed, plan.run_id: sum(map(plan.step_rows, range(1, committed + 1)))}
    wrong = [] if committed >= acknowledged else [f"{offset}: {acknowledged} acknowledged, {committed} there"]
    if rows != {run_id: count for run_id, count in wanted.items() if count}:
        wrong.append(f"{offset}: {rows} instead of {wanted}")
    return wrong


@pytest.mark.timeout(900)
def test_the_log_cut_anywhere(tmp_path: Path) -> None:
    left = killed(tmp_path)
    chance = random.Random(7)
    offsets = {chance.randrange(left.sizes[-1]) for _ in range(CUTS)}
    # At the very end of what an acknowledgement stands for, and a byte before.
    offsets |= {size - less for size in chance.sample(left.sizes, 20) for less in (0, 1)}
    for offset in sorted(offsets):
        folder = tmp_path / f"at-{offset}"
        assert problems(left, folder, offset) == []
        shutil.rmtree(folder)


def test_a_server_goes_on_from_a_cut(tmp_path: Path) -> None:
    left = killed(tmp_path)
    for number, size in enumerate(random.Random(7).sample(left.sizes[10:], 3)):
        folder = tmp_path / f"data{number}"
        left.copy(folder, size + 1_000)
        with ServerProcess(folder) as server, grpc.insecure_channel(server.address) as channel:
            # The writer's ledger says no more than that it has begun.
            assert compare(channel, {tmp_path / "none": left.plan}) == []
