"""A client process that streams the frames of a plan without pause, and notes what was acknowledged.

    python frame_writer.py ADDRESS LEDGER WINDOW NAME SHARED_RUN ROWS WIDTH

Started again after a kill, it goes on where its ledger and the server say. It ends when its standard input
does, once all is acknowledged. For each acknowledgement it writes a byte to standard output. The ledger has
a line for each: sequence, chained CRC, unix time; an unexpected end of a stream begins with `bad`.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import grpc
from tests.faults.frame_plan import Plan
from tests.support.frames import FrameStream
from tests.support.server import PATIENCE

# The ways in which a server or its database that is gone shows itself.
PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 100),
]


class FrameWriter:
    """Keeps a stream open, and sends the frames of a plan over it."""

    def __init__(self, channel: grpc.Channel, ledger: Path, plan: Plan, window: int) -> None:
        self._channel = channel
        self._plan = plan
        self._window = window
        self._acked, self._crc = last_of(ledger)
        self._ledger = ledger.open("a")

    def work(self, stopped: threading.Event) -> None:
        """Writes until told to stop, and all is acknowledged."""
        pause = 0.01
        while True:
            try:
                with self._open() as stream:
                    pause = 0.01
                    self._stream(stream, stopped)
                    return
            except grpc.RpcError as error:
                self._check(error)
                # As clients do while a server is away.
                time.sleep(pause)
                pause = min(pause * 2, 0.5)

    def _open(self) -> FrameStream:
        return FrameStream(
            self._channel,
            self._plan.writer_id,
            acked_sequence=self._acked,
            acked_crc=self._crc,
            timeout=PATIENCE,
        )

    def _stream(self, stream: FrameStream, stopped: threading.Event) -> None:
        sequence, crc = self._acked, self._crc
        source = self._plan.frames(sequence, crc)
        while sequence < stream.welcome.committed_sequence:
            frame = next(source)
            sequence, crc = frame.sequence, frame.crc
        if (sequence, crc) != (stream.welcome.committed_sequence, stream.welcome.committed_crc):
            self._fail(f"welcome {stream.welcome} where {sequence} has the CRC {crc}")
        self._note(sequence, crc)
        stream.declare(self._plan.wide)
        crcs = {sequence: crc}
        while not stopped.is_set():
            frame = next(source)
            sequence = frame.sequence
            crcs[sequence] = frame.crc
            stream.send(frame)
            stream.wait(sequence - self._window + 1, PATIENCE)
            self._take(stream.acked, crcs)
        stream.wait(sequence, PATIENCE)
        self._take(stream.acked, crcs)
        stream.half_close(PATIENCE)

    def _take(self, acked: int, crcs: dict[int, int]) -> None:
        if acked == self._acked:
            return
        self._note(acked, crcs[acked])
        for sequence in [sequence for sequence in crcs if sequence < acked]:
            del crcs[sequence]
        os.write(1, b".")

    def _note(self, sequence: int, crc: int) -> None:
        self._acked, self._crc = sequence, crc
        # A killed process has written what it has written; machines are not killed here.
        self._ledger.write(f"{sequence} {crc} {time.time():.6f}\n")
        self._ledger.flush()

    def _check(self, error: Any) -> None:
        if error.code() not in PASSING:
            self._fail(f"{error.code()}: {error.details()}")

    def _fail(self, what: str) -> None:
        self._ledger.write(f"bad {what!r}\n")
        self._ledger.flush()
        raise SystemExit(what)


def last_of(ledger: Path) -> tuple[int, int]:
    """Returns the last acknowledged sequence of a ledger and its CRC, (0, 0) if there is none.

    Raises:
        AssertionError: if the writer met what it did not expect.
    """
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    bad = [line for line in lines if line.startswith("bad")]
    assert not bad, bad
    # The last line of a writer that was killed may be torn.
    whole = [line.split() for line in lines if len(line.split()) == 3]
    return (int(whole[-1][0]), int(whole[-1][1])) if whole else (0, 0)


def command(address: str, ledger: Path, window: int, plan: Plan) -> list[str]:
    """Returns the module to run, and its arguments."""
    arguments = (ledger, window, plan.name, plan.shared_run, plan.rows, plan.width)
    return ["tests.faults.frame_writer", address, *map(str, arguments)]


def main(address: str, ledger: str, window: str, name: str, shared_run: str, rows: str, width: str) -> None:
    """Writes until standard input ends."""
    stopped = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        stopped.set()

    threading.Thread(target=watch, daemon=True).start()
    plan = Plan(name, shared_run, int(rows), int(width))
    with grpc.insecure_channel(address, OPTIONS) as channel:
        FrameWriter(channel, Path(ledger), plan, int(window)).work(stopped)


if __name__ == "__main__":
    main(*sys.argv[1:])
