"""Watches: what is new comes in order, once, soon, and goes on behind a cursor."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from tests.rpc.asking import Api, Failure, column, failure_of, fresh
from tests.support.postgres import Postgres
from tests.support.server import ServerProcess

from runwire.v1 import block_pb2, metric_pb2, metric_pb2_grpc, run_pb2, server_pb2
from runwire_server.domain import watch_cursors

Point = tuple[str, str, int, int, float]
MISSING = "f" * 32
WAIT = 120.0


def points_of(message: metric_pb2.WatchMetricsResponse) -> list[Point]:
    """Returns a message's points: run, key, step, time, value."""
    found = []
    for one in message.blocks:
        block = one.block
        steps = list(block.steps.steps)
        assert block.keys
        assert len(block.values) == len(steps) * len(block.keys)
        for row, (step, moment) in enumerate(zip(steps, block.timestamps_ms, strict=True)):
            for k, key in enumerate(block.keys):
                found.append((one.run_id, key, step, moment, block.values[row * len(block.keys) + k]))
    return found


class Watch:
    """A watch whose messages are read by a thread as they come."""

    def __init__(self, channel: grpc.Channel, **request: Any) -> None:
        stub = metric_pb2_grpc.MetricServiceStub(channel)
        self.call = stub.WatchMetrics(metric_pb2.WatchMetricsRequest(**request))
        self._messages: queue.Queue[Any] = queue.Queue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        # It watches from now on.
        self.first = self.next()

    def _read(self) -> None:
        try:
            for message in self.call:
                self._messages.put((time.perf_counter(), message))
        except grpc.RpcError as error:
            self._messages.put((time.perf_counter(), error))

    def next(self) -> metric_pb2.WatchMetricsResponse:
        """Returns the next message."""
        self.moment, found = self._messages.get(timeout=WAIT)
        if isinstance(found, grpc.RpcError):
            raise found
        self.cursor = found.cursor
        return found

    def points(self, count: int) -> list[Point]:
        """Reads on until there are so many points, and returns them."""
        found: list[Point] = []
        while len(found) < count:
            message = self.next()
            assert not message.resync_run_ids
            assert message.blocks
            found += points_of(message)
        assert len(found) == count
        return found

    def failure(self) -> Failure:
        """Returns how it ends."""
        with pytest.raises(grpc.RpcError) as caught:
            self.next()
        return failure_of(caught.value)

    def end(self) -> Failure:
        """Reads on until it ends; returns how it does."""
        try:
            while True:
                self.next()
        except grpc.RpcError as error:
            return failure_of(error)

    def close(self) -> None:
        """Ends it."""
        self.call.cancel()
        self._thread.join()

    def silent(self) -> bool:
        """Tells whether nothing has come that was not read."""
        return self._messages.empty()


@contextmanager
def watching(channel: grpc.Channel, *run_ids: str, **fields: Any) -> Iterator[Watch]:
    """Watches runs within the block."""
    watch = Watch(channel, run_ids=run_ids, **fields)
    try:
        yield watch
    finally:
        watch.close()


def logged(run_id: str, key: str, values: list[float], first: int = 0) -> list[Point]:
    """Returns the points that `column` makes."""
    return [(run_id, key, first + i, 1_000 + i, value) for i, value in enumerate(values)]


def test_what_is_new_comes_in_order_of_arrival(api: Api) -> None:
    run_id = api.new_run()
    api.log(run_id, column("before", [1.0]))
    with watching(api.channel, run_id) as watch:
        assert watch.first.cursor
        assert not watch.first.blocks
        expected = []
        for number in range(20):
            key = f"k{number % 3}"
            api.log(run_id, column(key, [number + 0.5], first=-number))
            expected += logged(run_id, key, [number + 0.5], first=-number)
        assert watch.points(20) == expected


