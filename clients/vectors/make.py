"""Writes the vectors that clients of every language are tested against; `--check` only looks.

    .venv/bin/python -m clients.vectors.make [--check]

`errors.json` is made from `error.proto` and the Python client, `spool/` by the Python client from fixed ids
and times.
"""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from clients.vectors import addresses, statuses
from clients.vectors.spool_contents import contents

from runwire import errors
from runwire._cutter import Begin
from runwire._encoding import payload
from runwire._folding import Fold, Groups, Record
from runwire._records import Records
from runwire._spool import Spool
from runwire._writer import Mark, Writer
from runwire.entities import Dataset, DatasetInput, Metric
from runwire.v1 import frame_pb2

HERE: Final = Path(__file__).resolve().parent
PROTO: Final = HERE.parents[1] / "protos" / "runwire" / "v1" / "error.proto"
NOW: Final = 1_767_225_600_000
ADDRESS: Final = "runwire://tracking.example:50051"
_VALUE: Final = re.compile(r"((?:  //[^\n]*\n)+)  ERROR_REASON_(\w+) = \d+;")
_EXAMPLE: Final = re.compile(r"metadata:\s*(\{[^}]*\})")


def error_table() -> dict[str, Any]:
    """Reads `error.proto`: each reason's code, whether a repeat helps, and an example of its metadata."""
    codes = {one.code: one.__name__ for one in errors.RunwireError.__subclasses__()}
    reasons = {}
    for comment, name in _VALUE.findall(PROTO.read_text(encoding="utf-8")):
        text = " ".join(line.strip().removeprefix("//").strip() for line in comment.strip().splitlines())
        code = text.split(".")[0]
        if code in codes:
            example = _EXAMPLE.search(text)
            reasons[name] = {
                "code": code,
                "name": codes[code],
                "retryable": "RetryInfo" in text,
                "metadata": json.loads(example[1]) if example else {},
            }
    return {"codes": dict(sorted(codes.items())), "reasons": dict(sorted(reasons.items()))}


def run_id(number: int) -> str:
    """Makes the id of a run."""
    return f"0198c5d2e0f57a3b8f1e2d3c4b5a{number:04x}"


class Making:
    """Fills a spool as a client does, by hand and by fixed ids and times."""

    def __init__(self, root: Path, number: int, address: str = ADDRESS, limit: int = 1 << 30) -> None:
        self.spool = Spool.create(root, f"0198c5d2e0f57a3b8f1e2d3c4b5b{number:04x}", address, limit)
        self.writer = Writer(self.spool.writer_id)
        self.records = Records(lambda: NOW, random.Random(1))
        self._groups = Groups()
        self._begins: dict[str, Begin] = {}
        self._begun: set[str] = set()
        self._segment = -1

    def begin(self, run: str, name: str | None = "vector", **more: Any) -> list[Record]:
        """Begins a run."""
        begin, found = self.records.begin(
            more.pop("experiment_id", None),
            more.pop("experiment_name", "vectors"),
            run_id=run,
            run_name=name,
            start_time=NOW,
            parent_run_id=more.pop("parent_run_id", None),
            params=more.pop("params", None),
            tags=more.pop("tags", None),
        )
        self._begins[run] = begin
        return found

    def fold(self, run: str, points: list[tuple[Any, Any, int]]) -> list[Record]:
        """Folds points (key, value, step) or rows (keys, values, step)."""
        found: list[Record] = []
        fold = Fold(self._groups, found.append)
        for key, value, step in points:
            fold.columns(run)[key].append((run, key, value, step, NOW + step))
        fold.finish()
        return found

    def frame(self, *given: Record) -> None:
        """Cuts a frame."""
        segment = self.spool.prepare(sum(len(one.data) for one in given))
        assert segment is not None
        if segment != self._segment:
            self._segment, self._begun = segment, set()
        data: list[bytes] = []
        groups: dict[bytes, frame_pb2.Group] = {}
        for one in given:
            self._begin(one.run_id, data)
            if one.data:
                data.append(one.data)
            groups.update((group.hash, group) for group in one.groups)
        said = payload(data)
        self.spool.append(self.writer.cut_frame(said), said, groups.values())

    def _begin(self, run: str, data: list[bytes]) -> None:
        if run in self._begun or run not in self._begins:
            return
        self._begun.add(run)
        parent = self._begins[run].message.run.parent_run_id
        if parent:
            self._begin(parent, data)
        data.append(self._begins[run].data)

    def mark(self, sequence: int) -> Mark:
        """Finds the place of a frame."""
        crc = self.spool.crc_at(sequence)
        assert crc is not None
        return Mark(sequence, crc)

    def done(self) -> Path:
        """Lets go of the spool."""
        self.spool.release()
        return self.spool.folder


