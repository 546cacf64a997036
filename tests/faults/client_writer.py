"""A client process that logs by the public client without pause, and notes what a flush has promised.

    python client_writer.py ADDRESS LEDGER RUN

It ends when its standard input does, after a last flush. Started again after a kill, it logs what comes
next: what was logged before and not flushed lies in a spool, or is lost. For each flush it writes a byte to
standard output. The ledger has lines `try BATCH` before a batch and `ack BATCH` after the flush behind it.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from runwire import Client
from runwire.errors import ServerUnavailable

Array = np.ndarray[Any, np.dtype[Any]]

START_MS = 1_760_000_000_000
POINTS, SERIES, WIDE = 50, 100, 12
BATCHES_A_FLUSH = 4


def bits(steps: Array, seed: int) -> Array:
    """Returns the bits of the values that a metric has at some steps: numbers of all kinds."""
    mixed = (steps.astype(np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    plain = (steps / np.float64(3)).view(np.uint64)
    return np.where(steps % 3 == 0, mixed, plain)


def steps_of(batch: int) -> dict[str, Array]:
    """Returns the steps that a batch logs, by key."""
    return {
        "loss": batch * POINTS + np.arange(POINTS),
        "series": batch * SERIES + np.arange(SERIES),
        **{f"wide.{number:02}": np.array([batch]) for number in range(WIDE)},
    }


def seed_of(key: str) -> int:
    """Returns what tells a key's values from those of others."""
    return len(key) * 1_000 + sum(key.encode())


def log(client: Client, run_id: str, batch: int) -> None:
    """Logs a batch, in each of the ways that there are."""
    values = {key: bits(steps, seed_of(key)).view(np.float64) for key, steps in steps_of(batch).items()}
    steps = steps_of(batch)
    for step, value in zip(steps["loss"].tolist(), values["loss"].tolist(), strict=True):
        client.log_metric(run_id, "loss", value, START_MS + step, step)
    client.log_series(run_id, "series", values["series"], steps["series"], START_MS + steps["series"])
    wide = {key: value.item() for key, value in values.items() if key.startswith("wide")}
    client.log_metrics(run_id, wide, START_MS + batch, batch)


def next_batch(ledger: Path) -> int:
    """Returns the first batch that no process has tried."""
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    # The last line of a process that was killed may be torn.
    tried = [int(parts[1]) for line in lines if len(parts := line.split()) == 2 and parts[0] == "try"]
    return max(tried, default=-1) + 2


def flush(client: Client) -> None:
    """Flushes until it works: a server that was not there yet is told of at once."""
    while True:
        try:
            return client.flush(600)
        except ServerUnavailable:
            continue


def main(address: str, path: str, run_id: str) -> None:
    """Logs until standard input ends."""
    stopped = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        stopped.set()

    threading.Thread(target=watch, daemon=True).start()
    batch = next_batch(Path(path))
    with open(path, "a", buffering=1) as ledger, Client(address, timeout=120.0) as client:
        client.begin_run("0", run_id=run_id)
        while not stopped.is_set():
            for _ in range(BATCHES_A_FLUSH):
                batch += 1
                ledger.write(f"try {batch}\n")
                log(client, run_id, batch)
            flush(client)
            ledger.write(f"ack {batch}\n")
            os.write(1, b".")


if __name__ == "__main__":
    main(*sys.argv[1:])