def test_a_wide_block_comes_as_it_was_logged(api: Api) -> None:
    run_id = api.new_run()
    keys = [f"k{n}" for n in range(50)]
    block = block_pb2.Block(
        keys=keys,
        steps=block_pb2.StepList(steps=[7, 3]),
        timestamps_ms=[5, 6],
        values=[float(n) for n in range(100)],
    )
    with watching(api.channel, run_id) as watch, watching(api.channel, run_id, keys=["k7", "none"]) as some:
        api.log(run_id, block)
        rows = [(7, 5, 0), (3, 6, 50)]
        assert watch.points(100) == [
            (run_id, key, step, moment, float(offset + n))
            for step, moment, offset in rows
            for n, key in enumerate(keys)
        ]
        assert some.points(2) == [(run_id, "k7", 7, 5, 7.0), (run_id, "k7", 3, 6, 57.0)]


def test_from_the_start_and_on(api: Api) -> None:
    run_id = api.new_run()
    api.log(run_id, column("a", [1.0, 2.0]))
    with watching(api.channel, run_id, from_start=True) as watch:
        assert not watch.first.blocks
        assert watch.points(2) == logged(run_id, "a", [1.0, 2.0])
        api.log(run_id, column("a", [3.0], first=2))
        assert watch.points(1) == logged(run_id, "a", [3.0], first=2)


def test_a_cursor_goes_on_behind_its_message_from_every_message_on(api: Api) -> None:
    run_id, other = api.new_run(), api.new_run()
    expected: list[Point] = []
    cursors = []
    with watching(api.channel, run_id, other) as watch:
        cursors.append((0, watch.cursor))
        for number in range(12):
            chosen = (run_id, other)[number % 2]
            api.log(chosen, column("a", [float(number)], first=number))
            expected += logged(chosen, "a", [float(number)], first=number)
            assert watch.points(1) == expected[-1:]
            cursors.append((number + 1, watch.cursor))
    for read, cursor in cursors:
        # The runs may be named in another order.
        with watching(api.channel, other, run_id, cursor=cursor) as again:
            rest = again.points(len(expected) - read) if read < len(expected) else []
            for one in (run_id, other):
                assert [p for p in rest if p[0] == one] == [p for p in expected[read:] if p[0] == one]
            assert again.silent()


def test_keys_may_change_with_a_cursor(api: Api) -> None:
    run_id = api.new_run()
    with watching(api.channel, run_id, keys=["a"]) as watch:
        api.log(run_id, column("b", [1.0]))
        api.log(run_id, column("a", [2.0]))
        assert watch.points(1) == logged(run_id, "a", [2.0])
    api.log(run_id, column("b", [3.0]))
    with watching(api.channel, run_id, keys=["b"], cursor=watch.cursor) as watch:
        assert watch.points(1) == logged(run_id, "b", [3.0])


def test_bad_requests(api: Api) -> None:
    run_id, other = api.new_run(), api.new_run()
    with watching(api.channel, run_id) as watch:
        cursor = watch.cursor
    watch_of = metric_pb2.WatchMetricsRequest
    api.bad_field(watch_of(), "run_ids")
    api.bad_field(watch_of(run_ids=[run_id, run_id]), "run_ids")
    api.bad_field(watch_of(run_ids=["x"]), "run_ids[0]")
    api.bad_field(watch_of(run_ids=[run_id], keys=["a", "a"]), "keys")
    api.refused(watch_of(run_ids=[run_id, MISSING]), "NOT_FOUND", "RUN_NOT_FOUND", run_id=MISSING)
    for runs, token in [
        ([other], cursor),
        ([run_id, other], cursor),
        ([run_id], cursor[:-1]),
        ([run_id], cursor + "A"),
        ([run_id], "é"),
        ([run_id], "AAAA"),
    ]:
        failure = api.refused(
            watch_of(run_ids=runs, cursor=token), "INVALID_ARGUMENT", "INVALID_CURSOR", "cursor"
        )
        assert "other runs" in failure.message


def test_a_cursor_of_a_newer_database_goes_on_from_the_newest_point(api: Api) -> None:
    """As after a restore of an older backup."""
    run_id, other = api.new_run(), api.new_run()
    for one in (run_id, other):
        api.log(one, column("a", [1.0, 2.0]))
    cursor = watch_cursors.encode({run_id: 100, other: 1})
    with watching(api.channel, run_id, other, cursor=cursor) as watch:
        assert list(watch.first.resync_run_ids) == [run_id]
        assert watch.points(1) == [(other, "a", 1, 1_001, 2.0)]
        api.log(run_id, column("a", [3.0], first=2))
        assert watch.points(1) == logged(run_id, "a", [3.0], first=2)