def plain(root: Path) -> Path:
    """One run, from its beginning to its end."""
    made, run = Making(root, 1), run_id(1)
    made.frame(*made.begin(run, params={"alpha": "0.1", "model": "ridge"}, tags={"team": "blue"}))
    made.frame(*made.fold(run, [("loss", 1 / (step + 1), step) for step in range(10)]))
    made.frame(
        made.records.batch(run, None, {"late": ""}, {"team": "red"}),
        made.records.delete_tag(run, "team"),
        made.records.inputs(run, [DatasetInput(Dataset("wine", "5f0c", "sklearn", "s3://b/k"), "training")]),
    )
    made.frame(made.records.finish(run, "FINISHED", NOW + 60_000))
    return made.done()


def values(root: Path) -> Path:
    """Values, steps, times and texts at their limits."""
    made, run = Making(root, 2, "unix:/run/ünïx.sock"), run_id(2)
    odd = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2]
    odd.append(struct.unpack(">d", bytes.fromhex("7ff8000000000123"))[0])
    steps = [(1 << 63) - 1, -(1 << 63), 0, 1 << 53, (1 << 53) + 1, -1, 7, 7]
    tags = {"größe": "日本語 🦦", "leer": ""}
    made.frame(*made.begin(run, "naïve-otter 🦦", tags=tags))
    points = [Metric("é/λ-1.x_y z", value, NOW, step) for value, step in zip(odd, steps, strict=True)]
    made.frame(made.records.batch(run, points, {"p": "x" * 6000}, None))
    made.frame(*made.records.series(run, "series", [0.5] * 5, [10, 20, 30, 40, 50], NOW))
    return made.done()


def groups(root: Path) -> Path:
    """Wide rows, by group from their second use on, over several segments that can each be read alone."""
    made, parent, run = Making(root, 3, limit=8 * 4096), run_id(3), run_id(4)
    keys = tuple(f"layer{number:02d}/weight" for number in range(12))
    made.frame(*made.begin(parent, "parent"))
    made.frame(*made.begin(run, "child", parent_run_id=parent))
    for part in range(12):
        rows = [
            (keys, tuple(float(part * 100 + step * 12 + k) for k in range(12)), step) for step in range(8)
        ]
        made.frame(*made.fold(run, rows))
    made.frame(made.records.finish(run, "FAILED", NOW))
    return made.done()


def acknowledged(root: Path) -> Path:
    """Half delivered: the mark says how far."""
    made, run = Making(root, 5), run_id(5)
    for part in range(4):
        made.frame(*(made.begin(run) if part == 0 else made.fold(run, [("m", float(part), part)])))
    made.spool.acknowledge(made.mark(2))
    return made.done()


def torn_mark(root: Path) -> Path:
    """The mark of what is acknowledged is torn, and counts for nothing."""
    folder = acknowledged(root)
    made = folder / "acked"
    data = bytearray(made.read_bytes())
    data[0] ^= 1
    made.write_bytes(data)
    return folder


def torn_entry(root: Path) -> Path:
    """The last entry is cut short."""
    folder = plain(root)
    _cut(folder, 5)
    return folder


