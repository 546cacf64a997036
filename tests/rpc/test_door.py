"""Who may come in, and callers that leave early."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.rpc.asking import METHODS, Api, column, failure_of
from tests.rpc.requests import encoded, prepared, sound_requests
from tests.support.server import ServerProcess

from runwire.v1 import block_pb2
from runwire.v1 import metric_pb2 as metrics
from runwire.v1 import run_pb2 as runs
from runwire.v1 import server_pb2 as server
from runwire_server import config

TOKEN = "correct-horse-battery"
BAD_TOKENS: dict[str, list[tuple[str, str]]] = {
    "none": [],
    "wrong": [("authorization", "Bearer incorrect-horse-battery")],
    "empty": [("authorization", "")],
    "no token": [("authorization", "Bearer ")],
    "no scheme": [("authorization", TOKEN)],
    "another scheme": [("authorization", f"Basic {TOKEN}")],
    "another case": [("authorization", f"Bearer {TOKEN.upper()}")],
    "a prefix": [("authorization", f"Bearer {TOKEN[:-1]}")],
    "more": [("authorization", f"Bearer {TOKEN}x")],
    "long": [("authorization", "Bearer " + "x" * 4_000)],
    "another header": [("x-authorization", f"Bearer {TOKEN}")],
}
RIGHT = [("authorization", f"Bearer {TOKEN}")]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    """A channel to a server that wants a token."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "token").write_text(TOKEN + "\n")
    arguments = ("--token-file", str(folder / "token"))
    with (
        ServerProcess(folder / "data", *arguments) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        yield channel
        assert TOKEN not in running.log


@pytest.mark.parametrize("bad", BAD_TOKENS)
def test_no_method_lets_a_stranger_in(guarded: grpc.Channel, bad: str) -> None:
    api = Api(guarded)
    for request in sound_requests("0", "0" * 32).values():
        failure = api.fails(request, metadata=BAD_TOKENS[bad])
        assert (failure.code.name, failure.reason) == ("UNAUTHENTICATED", "TOKEN_REQUIRED")
        assert TOKEN not in failure.message


@pytest.mark.parametrize("data", [b"\xff", b"", b"\0" * (5 * 1024 * 1024)], ids=["garbage", "empty", "large"])
def test_strangers_learn_nothing_from_what_they_send(guarded: grpc.Channel, data: bytes) -> None:
    for path in ("/runwire.v1.RunService/GetRun", "/runwire.v1.RunService/Fly", "/a/b"):
        with pytest.raises(grpc.RpcError) as caught:
            Api(guarded).raw(path, data)
        assert failure_of(caught.value).reason == "TOKEN_REQUIRED"


def test_the_token_lets_in(guarded: grpc.Channel) -> None:
    api = Api(guarded)
    answer = api(server.GetServerInfoRequest(), metadata=RIGHT)
    assert answer.api_version == "v1"
    failure = api.fails(runs.GetRunRequest(run_id="0" * 32), metadata=RIGHT)
    assert failure.reason == "RUN_NOT_FOUND"


def reflected(channel: grpc.Channel, metadata: list[tuple[str, str]]) -> set[str]:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = stub.ServerReflectionInfo(iter([request]), metadata=metadata, timeout=120)
    return {service.name for service in answer.list_services_response.service}


def test_health_is_open_and_reflection_is_not(guarded: grpc.Channel) -> None:
    check = health_pb2_grpc.HealthStub(guarded).Check(health_pb2.HealthCheckRequest(), timeout=120)
    assert check.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        reflected(guarded, [])
    assert failure_of(caught.value).reason == "TOKEN_REQUIRED"
    services = {method.containing_service.full_name for method in METHODS.values()}
    assert services < reflected(guarded, RIGHT)


def test_a_server_without_a_token_does_not_mind_one(api: Api) -> None:
    api(server.GetServerInfoRequest(), metadata=BAD_TOKENS["wrong"])


def test_a_deadline_that_has_passed(api: Api) -> None:
    experiment, run = prepared(api)
    with api.unchanged(run):
        for request in sound_requests(experiment, run).values():
            with pytest.raises(grpc.RpcError) as caught:
                api(request, timeout=-1.0)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_deadlines_that_pass_on_the_way(api: Api) -> None:
    for microseconds in range(0, 2_000, 300):
        for request in sound_requests(*prepared(api)).values():
            try:
                api(request, timeout=microseconds / 1e6)
            except grpc.RpcError as error:
                late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                # Some of the calls before have not worked, so these may fail for a reason.
                refused = not late and failure_of(error).code is grpc.StatusCode.FAILED_PRECONDITION
                missing = not late and failure_of(error).code is grpc.StatusCode.NOT_FOUND
                if not (late or refused or missing):
                    raise
    _, run = prepared(api)
    with api.unchanged(run):
        pass


def test_a_reader_that_leaves(api: Api) -> None:
    run = api.new_run()
    for first in range(0, 80_000, 10_000):
        api.log(run, column("m", [1.0] * 10_000, first))
    request = metrics.GetMetricHistoryRequest(run_ids=[run])
    calls = [api.method("GetMetricHistory")(request, timeout=120) for _ in range(20)]
    for call in calls:
        next(iter(call))
        call.cancel()
    early = [api.method("GetMetricHistory")(request, timeout=120) for _ in range(20)]
    for call in early:
        call.cancel()
    assert sum(len(b.block.values) for b in api.history(run)) == 80_000


def test_writers_that_leave(api: Api) -> None:
    run = api.new_run()
    calls = [
        api.method("LogBatch").future(
            runs.LogBatchRequest(run_id=run, blocks=[column("m", [1.0] * 100, step)])
        )
        for step in range(0, 5_000, 100)
    ]
    left = [call for call in calls[::2] if call.cancel()]
    concurrent.futures.wait([_settled(call) for call in calls])
    kept = [call for call in calls if call.code() is grpc.StatusCode.OK]
    assert len(kept) >= len(calls) - len(left) > 0
    # Of those that left, each is there as a whole or not at all.
    (block,) = api.history(run)
    steps = list(block.block.steps.steps)
    assert len(kept) * 100 <= len(steps) <= 5_000
    starts = steps[::100]
    assert steps == [step for start in starts for step in range(start, start + 100)]
    assert api.run(run).metrics[0].count == len(steps)
    api.log(run, column("m", [1.0]))


def _settled(call: Any) -> concurrent.futures.Future[None]:
    done: concurrent.futures.Future[None] = concurrent.futures.Future()
    call.add_done_callback(lambda _: done.set_result(None))
    return done


def test_unknown_fields_are_ignored(api: Api) -> None:
    _, run = prepared(api)
    future = encoded(99, b"of the future")
    inner = block_pb2.Block(keys=["m"], range={}, timestamps_ms=[1], values=[2]).SerializeToString()
    data = runs.LogBatchRequest(run_id=run).SerializeToString() + future + encoded(2, inner + future)
    api.raw("/runwire.v1.RunService/LogBatch", data)
    assert api.run(run).metrics[0].value == 2.0


def test_the_limits_are_those_in_force(api: Api) -> None:
    limits = api(server.GetServerInfoRequest()).limits
    assert {field.name: value for field, value in limits.ListFields()} == {
        "max_message_bytes": 4_194_304,
        "max_batch_points": 10_000,
        "max_batch_params": 1_000,
        "max_batch_tags": 1_000,
        "max_key_length": 250,
        "max_param_value_length": 6_000,
        "max_run_tag_value_length": 8_000,
        "max_experiment_tag_value_length": 20_000,
        "max_name_length": 500,
        "max_page_size": 1_000,
        "max_filter_bytes": 16_384,
        "max_frame_bytes": 2_097_152,
        "max_stream_bytes": 8_388_608,
        "max_group_keys": 10_000,
        "max_stream_groups": 1_000,
        "max_run_series": 1_000_000,
        "max_frame_changes": 10_000,
    }


@pytest.mark.parametrize("text", ["", "short", "ünprintable-and-long", "two\nlines-of-a-token"], ids=repr)
def test_tokens_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(SystemExit) as caught:
        config.read(["--token-file", str(tmp_path / "token")])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "16 printable" in said
    assert not text or text not in said
