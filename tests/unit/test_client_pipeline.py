"""What a client does when one of its threads meets what nobody foresaw."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from runwire import Client, errors


def offline(folder: Path) -> Client:
    """Makes a client whose folding thread runs."""
    client = Client("127.0.0.1:1", mode="offline", spool_dir=folder)
    client.begin_run("0", run_id="a" * 32)
    client.flush()
    return client


def test_a_failure_while_folding_is_told_to_all_callers(tmp_path: Path) -> None:
    client = offline(tmp_path)
    client.log_metric("a" * 32, "m", 1.0)
    client._pipeline.buffer.items.append(("a" * 32, "m", "no number", 0, 0))
    with pytest.raises(errors.InternalError, match="the client failed") as caught:
        client.flush(10)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(errors.InternalError, match="the client failed"):
        client.log_metric("a" * 32, "m", 2.0)
    with pytest.raises(errors.InternalError, match="the client failed"):
        client.close()
    with pytest.raises(ValueError, match="closed"):
        client.log_metric("a" * 32, "m", 2.0)


def test_callers_that_wait_for_room_are_told_too(tmp_path: Path) -> None:
    client = offline(tmp_path)
    buffer = client._pipeline.buffer
    raised: list[Exception] = []

    def log() -> None:
        row = {f"k{i}": 0.0 for i in range(1000)}
        try:
            while True:
                client.log_metrics("a" * 32, row)
        except errors.InternalError as error:
            raised.append(error)

    threads = [threading.Thread(target=log) for _ in range(3)]
    for thread in threads:
        thread.start()
    buffer.items.append(("a" * 32, "m", "no number", 0, 0))
    for thread in threads:
        thread.join(120)
    assert len(raised) == 3
    with pytest.raises(errors.InternalError):
        client.close()
