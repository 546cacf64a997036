"""Spools: what is written comes back, whatever was torn, deleted, locked or full."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwire import _segments
from runwire._encoding import group
from runwire._renewal import renewed
from runwire._spool import Spool
from runwire._spool_lock import Held
from runwire._writer import Mark, Writer
from runwire.v1 import frame_pb2

ID = "0198c5d2e0f57a3b8f1e2d3c4b5a6978"
BIG = 1 << 40


class Writing:
    """A spool with its writer."""

    def __init__(self, root: Path, limit: int = BIG) -> None:
        self.spool = Spool.create(root, ID, "runwire://host:1", limit)
        self.writer = Writer(ID)

    def add(self, payload: bytes, *groups: frame_pb2.Group) -> None:
        assert self.spool.prepare(len(payload)) is not None
        self.spool.append(self.writer.cut_frame(payload), payload, groups)

    def crcs(self) -> list[int]:
        return [self.spool.crc_at(sequence) or 0 for sequence in range(1, self.writer.cut.sequence + 1)]


def contents(spool: Spool) -> list[bytes]:
    """Reads all frames that are not acknowledged."""
    found = [spool.take(sequence) for sequence in range(spool.acked.sequence + 1, spool.cut.sequence + 1)]
    return [stored.payload for stored in found if stored is not None]


@settings(max_examples=60)
@given(
    payloads=st.lists(st.binary(max_size=3000), min_size=1, max_size=20),
    acked=st.integers(0, 20),
    limit=st.sampled_from([40_000, BIG]),
)
def test_what_is_written_is_read_by_the_next_process(payloads: list[bytes], acked: int, limit: int) -> None:
    root = Path(tempfile.mkdtemp())
    writing = Writing(root, limit * 10)
    for payload in payloads:
        writing.add(payload)
    acked = min(acked, len(payloads))
    if acked:
        writing.spool.acknowledge(Mark(acked, writing.crcs()[acked - 1]))
    assert contents(writing.spool) == payloads[acked:]
    folder = writing.spool.folder
    writing.spool.release()
    again = Spool.open(folder, limit)
    assert (again.writer_id, again.address, again.torn) == (ID, "runwire://host:1", [])
    assert again.cut == writing.writer.cut
    assert again.acked.sequence == acked
    assert contents(again) == payloads[acked:]
    again.release()
    shutil.rmtree(root)


@settings(max_examples=60)
@given(data=st.data())
def test_a_torn_end_costs_the_last_frame_and_no_other(data: st.DataObject) -> None:
    root = Path(tempfile.mkdtemp())
    payloads = data.draw(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=8))
    writing = Writing(root)
    ends = []
    path = writing.spool.folder / f"{1:016x}.segment"
    for payload in payloads:
        writing.add(payload)
        ends.append(path.stat().st_size)
    writing.spool.release()
    cut = data.draw(st.integers(0, ends[-1]))
    flip = data.draw(st.booleans())
    content = bytearray(path.read_bytes())
    if flip and cut < len(content):
        content[cut] ^= 0x40
        path.write_bytes(content)
    else:
        path.write_bytes(content[:cut])
    again = Spool.open(writing.spool.folder, BIG)
    whole = [payload for payload, end in zip(payloads, ends, strict=True) if end <= cut]
    assert contents(again) == whole
    assert again.torn or path.stat().st_size in (0, *ends) or not whole
    again.release()
    shutil.rmtree(root)


def test_segments_that_are_acknowledged_are_deleted(tmp_path: Path) -> None:
    writing = Writing(tmp_path, 80_000)
    for i in range(40):
        if writing.spool.prepare(1000) is None:
            break
        writing.add(bytes([i]) * 1000)
    crcs = writing.crcs()
    before = sorted(path.name for path in writing.spool.folder.glob("*.segment"))
    assert len(before) > 3
    writing.spool.acknowledge(Mark(20, crcs[19]))
    after = sorted(path.name for path in writing.spool.folder.glob("*.segment"))
    assert after == before[-len(after) :]
    assert len(after) < len(before)
    assert contents(writing.spool) == [bytes([i]) * 1000 for i in range(20, 40)]
    writing.spool.acknowledge(writing.writer.cut)
    folder = writing.spool.folder
    writing.spool.close()
    assert not folder.exists()


def test_a_full_spool_has_room_again_when_the_server_has_its_frames(tmp_path: Path) -> None:
    writing = Writing(tmp_path, 50_000)
    count = 0
    while writing.spool.prepare(5000) is not None:
        writing.add(b"x" * 5000)
        count += 1
    assert 8 <= count <= 10
    assert writing.spool.size <= 50_000
    writing.spool.acknowledge(writing.writer.cut)
    assert writing.spool.prepare(5000) is not None
    # One frame alone always fits.
    assert writing.spool.prepare(500_000) is not None
    writing.spool.close()


def test_what_is_acknowledged_at_once_does_not_pile_up(tmp_path: Path) -> None:
    writing = Writing(tmp_path)
    for _ in range(40):
        writing.add(b"x" * 1_000_000)
        writing.spool.acknowledge(writing.writer.cut)
    assert writing.spool.size < 18_000_000
    writing.spool.close()
    assert list(tmp_path.iterdir()) == []


def test_each_segment_declares_its_groups(tmp_path: Path) -> None:
    wide = group([f"k{i}" for i in range(20)])
    writing = Writing(tmp_path, 80_000)
    for _ in range(30):
        writing.add(b"x" * 1000, wide)
    folder = writing.spool.folder
    writing.spool.release()
    segments = sorted(folder.glob("*.segment"))
    assert len(segments) > 2
    for path in segments:
        scan = _segments.Scan(path)
        first = _segments.Cursor(scan.segment)
        found = first.read(scan.segment.before.sequence + 1)
        assert found is not None
        assert [one.hash for one in found.groups] == [wide.hash]
        first.close()


def test_one_process_has_a_spool(tmp_path: Path) -> None:
    writing = Writing(tmp_path)
    writing.add(b"1")
    code = f"""
