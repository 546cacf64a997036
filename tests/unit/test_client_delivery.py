"""When a delivery gives a server up that it never reached."""

from __future__ import annotations

import gc
import socket
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import grpc
import pytest

from runwire import errors
from runwire._channel import Retry, settings
from runwire._delivery import Delivery, Lane
from runwire._ids import uuid7
from runwire._link import Link
from runwire._spool import NO_LIMIT, Spool
from runwire._status import from_rpc_error

WINDOW = 3.0
# No attempt follows another by itself.
RETRY = Retry(initial=1e9, maximum=1e9, connect_timeout=WINDOW)


def lane(folder: Path) -> Lane:
    """Makes a lane with a frame to carry."""
    made = Lane(Spool.create(folder, uuid7().hex, "host", NO_LIMIT))
    made.spool.prepare(1000)
    made.spool.append(made.writer.cut_frame(b"a frame"), b"a frame", [])
    return made


def test_the_attempt_that_decides_begins_behind_the_window(tmp_path: Path) -> None:
    guard = threading.Condition(threading.Lock())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        delivery = Delivery(settings(f"runwire://127.0.0.1:{port}", None, None, 30, RETRY), guard)
        with guard:
            delivery.carry(lane(tmp_path))
        delivery.start()
        connection, _ = listener.accept()
        start = time.monotonic() - WINDOW
    # The attempt that is under way fails now: behind the window, within which it began.
    connection.close()
    try:
        with guard:
            while delivery.away is None:
                guard.wait(0.1)
            assert delivery.given_up(start, time.monotonic()) is None
            while (error := delivery.given_up(start, time.monotonic())) is None:
                guard.wait(0.1)
            assert error is delivery.away
            assert isinstance(error, errors.ServerUnavailable)
    finally:
        delivery.stop(60)


def test_a_stream_that_failed_is_gone_at_once() -> None:
    listed: list[weakref.ref[Any]] = []

    def fail() -> None:
        with grpc.insecure_channel("127.0.0.1:1") as channel:
            call = channel.stream_stream("/runwire.v1.MetricService/StreamFrames")(iter([b""]))
            listed.append(weakref.ref(call))
            try:
                next(call)
            except grpc.RpcError as error:
                raise from_rpc_error(error) from None

    gc.disable()
    try:
        with pytest.raises(errors.ServerUnavailable):
            fail()
        # Garbage is collected as the process exits, and a thread that is dead then may have its lock.
        assert listed[0]() is None
    finally:
        gc.enable()


def test_each_attempt_at_a_server_never_reached_has_a_connection_of_its_own() -> None:
    link = Link(settings("runwire://127.0.0.1:1", None, None, 30, None))
    first = link.stubs(1)
    link.lost()
    assert link.stubs(1) is first
    link.lost(anew=True)
    assert link.stubs(1) is not first
    link.close()
