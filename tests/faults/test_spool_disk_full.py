"""A disk that is full where the client's spool lies: callers are told, and what was taken is delivered."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest
from tests.faults.frame_ledger import history
from tests.support.frames import new_id
from tests.support.mounts import mounted
from tests.support.server import ServerProcess

from runwire import Client, errors

SIZE = 1_000


def fill(client: Client, run_id: str) -> int:
    """Logs arrays until one is refused; returns how many points were taken."""
    for first in range(0, 10_000_000, SIZE):
        try:
            client.log_series(run_id, "x", np.full(SIZE, float(first)), first + np.arange(SIZE))
        except errors.ResourceExhausted as error:
            if "spool" not in str(error):
                raise
            return first
    raise AssertionError("nothing was refused")


def test_what_was_taken_is_delivered(
    tmp_path: Path, may_mount: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not may_mount:
        pytest.skip("only root may mount small disks")
    run_id = new_id()
    with mounted(tmp_path / "spool", "2m"), ServerProcess(tmp_path / "data") as server:
        monkeypatch.setenv("RUNWIRE_SPOOL_DIR", str(tmp_path / "spool"))
        client = Client(server.address, on_spool_full="error")
        client.begin_run("0", run_id=run_id)
        client.flush()
        server.kill()
        taken = fill(client, run_id)
        assert taken > 0
        server.start()
        client.flush(120)
        client.log_metric(run_id, "y", 1.0)
        client.close()
        with grpc.insecure_channel(server.address) as channel:
            found = history(channel, run_id)
        assert found["x"][0].tolist() == list(range(taken))
        assert len(found["y"][0]) == 1
