"""Every method of every service answers whatever bytes come in with a typed error."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.rpc.asking import FILES, METHODS, Api, Failure, failure_of
from tests.rpc.requests import encoded, prepared, sound_requests, text_fields

from runwire.v1 import error_pb2, run_pb2

ROOT = Path(__file__).parents[2]
PATHS = {name: f"/{method.containing_service.full_name}/{name}" for name, method in METHODS.items()}
MIB = 1024 * 1024

every_method = pytest.mark.parametrize("name", METHODS)
fuzzed = settings(
    max_examples=100,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def raw_failure(api: Api, path: str, data: bytes, **options: object) -> Failure:
    with pytest.raises(grpc.RpcError) as caught:
        api.raw(path, data, **options)
    return failure_of(caught.value)


def test_all_services_are_looked_at() -> None:
    generated = {f"{p.stem}.proto" for p in (ROOT / "protos/runwire/v1").glob("*.proto")}
    with_services = {f.DESCRIPTOR.name.rsplit("/", 1)[1] for f in FILES}
    assert generated - with_services == {"block.proto", "error.proto", "frame.proto"}
    assert set(sound_requests("0", "0" * 32)) == set(METHODS)


@every_method
@pytest.mark.parametrize("data", [b"\xff" * 5, b"\x0a\x05abc", b"\x07", b"\x80" * 20], ids=repr)
def test_garbage(api: Api, name: str, data: bytes) -> None:
    failure = raw_failure(api, PATHS[name], data)
    assert (failure.code.name, failure.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")
    assert METHODS[name].input_type.full_name in failure.message


@every_method
def test_truncated(api: Api, name: str) -> None:
    # An unknown field, so that those without fields can be cut off too.
    data = sound_requests("0", "0" * 32)[name].SerializeToString() + b"\xfa\x7f\x03abc"
    failure = raw_failure(api, PATHS[name], data[:-1])
    assert (failure.code.name, failure.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")


@pytest.mark.parametrize(
    ("name", "field", "data"),
    [
        pytest.param(name, field, data, id=f"{name}-{field}")
        for name, method in METHODS.items()
        for field, data in text_fields(method.input_type)
    ],
)
def test_text_that_is_not_utf8_is_named(api: Api, name: str, field: str, data: bytes) -> None:
    failure = raw_failure(api, PATHS[name], data)
    assert (failure.code.name, failure.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")
    assert failure.metadata == {"field": field}
    assert list(failure.violations) == [field]


def test_the_second_of_a_list_is_named(api: Api) -> None:
    # Two params; the first is sound.
    data = run_pb2.LogBatchRequest(params=[{"key": "a"}, {"key": "bbb"}]).SerializeToString()
    failure = raw_failure(api, PATHS["LogBatch"], data.replace(b"bbb", b"b\xffb"))
    assert failure.metadata == {"field": "params[1].key"}


# Streams take larger messages, so that no frame can keep a writer from going on.
@pytest.mark.parametrize("name", [name for name in METHODS if name != "StreamFrames"])
@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_too_large(api: Api, name: str, compression: grpc.Compression) -> None:
    size = 5 * MIB
    failure = raw_failure(api, PATHS[name], b"\0" * size, compression=compression)
    assert (failure.code.name, failure.reason) == ("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")
    assert failure.metadata == {"bytes": str(size), "max_bytes": str(4 * MIB)}


def test_the_limit_itself_is_not_too_large(api: Api) -> None:
    # Another field of the future; the rest of the 4 MiB is its content.
    data = b"\xfa\x7f\xf9\xff\xff\x01" + b"\0" * (4 * MIB - 7)
    assert len(data) == 4 * MIB - 1
    api.raw(PATHS["GetServerInfo"], data)
    failure = raw_failure(api, PATHS["GetServerInfo"], b"\0" * (4 * MIB + 1))
    assert failure.reason == "MESSAGE_TOO_LARGE"


@pytest.mark.parametrize(
    "path",
    ["/runwire.v1.RunService/Fly", "/runwire.v2.RunService/GetRun", "/a/b", "/runwire.v1.RunService/getRun"],
)
def test_unknown_method(api: Api, path: str) -> None:
    failure = raw_failure(api, path, b"")
    assert (failure.code.name, failure.reason) == ("UNIMPLEMENTED", "METHOD_UNKNOWN")
    assert failure.metadata == {"method": path}


def test_unknown_method_with_a_long_name(api: Api) -> None:
    # The answer has it several times, and metadata has to stay small.
    failure = raw_failure(api, "/runwire.v1.RunService/" + "x" * 4_000, b"")
    assert failure.reason == "METHOD_UNKNOWN"
    assert len(failure.metadata["method"]) < 250


HUNDRED_THOUSAND = b"\x0a\x00" * 100_000
FLOODS = {
    "LogBatch": [encoded(n, b"") * 100_000 for n in (2, 3, 4)] + [encoded(2, HUNDRED_THOUSAND)],
    "LogInputs": [encoded(2, b"") * 100_000],
    "SetRunTags": [encoded(2, b"") * 100_000],
    "CreateRun": [encoded(8, b"") * 100_000],
    "UpdateRun": [encoded(4, HUNDRED_THOUSAND)],
    "GetRun": [encoded(2, encoded(1, HUNDRED_THOUSAND)), encoded(2, encoded(2, b"") * 100_000)],
    "SearchRuns": [encoded(n, b"") * 100_000 for n in (1, 3)],
    "SearchExperiments": [encoded(2, b"") * 100_000],
    "GetMetricHistory": [encoded(n, b"") * 100_000 for n in (1, 2)],
}


@pytest.mark.parametrize(
    ("name", "data"), [(n, d) for n, ds in FLOODS.items() for d in ds], ids=lambda x: x[:20]
)
def test_floods_of_empty_entries_are_not_looked_at(api: Api, name: str, data: bytes) -> None:
    # A message may have two million; the event loop would stand still for a minute meanwhile.
    failure = raw_failure(api, PATHS[name], data)
    assert failure.reason == "INVALID_FIELD"
    more = re.search(r"and (\d+) more", failure.message)
    assert more is None or int(more[1]) < 10


def test_what_is_no_message_costs_no_time(api: Api) -> None:
    # One number of four million digits.
    failure = raw_failure(api, PATHS["GetRun"], b"\xff" * (4 * MIB), timeout=120.0)
    assert failure.reason == "MALFORMED_MESSAGE"


REASONS = {name.removeprefix("ERROR_REASON_") for name, number in error_pb2.ErrorReason.items() if number}
RAISED = re.compile(
    r"(?:NotFound|AlreadyExists|FailedPrecondition|ResourceExhausted|Aborted|Unavailable|Unauthenticated"
    r"|Unimplemented|InvalidArgument|RunwireError)"
    r'\(\s*"([A-Z_]+)"'
)


def test_every_reason_is_documented_at_a_method_or_tested() -> None:
    texts = [p.read_text() for p in (ROOT / "protos").rglob("*.proto") if p.name != "error.proto"]
    texts += [p.read_text() for p in (ROOT / "tests").rglob("*.py")]
    assert set(re.findall(r"[A-Z][A-Z_]+", "\n".join(texts))) >= REASONS


def test_every_reason_that_the_server_gives_is_in_the_list() -> None:
    sources = "\n".join(p.read_text() for p in (ROOT / "server").rglob("*.py"))
    given_reasons = set(RAISED.findall(sources))
    assert len(given_reasons) > 15
    assert given_reasons <= REASONS


# Cuts and insertions. Places are taken modulo the length, which the ids in a request make different.
EDITS = st.lists(
    st.tuples(st.integers(0, 1_023), st.integers(0, 8), st.binary(max_size=8)), min_size=1, max_size=3
)


@fuzzed
@given(name=st.sampled_from(list(METHODS)), edits=EDITS)
def test_no_mutated_request_finds_a_bug(api: Api, name: str, edits: list[tuple[int, int, bytes]]) -> None:
    data = sound_requests(*prepared(api))[name].SerializeToString()
    for place, length, inserted in edits:
        start = place % (len(data) + 1)
        data = data[:start] + inserted + data[start + length :]
    _call_finds_no_bug(api, name, data)


TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "0", "a/../b", "x" * 251, "0" * 32, "\0", "😀" * 500, "name", "9" * 19]),
)
NUMBERS = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)])


@fuzzed
@given(draw=st.data())
def test_no_message_of_odd_values_finds_a_bug(api: Api, draw: st.DataObject) -> None:
    requests = sound_requests(*prepared(api))
    name = draw.draw(st.sampled_from(list(METHODS)))
    request = requests[name]
    for _ in range(draw.draw(st.integers(1, 3))):
        _make_odd(request, draw)
    _call_finds_no_bug(api, name, request.SerializeToString())


_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
}


def _make_odd(message: object, draw: st.DataObject) -> None:
    """Gives some field of a message, at any depth, a value that nobody would give it."""
    fields = [field for field, _ in message.ListFields()] or list(message.DESCRIPTOR.fields)
    if not fields:
        return
    field = draw.draw(st.sampled_from(fields))
    value = getattr(message, field.name)
    if field.message_type is not None and hasattr(value, "DESCRIPTOR"):
        _make_odd(value, draw)
    elif field.message_type is not None:
        _make_odd(value[draw.draw(st.integers(0, len(value) - 1))] if len(value) else value.add(), draw)
    elif isinstance(value, str):
        setattr(message, field.name, draw.draw(TEXTS))
    elif isinstance(value, bytes):
        setattr(message, field.name, draw.draw(st.binary(max_size=20)))
    elif isinstance(value, bool):
        setattr(message, field.name, not value)
    elif isinstance(value, int):
        low, high = _RANGES[field.cpp_type]
        setattr(message, field.name, min(max(draw.draw(NUMBERS), low), high))
    elif len(value) and isinstance(value[0], str):
        value.append(draw.draw(TEXTS))
    elif len(value):
        odd = max(-1, _RANGES.get(field.cpp_type, (-1, 1))[0])
        value.append(odd if draw.draw(st.booleans()) else value[0])


def _call_finds_no_bug(api: Api, name: str, data: bytes) -> None:
    try:
        api.raw(PATHS[name], data)
    except grpc.RpcError as error:
        failure = failure_of(error)
        assert failure.code.name not in {"INTERNAL", "UNKNOWN"}, failure
        assert failure.reason in REASONS