def torn_crc(root: Path) -> Path:
    """A byte of the last entry but one is wrong, and so what is behind it is lost too."""
    folder = plain(root)
    segment = next(folder.glob("*.segment"))
    data = bytearray(segment.read_bytes())
    # In the text `late`, of the third frame.
    data[data.index(b"late")] ^= 0x20
    segment.write_bytes(data)
    return folder


def torn_head(root: Path) -> Path:
    """The last segment was just begun: not even its head is whole."""
    folder = groups(root)
    last = sorted(folder.glob("*.segment"))[-1]
    last.write_bytes(last.read_bytes()[:20])
    return folder


def missing_segment(root: Path) -> Path:
    """A segment in the middle is gone, and what is behind it does not count."""
    folder = groups(root)
    sorted(folder.glob("*.segment"))[1].unlink()
    return folder


def rejected(root: Path) -> Path:
    """Rejections that nobody was told of; of a torn one there is no more."""
    made, run = Making(root, 6), run_id(6)
    made.frame(*made.begin(run))
    made.frame(*made.fold(run, [("m", 1.0, 1)]))
    made.spool.notes.note(
        [
            frame_pb2.Rejection(
                run_id=run,
                reason="PARAM_IMMUTABLE",
                message="the param alpha has another value",
                first_sequence=1,
                last_sequence=1,
                records=1,
                metadata={"key": "alpha"},
            ),
            frame_pb2.Rejection(
                run_id=run,
                reason="RUN_DELETED",
                message="the run is deleted",
                first_sequence=2,
                last_sequence=2,
                records=3,
                points=30,
            ),
        ]
    )
    made.spool.acknowledge(made.mark(2))
    folder = made.done()
    with (folder / "rejections").open("ab") as file:
        file.write(b"\x10\x00\x00\x00torn")
    return folder


def aside(root: Path) -> Path:
    """The writer is over; the server is known to have its first frame."""
    made, run = Making(root, 7, ""), run_id(7)
    for part in range(3):
        made.frame(*(made.begin(run) if part == 0 else made.fold(run, [("m", float(part), part)])))
    made.spool.set_aside("SERVER_BEHIND", "the server was restored from a backup", 1)
    return made.done()


def _cut(folder: Path, count: int) -> None:
    segment = next(folder.glob("*.segment"))
    segment.write_bytes(segment.read_bytes()[:-count])


SPOOLS: Final[dict[str, Callable[[Path], Path]]] = {
    "plain": plain,
    "values": values,
    "groups": groups,
    "acknowledged": acknowledged,
    "torn_mark": torn_mark,
    "torn_entry": torn_entry,
    "torn_crc": torn_crc,
    "torn_head": torn_head,
    "missing_segment": missing_segment,
    "rejected": rejected,
    "aside": aside,
}


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def files() -> Iterator[tuple[str, bytes]]:
    """Makes all vectors; yields paths below this folder, and bytes."""
    yield "errors.json", _json(error_table())
    yield "statuses.json", _json(statuses.vectors())
    yield "addresses.json", _json(addresses.vectors())
    for name, make in SPOOLS.items():
        with tempfile.TemporaryDirectory() as folder:
            spool = make(Path(folder))
            for path in sorted(spool.iterdir()):
                if path.name != "lock":
                    yield f"spool/{name}/{path.name}", path.read_bytes()
            expected = {"about": (make.__doc__ or "").strip(), **contents(spool)}
        yield f"spool/{name}.json", _json(expected)


def differences() -> list[str]:
    """Names the files that are not as they would be made."""
    made = dict(files())
    kept = [path for path in (HERE / "spool").rglob("*") if path.is_file()]
    there = {str(path.relative_to(HERE)): path.read_bytes() for path in [*kept, *HERE.glob("*.json")]}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def main() -> None:
    """Entry point."""
    changed = differences()
    if "--check" in sys.argv[1:]:
        if changed:
            raise SystemExit(f"vectors are out of step: {', '.join(changed)} (run: make vectors)")
        return
    shutil.rmtree(HERE / "spool", ignore_errors=True)
    for name, data in files():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(changed)} files changed")


if __name__ == "__main__":
    main()
