"""What the runner does to folders of spools: looks, opens a writer once more, tears, delivers."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, Final

import grpc
from clients.vectors.spool_contents import contents
from tests.conformance.drivers import CLIENTS, PATIENCE

from runwire._writer import chained
from runwire.v1 import frame_pb2, metric_pb2, metric_pb2_grpc

_SYNC: Final = "from runwire.cli import main; main()"


def _is_locked(path: Path) -> bool:
    """Tells whether a process has the record lock of a spool, which is all that the JVM sees."""
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _spools(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*") if path.is_dir()) if root.exists() else []


def look(root: Path, folder: Path) -> dict[str, Any]:
    """Says what lies in a folder of spools, by a copy of it in another folder."""
    found = _spools(root)
    hidden = [path.name for path in found if path.name.startswith(".")]
    copy = folder / f"look-{uuid.uuid4().hex[:8]}"
    shutil.copytree(root, copy) if root.exists() else copy.mkdir()
    spools = [contents(copy / path.name) for path in found if not path.name.startswith(".")]
    modes = sorted({oct(path.stat().st_mode & 0o777) for path in root.rglob("*")})
    seen = {"spools": spools, "hidden": hidden, "modes": modes, "names": [path.name for path in found]}
    seen["locked"] = [_is_locked(path / "lock") for path in found]
    return {**seen, "segments": len(list(root.glob("*/*.segment")))}


def fence(root: Path, host: str, frames: int) -> None:
    """Opens the writer of the only spool once more, as a copy of it does, and sends frames of its own."""
    (spool,) = _spools(root)
    with grpc.insecure_channel(host) as channel:
        stub = metric_pb2_grpc.MetricServiceStub(channel)
        hello = frame_pb2.Hello(writer_id=spool.name)
        request = metric_pb2.AppendFramesRequest(hello=hello)
        welcome = stub.AppendFrames(request, timeout=CLIENTS).welcome
        crc = welcome.committed_crc
        for number in range(frames):
            payload = frame_pb2.FramePayload(records=[frame_pb2.Record()]).SerializeToString()
            frame = frame_pb2.Frame(
                sequence=welcome.committed_sequence + 1 + number, previous_crc=crc, payload=payload
            )
            crc = chained(crc, payload)
            request = metric_pb2.AppendFramesRequest(
                writer_id=spool.name, epoch=welcome.epoch, frames=[frame]
            )
            stub.AppendFrames(request, timeout=CLIENTS)


def tear(root: Path, count: int) -> None:
    """Cuts the end of the last segment of the only spool off."""
    (spool,) = _spools(root)
    last = max(spool.glob("*.segment"))
    os.truncate(last, last.stat().st_size - count)


def sync(folder: str, address: str | None, *, as_new_writer: bool) -> subprocess.CompletedProcess[str]:
    """Has `runwire sync` deliver what lies there."""
    command = [sys.executable, "-c", _SYNC, "--timeout", str(CLIENTS)]
    if address is not None:
        command += ["--address", address]
    command += ["sync", "--json", folder]
    if as_new_writer:
        command.append("--as-new-writer")
    passed = {key: value for key, value in os.environ.items() if not key.startswith("RUNWIRE_")}
    passed["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=passed)