def test_deleted_runs_are_watched_and_purged_ones_are_not(any_server: ServerProcess, api: Api) -> None:
    run_id = api.new_run()
    api.log(run_id, column("a", [1.0]))
    api(run_pb2.DeleteRunRequest(run_id=run_id))
    with watching(api.channel, run_id, from_start=True) as watch:
        assert len(watch.points(1)) == 1
        api(run_pb2.RestoreRunRequest(run_id=run_id))
        api.log(run_id, column("a", [2.0]))
        assert len(watch.points(1)) == 1
        api(run_pb2.DeleteRunRequest(run_id=run_id))
        api(server_pb2.PurgeRequest(older_than=Duration()))
        failure = watch.failure()
        assert (failure.reason, failure.metadata) == ("RUN_NOT_FOUND", {"run_id": run_id})
    api.refused(
        metric_pb2.WatchMetricsRequest(run_ids=[run_id], cursor=watch.cursor), "NOT_FOUND", "RUN_NOT_FOUND"
    )


def test_news_comes_soon_after_the_answer(api: Api) -> None:
    """The median, since the machine of a test may be busy with others."""
    run_id = api.new_run()
    late = []
    with watching(api.channel, run_id) as watch:
        for number in range(30):
            api.log(run_id, column("a", [float(number)]))
            answered = time.perf_counter()
            watch.points(1)
            late.append(watch.moment - answered)
    assert sorted(late)[len(late) // 2] < 0.5


def test_a_cursor_outlives_restarts(database_server: ServerProcess) -> None:
    server = database_server
    with grpc.insecure_channel(server.address) as channel:
        api = Api(channel)
        run_id = api.new_run()
        expected: list[Point] = []
        with watching(channel, run_id) as watch:
            cursor = watch.cursor
        for restart in (server.stop, server.kill, server.stop):
            with watching(channel, run_id, cursor=cursor) as watch:
                got = watch.points(len(expected))
                assert got == expected
                api.log(run_id, column("a", [1.0, 2.0]))
                assert watch.points(2) == logged(run_id, "a", [1.0, 2.0])
                cursor = watch.cursor
                restart()
                if restart == server.stop:
                    assert watch.failure().reason == "SERVER_STOPPING"
            server.start()
            grpc.channel_ready_future(channel).result(WAIT)
            # Nobody watches.
            api.log(run_id, column("b", [3.0]))
            expected = logged(run_id, "b", [3.0])


@pytest.fixture(params=["sqlite", "postgresql"])
def database_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of the test's own, which it may stop."""
    arguments = []
    if request.param == "postgresql":
        arguments = ["--database", asyncio.run(request.getfixturevalue("postgres").create_database())]
    # Who waited for calls to end would wait for longer than a stop is waited for here.
    with ServerProcess(tmp_path / "data", "--grace", "300", *arguments) as running:
        yield running


def test_a_stop_does_not_wait_for_watchers(database_server: ServerProcess) -> None:
    server = database_server
    with grpc.insecure_channel(server.address) as channel:
        api = Api(channel)
        run_id = api.new_run()
        with ExitStack() as stack:
            watches = [stack.enter_context(watching(channel, run_id)) for _ in range(5)]
            # This one's reader reads no more than the first message.
            stuck = metric_pb2_grpc.MetricServiceStub(channel).WatchMetrics(
                metric_pb2.WatchMetricsRequest(run_ids=[run_id])
            )
            next(stuck)
            for _ in range(40):
                api.log(run_id, column("a", [1.0] * 10_000))
            assert server.stop() == 0
            for watch in watches:
                failure = watch.end()
                assert failure.reason == "SERVER_STOPPING"
                assert failure.retry
            stuck.cancel()


def test_two_servers_of_one_database(postgres: Postgres, tmp_path: Path) -> None:
    url = asyncio.run(postgres.create_database())
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ServerProcess(tmp_path / name, "--database", url)) for name in ("one", "two")
        ]
        channels = [stack.enter_context(grpc.insecure_channel(server.address)) for server in servers]
        one, two = (Api(channel) for channel in channels)
        run_id = one.new_run()
        watches = [stack.enter_context(watching(channel, run_id)) for channel in channels]
        expected: list[Point] = []
        late = []
        for number in range(30):
            (one, two)[number % 3 % 2].log(run_id, column("a", [float(number)], first=number))
            answered = time.perf_counter()
            expected += logged(run_id, "a", [float(number)], first=number)
            for watch in watches:
                assert watch.points(1) == expected[-1:]
                late.append(watch.moment - answered)
        assert sorted(late)[len(late) // 2] < 0.5
        # A cursor of the one is good for the other.
        with watching(channels[1], run_id, cursor=watches[0].first.cursor) as again:
            assert again.points(30) == expected
        # Both at once.
        threads = [
            threading.Thread(target=log_many, args=(api, run_id, key))
            for api, key in [(one, "x"), (two, "y")]
        ]
        for thread in threads:
            thread.start()
        for watch in watches:
            points = watch.points(400)
            for key in "xy":
                assert [p[2] for p in points if p[1] == key] == list(range(200))
        for thread in threads:
            thread.join()


def log_many(api: Api, run_id: str, key: str) -> None:
    for step in range(200):
        api.log(run_id, column(key, [1.0], first=step))


def test_a_slow_watcher_is_told_to_resync_and_goes_on(any_server: ServerProcess, api: Api) -> None:
    # A connection of its own, of which little is on its way: gRPC lets more be, the more others have fetched.
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0))
    with grpc.insecure_channel(any_server.address, options) as channel:
        fall_behind(channel, api)