import sys
import tempfile
from pathlib import Path
from runwire._spool import Spool
from runwire._spool_lock import Held
try:
    Spool.open(Path({str(writing.spool.folder)!r}), 1)
except Held as held:
    print(held.pid)
"""
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == str(os.getpid())
    writing.spool.release()
    again = Spool.open(writing.spool.folder, BIG)
    with pytest.raises(Held, match=str(os.getpid())):
        Spool.open(writing.spool.folder, BIG)
    # Nor has that look taken away the record lock, which is all that the JVM knows.
    code = f"""
import fcntl
with open({str(writing.spool.folder / "lock")!r}, "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
"""
    taken = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "BlockingIOError" in taken.stderr
    again.release()
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_spool_that_can_not_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    # No file may have a byte: so does a full disk let folders be made, and nothing be written.
    code = """
import os, resource, sys
from pathlib import Path
from runwire._spool import Spool
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
before = os.listdir("/proc/self/fd")
for number in range(3):
    try:
        Spool.create(Path(sys.argv[1]), f"{number:032x}", "", 1 << 20)
    except OSError:
        print("refused", len(os.listdir("/proc/self/fd")) - len(before), os.listdir(sys.argv[1]))
"""
    command = [sys.executable, "-c", code, tmp_path]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told == "refused 0 []\n" * 3


def test_a_full_disk_leaves_no_part_of_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing = Writing(tmp_path)
    writing.add(b"first")
    write = os.pwrite
    room = [20]

    def full(descriptor: int, data: memoryview, at: int) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: room.pop()], at)

    before = writing.writer.cut
    assert writing.spool.prepare(100) is not None
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space"):
            writing.spool.append(writing.writer.cut_frame(b"x" * 100), b"x" * 100, [])
    writing.writer.cut = before
    writing.add(b"second")
    writing.spool.release()
    again = Spool.open(writing.spool.folder, BIG)
    assert (contents(again), again.torn) == ([b"first", b"second"], [])
    again.release()


def test_rejections_are_kept_until_they_are_told(tmp_path: Path) -> None:
    writing = Writing(tmp_path)
    writing.add(b"1")
    rejection = frame_pb2.Rejection(run_id="r", reason="RUN_DELETED", last_sequence=1, records=2)
    writing.spool.notes.note([rejection])
    writing.spool.acknowledge(writing.writer.cut)
    writing.spool.close()
    again = Spool.open(writing.spool.folder, BIG)
    assert again.notes.rejections() == [rejection]
    again.notes.told()
    again.close()
    assert not writing.spool.folder.exists()


def test_a_writer_that_ended_is_renewed_with_what_it_did_not_deliver(tmp_path: Path) -> None:
    writing = Writing(tmp_path)
    for i in range(6):
        writing.add(bytes([i]))
    writing.spool.acknowledge(Mark(4, writing.crcs()[3]))
    # The server was restored: it has lost what it had acknowledged.
    writing.spool.set_aside("SERVER_BEHIND", "it was restored", 2)
    assert writing.spool.undelivered == 4
    writing.spool.close()
    again = Spool.open(writing.spool.folder, BIG)
    assert again.undelivered == 4
    made = renewed(again)
    assert made.writer_id != ID
    assert (contents(made), made.cut.sequence) == ([bytes([i]) for i in (2, 3, 4, 5)], 4)
    assert [path.name for path in tmp_path.iterdir()] == [made.writer_id]
    made.release()


def test_a_renewal_that_was_cut_short_is_finished_once(tmp_path: Path) -> None:
    writing = Writing(tmp_path)
    writing.add(b"1")
    old = writing.spool.folder
    shutil.copytree(old, tmp_path / "before")
    made = renewed(writing.spool)
    made.release()
    name = made.writer_id
    # As if the process had died after the new spool was whole, and before the old one was removed.
    shutil.move(tmp_path / "before", old)
    (old / "successor").write_text(name)
    (tmp_path / name).rename(tmp_path / f".{name}")
    again = renewed(Spool.open(old, BIG))
    assert (again.writer_id, contents(again)) == (name, [b"1"])
    again.acknowledge(again.cut)
    again.close()
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_is_forked_while_frames_are_read_back_lets_go_of_the_spool(tmp_path: Path) -> None:
    code = """
import os, sys, threading
from pathlib import Path
from runwire._spool import Spool
from runwire._writer import Writer
spool = Spool.create(Path(sys.argv[1]), f"{1:032x}", "", 1 << 30)
writer = Writer(spool.writer_id)
payload = bytes(1 << 20)
for _ in range(20):
    assert spool.prepare(len(payload)) is not None
    spool.append(writer.cut_frame(payload), payload, [])

def read():
    while True:
        # The first are in memory.
        for sequence in range(9, 21):
            assert spool.take(sequence) is not None

threading.Thread(target=read, daemon=True).start()
for _ in range(100):
    child = os.fork()
    if child == 0:
        spool.release()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print("all are gone", flush=True)
os._exit(0)
"""
    command = [sys.executable, "-c", code, tmp_path]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert program.communicate(timeout=120)[0] == "all are gone\n"
    finally:
        # Also a child that hangs.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
