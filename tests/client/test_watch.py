"""Watches of both clients: where they go on after a broken connection, and how they end."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.client.blocking import KINDS, connect
from tests.client.scripted import Failure, Script, serve

from runwire import AsyncClient, Client, Retry, errors
from runwire.v1 import block_pb2, metric_pb2

QUICK = Retry(initial=0.01, maximum=0.02, connect_timeout=0.5)
RUN = "a" * 32


@pytest.fixture
def script() -> Iterator[Script]:
    """A scripted server: each call of a watch gets one message, and then ends."""
    script = Script([b""])
    server = serve(script)
    yield script
    script.over.set()
    server.stop(None).wait()


def news(cursor: str, *steps: int, resync: bool = False) -> bytes:
    """Makes a message of the stream: two metrics at some steps."""
    block = block_pb2.Block(
        keys=["loss", "rate"],
        steps=block_pb2.StepList(steps=steps),
        timestamps_ms=[1000 + step for step in steps],
        values=[float(value) for step in steps for value in (step, -step)],
    )
    blocks = [block_pb2.RunBlock(run_id=RUN, block=block)] if steps else []
    runs = [RUN] if resync else []
    return metric_pb2.WatchMetricsResponse(
        blocks=blocks, cursor=cursor, resync_run_ids=runs
    ).SerializeToString()


def asked(script: Script) -> list[metric_pb2.WatchMetricsRequest]:
    """Returns what the server was asked for."""
    return [metric_pb2.WatchMetricsRequest.FromString(sent.body) for sent in script.seen]


@pytest.mark.parametrize("kind", KINDS)
def test_events_have_columns(kind: str, script: Script) -> None:
    script.answers = [news("c1", 3, 4)]
    with connect(kind, script.address) as client, client.watch_metrics([RUN], from_start=True) as watch:
        assert watch.cursor == ""
        event = next(watch)
    (block,) = event.blocks
    assert (block.run_id, event.cursor, watch.cursor, event.resync_run_ids) == (RUN, "c1", "c1", ())
    assert block.steps.tolist() == [3, 4]
    assert block.timestamps.tolist() == [1003, 1004]
    assert {key: column.tolist() for key, column in block.values.items()} == {
        "loss": [3.0, 4.0],
        "rate": [-3.0, -4.0],
    }
    assert asked(script)[0] == metric_pb2.WatchMetricsRequest(run_ids=[RUN], from_start=True)
    # A stream has no deadline.
    assert script.seen[0].time_remaining > 10**6 or script.seen[0].time_remaining == 0


@pytest.mark.parametrize("kind", KINDS)
def test_each_connection_goes_on_behind_the_last_event(kind: str, script: Script) -> None:
    script.answers = [
        news("c1"),
        news("c2", 1),
        Failure("UNAVAILABLE", "SERVER_STOPPING", retry_delay=0.01),
        Failure("UNAVAILABLE"),
        # What gRPC and proxies say of a connection that breaks.
        Failure("INTERNAL"),
        Failure("UNKNOWN"),
        news("c3"),
        news("c4", resync=True),
        news("c5", 2),
    ]
    with (
        connect(kind, script.address, retry=QUICK) as client,
        client.watch_metrics([RUN], ["loss", "rate"], cursor="c0") as watch,
    ):
        # The first event says that the watch is in place; other empty ones are not told.
        events = [next(watch) for _ in range(4)]
    assert [(event.cursor, len(event.blocks)) for event in events] == [
        ("c1", 0),
        ("c2", 1),
        ("c4", 0),
        ("c5", 1),
    ]
    assert events[2].resync_run_ids == (RUN,)
    cursors = [request.cursor for request in asked(script)]
    assert cursors[:9] == ["c0", "c1", "c2", "c2", "c2", "c2", "c2", "c3", "c4"]
    assert all(list(request.keys) == ["loss", "rate"] for request in asked(script))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (Failure("NOT_FOUND", "RUN_NOT_FOUND"), errors.NotFound),
        (Failure("INVALID_ARGUMENT", "INVALID_CURSOR"), errors.InvalidArgument),
        (Failure("INTERNAL", "INTERNAL"), errors.InternalError),
        (Failure("UNIMPLEMENTED", "METHOD_UNKNOWN"), errors.Unimplemented),
    ],
)
def test_what_stays_wrong_is_raised(
    kind: str, script: Script, failure: Failure, raised: type[errors.RunwireError]
) -> None:
    script.answers = [news("c1"), failure]
    with connect(kind, script.address, retry=QUICK) as client, client.watch_metrics([RUN]) as watch:
        next(watch)
        with pytest.raises(raised):
            next(watch)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_never_answers_is_given_up(kind: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"runwire://127.0.0.1:{taken.getsockname()[1]}"
        began = time.monotonic()
        with (
            connect(kind, address, retry=QUICK) as client,
            client.watch_metrics([RUN]) as watch,
            pytest.raises(errors.ServerUnavailable, match="no Runwire server answers"),
        ):
            next(watch)
        assert 0.4 < time.monotonic() - began < 100


@pytest.mark.parametrize("kind", KINDS)
def test_closing_ends_the_wait_for_an_event(kind: str, script: Script) -> None:
    script.answers = [news("c1"), 300.0]
    with connect(kind, script.address) as client:
        watch = client.watch_metrics([RUN])
        next(watch)
        closing = threading.Timer(0.2, watch.close)
        closing.start()
        assert list(watch) == []
        closing.join()
        assert list(watch) == []


@pytest.mark.parametrize("kind", KINDS)
def test_closing_ends_a_pause(kind: str, script: Script) -> None:
    script.answers = [news("c1"), Failure("UNAVAILABLE", "SERVER_STOPPING", retry_delay=0.9)]
    with connect(kind, script.address, retry=Retry(initial=60, maximum=60)) as client:
        watch = client.watch_metrics([RUN])
        next(watch)
        closing = threading.Timer(0.2, watch.close)
        closing.start()
        assert list(watch) == []
        closing.join()


def test_closing_while_it_connects_ends_it(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    script.answers = [300.0]

    async def main() -> None:
        async with AsyncClient(script.address) as client:
            connect, connected, closed = client._open_stream, asyncio.Event(), asyncio.Event()

            async def connect_slowly(call: Any) -> Any:
                stream = await connect(call)
                connected.set()
                await closed.wait()
                return stream

            monkeypatch.setattr(client, "_open_stream", connect_slowly)
            watch = client.watch_metrics([RUN])
            waiting = asyncio.ensure_future(anext(watch, None))
            await connected.wait()
            await watch.close()
            closed.set()
            assert await asyncio.wait_for(waiting, 120) is None

    asyncio.run(main())


def test_a_wait_that_is_left_takes_nothing_away(script: Script) -> None:
    async def main() -> None:
        async with AsyncClient(script.address, retry=QUICK) as client:
            watch = client.watch_metrics([RUN])
            script.answers = [news("c1", 1), 300.0, news("c2", 2)]
            assert (await anext(watch)).cursor == "c1"
            waiting = asyncio.ensure_future(anext(watch))
            while len(script.answers) > 1:  # noqa: ASYNC110 - the server says nothing
                await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (await anext(watch)).cursor == "c2"
            await watch.close()

    asyncio.run(main())
    assert [request.cursor for request in asked(script)] == ["", "c1", "c1"]


def test_wrong_arguments_are_told_at_once() -> None:
    with Client("127.0.0.1:1") as client:
        with pytest.raises(TypeError):
            client.watch_metrics(RUN)
        with pytest.raises(ValueError, match="axis"):
            client.get_metric_curve(RUN, "loss", axis="epoch")
        with pytest.raises(ValueError, match="series"):
            client.get_metric_curves()
        with pytest.raises(ValueError, match="series"):
            client.get_metric_curves([(RUN, "loss")], run_ids=[RUN])
        with pytest.raises(ValueError, match="pair"):
            client.get_metric_curves(["loss"])
