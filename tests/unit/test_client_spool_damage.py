"""Spools on disks that lose something: what is whole is kept, reported, and delivered when asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runwire._encoding import group
from runwire._folding import Groups
from runwire._leftovers import offer
from runwire._records import Records
from runwire._renewal import renewed
from runwire._segments import FRAME, HEAD, MAGIC, Head, entry, head
from runwire._spool import Spool
from runwire._writer import Writer
from runwire.entities import MetricBlock

ID = "0198c5d2e0f57a3b8f1e2d3c4b5a6978"
BIG = 1 << 40


def written(root: Path, frames: int) -> Spool:
    """Makes a spool of several segments, with a group that all of its frames name."""
    spool = Spool.create(root, ID, "runwire://host:1", 80_000)
    writer = Writer(ID)
    wide = group([f"k{i}" for i in range(20)])
    for i in range(frames):
        assert spool.prepare(1000) is not None
        payload = bytes([i]) * 1000
        spool.append(writer.cut_frame(payload), payload, [wide])
    return spool


def contents(spool: Spool) -> list[int]:
    """Reads which of the frames that `written` made are not acknowledged."""
    found = [spool.take(sequence) for sequence in range(spool.acked.sequence + 1, spool.cut.sequence + 1)]
    return [stored.payload[0] for stored in found if stored is not None]


def test_a_sync_reaches_all_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = os.fsync

    def seen(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    spool = written(tmp_path, 40)
    segments = {str(path) for path in spool.folder.glob("*.segment")}
    assert len(segments) > 3
    monkeypatch.setattr(os, "fsync", seen)
    spool.sync()
    # Its folder, and the one in which its own name stands: without these nobody finds the segments.
    assert set(synced) == {*segments, str(spool.folder), str(tmp_path)}
    synced.clear()
    spool.sync()
    # Those that were synced whole are not synced again.
    assert not set(synced) & (segments - {max(segments)})
    spool.release()


def test_what_stands_behind_a_damaged_place_is_kept_and_delivered_by_a_new_writer(tmp_path: Path) -> None:
    spool = written(tmp_path, 40)
    spool.release()
    first, *others = sorted(spool.folder.glob("*.segment"))
    assert len(others) > 2
    before = len(first.read_bytes()) // 1000
    # The last frame of the first segment did not reach the disk.
    os.truncate(first, first.stat().st_size - 500)
    again = Spool.open(spool.folder, BIG)
    assert again.cut.sequence == before - 1
    assert any("does not follow" in text for text in again.torn)
    assert again.undelivered == 39
    again.acknowledge(again.cut)
    assert (again.pending, again.undelivered) == (0, 40 - before)
    again.close()
    assert all(path.exists() for path in others)
    assert "runwire sync" in offer(tmp_path)
    made = renewed(Spool.open(spool.folder, BIG))
    assert contents(made) == list(range(before, 40))
    taken = made.take(1)
    assert taken is None or [len(one.keys) for one in taken.groups] == [20]
    assert [path.name for path in tmp_path.iterdir()] == [made.writer_id]
    made.release()


def test_one_stream_can_declare_all_groups_that_a_client_makes() -> None:
    groups, records = Groups(), Records()
    made = set()
    for i in range(2_000):
        keys = tuple(f"{i}/{k}" for k in range(10))
        for _ in range(2):
            made |= {part.group.hash for part in groups.parts(keys) if part.group is not None}
            others = [f"batch/{key}" for key in keys]
            block = MetricBlock(others, [0], [0.0] * 10, [0])
            made |= {one.hash for one in records.batch("0" * 32, [block], None, None).groups}
    # Limits.max_stream_groups
    assert len(made) <= 1_000


def test_what_is_no_spool_is_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "results"
    foreign.mkdir()
    (foreign / "model.bin").write_text("precious")
    (foreign / "lock").write_text("somebody's")
    assert offer(tmp_path) == ""
    assert sorted(path.name for path in foreign.iterdir()) == ["lock", "model.bin"]
    # A spool that holds nothing any more goes, but for what is not its own.
    spool = Spool.create(tmp_path, ID, "runwire://host:1", BIG)
    (spool.folder / "notes.txt").write_text("precious")
    spool.release()
    assert offer(tmp_path) == ""
    assert [path.name for path in spool.folder.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "data",
    [
        MAGIC + entry(HEAD, b"abc"),
        MAGIC + entry(HEAD, head(Head(ID, 1, 0, "ab"))[len(MAGIC) + 9 :].replace(b"ab", b"\xff\xff")),
        head(Head(ID, 1, 0, "")) + entry(FRAME, b"abc"),
    ],
    ids=["a short head", "an address of no text", "a short frame"],
)
def test_what_is_whole_but_nonsense_ends_a_segment(tmp_path: Path, data: bytes) -> None:
    (tmp_path / ID).mkdir()
    (tmp_path / ID / f"{1:016x}.segment").write_bytes(data)
    spool = Spool.open(tmp_path / ID, BIG)
    assert contents(spool) == []
    spool.release()
    offer(tmp_path)