def fall_behind(channel: grpc.Channel, api: Api) -> None:
    """Watches by a channel what is logged, but reads nothing of it until all is logged."""
    run_id = api.new_run()
    slow = metric_pb2_grpc.MetricServiceStub(channel).WatchMetrics(
        metric_pb2.WatchMetricsRequest(run_ids=[run_id]), timeout=500
    )
    next(slow)
    # 24 bytes a point: some 29 MB.
    for number in range(120):
        api.log(run_id, column("a", [float(number)] * 10_000, first=10_000 * number))
    steps: list[int] = []
    resyncs = 0
    last = None
    for message in slow:
        if message.resync_run_ids:
            assert list(message.resync_run_ids) == [run_id]
            resyncs += 1
            gap = len(steps)
            api.log(run_id, column("last", [1.0]))
        found = points_of(message)
        if any(point[1] == "last" for point in found):
            last = message
            break
        steps += [point[2] for point in found]
        assert len(steps) < 1_200_000, "it did not fall behind"
    slow.cancel()
    assert last is not None
    assert resyncs == 1
    # Up to the gap nothing is left out, and behind it nothing is told that was skipped.
    assert steps == list(range(gap))
    assert gap < 1_200_000 - 16 * 2**20 // 24


def test_what_was_there_before_a_watch_is_no_reason_to_resync(api: Api) -> None:
    run_id = api.new_run()
    for number in range(90):
        api.log(run_id, column("a", [float(number)] * 10_000, first=10_000 * number))
    with watching(api.channel, run_id, from_start=True) as watch:
        assert [point[2] for point in watch.points(900_000)] == list(range(900_000))


def test_fifty_watchers_beside_a_writer_see_the_same(any_server: ServerProcess, api: Api) -> None:
    run_id = api.new_run(name=fresh("busy"))
    with ExitStack() as stack:
        # Connections of their own.
        options = (("grpc.use_local_subchannel_pool", 1),)
        channels = [stack.enter_context(grpc.insecure_channel(any_server.address, options)) for _ in range(5)]
        watches = [
            stack.enter_context(watching(channels[number % 5], run_id, keys=["a"] if number % 2 else []))
            for number in range(50)
        ]
        began = time.perf_counter()
        for step in range(100):
            api.log(
                run_id, column("a", [float(step)] * 100, first=100 * step), column("b", [1.0], first=step)
            )
        seconds = time.perf_counter() - began
        for number, watch in enumerate(watches):
            points = watch.points(10_000 if number % 2 else 10_100)
            assert [p[2] for p in points if p[1] == "a"] == list(range(10_000))
            assert watch.silent()
    # An ordinary writer among them is not brought to a halt.
    assert seconds < 150
