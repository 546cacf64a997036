"""What clients do on the wire: tokens, deadlines, repeats, and servers that are not there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.client.blocking import KINDS, connect
from tests.client.scripted import HERE, Failure, Script, serve

from runwire import Client, Retry, errors
from runwire.v1 import block_pb2, experiment_pb2, metric_pb2, run_pb2, server_pb2

QUICK = Retry(initial=0.01, maximum=0.02, connect_timeout=0.5)


@pytest.fixture
def script() -> Iterator[Script]:
    """A scripted server."""
    script = Script([b""])
    server = serve(script)
    yield script
    script.over.set()
    server.stop(None).wait()


@pytest.fixture
def nowhere() -> str:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"runwire://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("kind", KINDS)
def test_repeats_carry_the_first_request_id(kind: str, script: Script) -> None:
    script.answers = [
        Failure("UNAVAILABLE", "SERVER_STOPPING", retry_delay=0.01),
        Failure("UNAVAILABLE"),
        # Nobody asked for it: a server that closes says so of the calls that it leaves.
        Failure("CANCELLED"),
        Failure("ABORTED", "STORAGE_CONFLICT", retry_delay=0.01),
        Failure("RESOURCE_EXHAUSTED", "STORAGE_FULL", retry_delay=0.01),
        run_pb2.CreateRunResponse(run=run_pb2.Run(run_id="a" * 32)).SerializeToString(),
    ]
    with connect(kind, script.address, retry=QUICK) as client:
        assert client.create_run("0").info.run_id == "a" * 32
    assert len(script.seen) == 6
    assert {sent.method for sent in script.seen} == {"/runwire.v1.RunService/CreateRun"}
    assert len({sent.body for sent in script.seen}) == 1
    request = run_pb2.CreateRunRequest.FromString(script.seen[0].body)
    assert len(request.request_id) == 36
    assert len(request.run_id) == 32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (Failure("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE"), errors.ResourceExhausted),
        (Failure("INTERNAL", "INTERNAL"), errors.InternalError),
        (Failure("UNKNOWN"), errors.UnknownError),
        (Failure("NOT_FOUND", "RUN_NOT_FOUND"), errors.NotFound),
        (Failure("UNIMPLEMENTED"), errors.Unimplemented),
    ],
)
def test_final_failures_are_sent_once(
    kind: str, script: Script, failure: Failure, raised: type[errors.RunwireError]
) -> None:
    script.answers = [failure]
    with connect(kind, script.address, retry=QUICK) as client, pytest.raises(raised) as caught:
        client.delete_run("r")
    assert (caught.value.reason, str(caught.value)) == (failure.reason, "scripted")
    assert len(script.seen) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_each_call_has_a_deadline(kind: str, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    # The default is what it is for users.
    monkeypatch.undo()
    # The machine may stand still on the way of a call, but not of all.
    with connect(kind, script.address, timeout=700.0) as client:
        for _ in range(3):
            client.delete_run("r")
        for _ in range(3):
            client.delete_run("r", timeout=5000.0)
    with connect(kind, script.address) as client:
        for _ in range(3):
            client.delete_run("r")
    left = [sent.time_remaining for sent in script.seen]
    first, second, third = (max(left[at : at + 3]) for at in (0, 3, 6))
    # gRPC rounds what is long.
    assert 690 < first < 710
    assert 4980 < second < 5020
    assert 27 < third < 31


@pytest.mark.parametrize("kind", KINDS)
def test_a_silent_server_is_left_at_the_deadline(kind: str, script: Script) -> None:
    script.answers = [300.0]
    start = time.monotonic()
    with connect(kind, script.address) as client:
        calls = 0
        # Where the machine stands still first, a call is not even sent.
        while not script.seen:
            with pytest.raises(errors.DeadlineExceeded):
                client.delete_run("r", timeout=0.3)
            calls += 1
    assert time.monotonic() - start < 100
    assert 1 <= len(script.seen) <= calls


@pytest.mark.parametrize("kind", KINDS)
def test_repeats_end_at_the_deadline(kind: str, script: Script) -> None:
    # The third attempt is the last for which there is time.
    delays = (0.5, 0.5, 200.0)
    script.answers = [Failure("UNAVAILABLE", "STORAGE_UNAVAILABLE", retry_delay=delay) for delay in delays]
    start = time.monotonic()
    with connect(kind, script.address, retry=QUICK) as client, pytest.raises(errors.Unavailable) as caught:
        client.delete_run("r", timeout=150.0)
    assert caught.value.reason == "STORAGE_UNAVAILABLE"
    assert 1.0 < time.monotonic() - start < 100
    assert len(script.seen) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_sent_over_plain_text(kind: str, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(kind, script.address, token="secret") as client:
        client.delete_run("r")
    monkeypatch.setenv("RUNWIRE_TOKEN", "other")
    with connect(kind, script.address) as client:
        client.get_metric_history("r", "k")
    assert [sent.metadata["authorization"] for sent in script.seen] == ["Bearer secret", "Bearer other"]
    assert all("runwire-python/" in sent.metadata["user-agent"] for sent in script.seen)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_listens(kind: str, nowhere: str) -> None:
    start = time.monotonic()
    with connect(kind, nowhere, retry=QUICK) as client, pytest.raises(errors.ServerUnavailable) as caught:
        client.server_info(timeout=300.0)
    assert 0.4 < time.monotonic() - start < 100
    assert nowhere in str(caught.value)
    assert "runwire server" in str(caught.value)
    assert "refused" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_comes_up_within_the_window_is_found(kind: str, nowhere: str) -> None:
    script = Script([b""])
    started = []
    target = nowhere.removeprefix("runwire://")
    timer = threading.Timer(0.7, lambda: started.append(serve(script, target)))
    timer.start()
    with connect(kind, nowhere, retry=Retry(connect_timeout=100.0)) as client:
        client.delete_run("r")
    timer.join()
    started[0].stop(None).wait()
    assert len(script.seen) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_once_reached_is_waited_for(kind: str, nowhere: str) -> None:
    script = Script([b""])
    target = nowhere.removeprefix("runwire://")
    first = serve(script, target)
    with connect(kind, nowhere, retry=Retry(connect_timeout=0.2, maximum=0.2)) as client:
        client.delete_run("a")
        first.stop(None).wait()
        again = []
        timer = threading.Timer(1.0, lambda: again.append(serve(script, target)))
        timer.start()
        client.delete_run("b")
        timer.join()
        again[0].stop(None).wait()
    assert len(script.seen) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_answers_of_any_size_are_read(kind: str, script: Script) -> None:
    tags = [experiment_pb2.Tag(key=f"k{i}", value="x" * 8000) for i in range(1000)]
    script.answers = [run_pb2.GetRunResponse(run=run_pb2.Run(tags=tags)).SerializeToString()]
    with connect(kind, script.address) as client:
        assert len(client.get_run("r").data.tags) == 1000


@pytest.mark.parametrize("kind", KINDS)
def test_unix_sockets(kind: str, tmp_path: Path) -> None:
    script = Script([server_pb2.GetServerInfoResponse(version="9").SerializeToString()])
    server = serve(script, f"unix:{tmp_path}/s")
    with connect(kind, script.address) as client:
        assert client.server_info().version == "9"
    server.stop(None).wait()


@pytest.mark.parametrize("kind", KINDS)
def test_tls_by_a_given_authority(kind: str) -> None:
    script = Script([server_pb2.GetServerInfoResponse(version="9").SerializeToString()])
    server = serve(script, tls=True)
    with connect(kind, script.address, tls_ca=HERE / "localhost.pem", token="secret") as client:
        assert client.server_info().version == "9"
    with (
        connect(kind, script.address, retry=QUICK) as stranger,
        pytest.raises(errors.ServerUnavailable, match=r"(?i)certificate"),
    ):
        stranger.server_info()
    server.stop(None).wait()


@pytest.mark.parametrize("kind", KINDS)
def test_streams_are_put_together(kind: str, script: Script) -> None:
    block = block_pb2.Block(keys=["a", "b"], timestamps_ms=[5, 6], values=[1.0, 2.0, 3.0, 4.0])
    block.range.first, block.range.stride = 7, -1
    answer = metric_pb2.GetMetricHistoryResponse(blocks=[block_pb2.RunBlock(run_id="r", block=block)])
    script.answers = [answer.SerializeToString()]
    with connect(kind, script.address) as client:
        found = client.get_metric_histories(["r", "s"])
    assert list(found) == ["r", "s"]
    assert found["s"] == {}
    assert [found["r"]["b"].steps.tolist(), found["r"]["b"].values.tolist()] == [[7, 6], [2.0, 4.0]]


def test_a_closed_client_says_so(script: Script) -> None:
    client = Client(script.address)
    client.close()
    client.close()
    with pytest.raises(ValueError, match="closed"):
        client.server_info()


def test_clients_work_in_parallel_threads(script: Script) -> None:
    with Client(script.address) as client, ThreadPoolExecutor(8) as pool:
        list(pool.map(client.delete_run, [f"r{i}" for i in range(64)]))
    bodies = [run_pb2.DeleteRunRequest.FromString(sent.body) for sent in script.seen]
    assert len({body.request_id for body in bodies}) == 64
