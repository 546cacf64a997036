"""Frames that no sound client sends: each has its answer, and no writer is stuck behind one."""

from __future__ import annotations

import random
import struct

import grpc
import pytest
from tests.rpc.asking import Api
from tests.rpc.streaming import Writer, counts, points, reasons, writing
from tests.support.frames import batch, block, payload, record

from runwire.v1 import metric_pb2, run_pb2

UNKNOWN_FIELD = b"\xfa\x3e\x03new"


def delivered(writer: Writer, data: bytes) -> None:
    """Delivers a frame of any bytes, with a sound one behind it."""
    writer.stream.send(writer.cutter.cut_payload(data))
    writer.stream.wait(writer.cutter.sequence)


def record_of_block(run_id: str, encoded: bytes) -> bytes:
    """A batch of a block that is made by hand."""
    return batch(run_id, encoded)


@pytest.mark.parametrize(
    ("data", "reason", "records"),
    [
        (b"", "INVALID_FIELD", 1),
        (b"\x00", "MALFORMED_MESSAGE", 1),
        (random.Random(1).randbytes(5_000), "MALFORMED_MESSAGE", 1),
        (payload(b""), "INVALID_FIELD", 1),
        (payload(b"", b"", b"\x3a\x00"), "INVALID_FIELD", 3),
        (b"\x0a\x00" * 1_000_000, "INVALID_FIELD", 1_000_000),
        (b"\x0a\x00" * 1_100_000, "LIMIT_EXCEEDED", 1),
        (bytes(20 * 2**20), "LIMIT_EXCEEDED", 1),
    ],
    ids=["empty", "zero", "random", "no kind", "unknown kind", "a million", "large", "huge"],
)
def test_payloads(api: Api, data: bytes, reason: str, records: int) -> None:
    with writing(api) as writer:
        run_id = writer.begins()
        delivered(writer, data)
        assert reasons(writer.stream) == [("", reason, records)]
        writer.sends(points(run_id, 1.0))
    assert counts(api, run_id) == {"loss": 1}


def bad_blocks() -> dict[str, bytes]:
    """Blocks with something wrong, by what."""
    sound = block(["loss"], [1.0], times=[1], steps=[1])
    steps_and_times = block(["loss"], [], times=[1], steps=[1])
    return {
        "no rows": block(["loss"], [], times=[], steps=[]),
        "values missing": steps_and_times,
        "too many values": block(["loss"], [1.0, 2.0], times=[1], steps=[1]),
        "steps missing": block(["loss"], [1.0, 2.0], times=[1, 2], steps=[1]),
        "step overflow": block(["loss"], [1.0, 2.0], times=[1, 2], first=2**63 - 1, stride=1),
        "negative time": block(["loss"], [1.0], times=[-1], steps=[1]),
        "values of 7 bytes": block(["loss"], b"1234567", times=[1], steps=[1]),
        "times of 9 bytes": block(["loss"], [1.0], times=b"123456789", steps=[1]),
        "mixed encoding": sound + b"\x31" + struct.pack("<d", 2.0) + b"\x29" + struct.pack("<q", 2),
        "no keys": block([], [1.0], times=[1]),
        "a key twice": block(["a", "a"], [1.0, 2.0], times=[1]),
        "a bad key": block(["a//b"], [1.0], times=[1]),
        "a short hash": block(b"short", [1.0], times=[1]),
        "keys and a hash": block(b"0" * 16, [1.0], times=[1]) + b"\x0a\x01k",
        "too many keys": block([f"k{k}" for k in range(10_001)], range(10_001), times=[1]),
        "no axis": b"\x0a\x04loss" + b"\x2a\x08" + bytes(8) + b"\x32\x08" + bytes(8),
    }


@pytest.mark.parametrize("what", bad_blocks())
def test_blocks(api: Api, what: str) -> None:
    with writing(api) as writer:
        run_id = writer.begins()
        bad = record_of_block(run_id, bad_blocks()[what])
        writer.sends(points(run_id, 1.0), bad, points(run_id, 2.0, first=1))
        assert reasons(writer.stream) == [(run_id, "INVALID_FIELD", 1)]
        assert writer.stream.rejections[0].metadata["field"].startswith("records[1].batch.blocks[0]")
    assert counts(api, run_id) == {"loss": 2}


def test_a_million_keys(api: Api) -> None:
    keys = b"".join(b"\x0a\x01%c" % (97 + i % 26) for i in range(600_000))
    with writing(api) as writer:
        run_id = writer.begins()
        writer.sends(record_of_block(run_id, keys + block([], [1.0], times=[1])))
        assert reasons(writer.stream) == [(run_id, "INVALID_FIELD", 1)]
        writer.sends(points(run_id, 1.0))
    assert counts(api, run_id) == {"loss": 1}


def test_numbers_that_are_not_packed(api: Api) -> None:
    unpacked = b"\x0a\x04loss" + b"".join(
        struct.pack("<Bq", 0x29, 5 + i) + struct.pack("<Bd", 0x31, 0.5 + i) for i in range(3)
    )
    steps = b"\x1a\x1b" + b"".join(struct.pack("<Bq", 0x09, 7 + i) for i in range(3))
    with writing(api) as writer:
        run_id = writer.begins()
        writer.sends(record_of_block(run_id, unpacked + steps))
    (stored,) = api.history(run_id)
    assert list(stored.block.steps.steps) == [7, 8, 9]
    assert list(stored.block.timestamps_ms) == [5, 6, 7]
    assert list(stored.block.values) == [0.5, 1.5, 2.5]


def test_fields_of_a_newer_client_are_passed_over(api: Api) -> None:
    with writing(api) as writer:
        run_id = writer.begins()
        newer = block(["loss"], [1.0], times=[1], steps=[1]) + UNKNOWN_FIELD
        delivered(writer, payload(batch(run_id, newer) + UNKNOWN_FIELD) + UNKNOWN_FIELD)
        assert writer.stream.rejections == []
    assert counts(api, run_id) == {"loss": 1}


@pytest.mark.parametrize(
    ("made", "field"),
    [
        ({"begin": {"run": {"experiment_id": "0"}}}, "begin.run.run_id"),
        ({"begin": {"run": {"run_id": "a" * 32}}}, "begin.run.experiment_id"),
        ({"begin": {"run": {"run_id": "a" * 32}, "experiment_name": " "}}, "begin.experiment_name"),
        ({"update": {"run_id": "a" * 32}}, "update.update_mask"),
        (
            {"update": {"run_id": "a" * 32, "status": 6, "update_mask": {"paths": ["status"]}}},
            "update.status",
        ),
        ({"finish": {"run_id": "a" * 32, "status": run_pb2.RUN_STATUS_LOST}}, "finish.status"),
        ({"inputs": {"run_id": "a" * 32}}, "inputs.inputs"),
        ({"delete_tag": {"run_id": "a" * 32}}, "delete_tag.key"),
        ({"batch": {"run_id": "a", "blocks": []}}, "batch.run_id"),
        ({"batch": {"run_id": "a" * 32, "tags": [{"key": "k", "value": "\0"}]}}, "batch.tags[0].value"),
    ],
)
def test_records(api: Api, made: dict[str, object], field: str) -> None:
    with writing(api) as writer:
        writer.sends(record(**made))
        (rejection,) = writer.stream.rejections
        assert (rejection.reason, rejection.metadata["field"]) == ("INVALID_FIELD", f"records[0].{field}")
        assert rejection.message.startswith(f"records[0].{field}:")


def test_more_changes_than_a_transaction_may_make(api: Api) -> None:
    with writing(api) as writer:
        run_id = writer.begins()
        tag = record(batch={"run_id": run_id, "tags": [{"key": "k", "value": "v"}]})
        last = points(run_id, 1.0)
        delivered(writer, payload(*[tag] * 12_000, last))
        assert reasons(writer.stream) == [(run_id, "LIMIT_EXCEEDED", 2_001)]
    assert counts(api, run_id) == {"loss": 1}


def test_messages_that_are_none(api: Api) -> None:
    with writing(api) as writer:
        writer.begins()
        writer.stream.send_requests([b"\xff\xff"])
        assert writer.fails().reason == "MALFORMED_MESSAGE"
        writer.reopen().send_requests([b""])
        assert writer.fails().reason == "INVALID_FIELD"


def test_a_negative_confirmation(api: Api) -> None:
    with writing(api) as writer:
        writer.stream.confirm(-1)
        assert writer.fails().metadata["field"] == "confirmed_through"


def test_random_messages_find_no_bug(api: Api) -> None:
    chance = random.Random(7)
    sound = metric_pb2.StreamFramesRequest(confirmed_through=3).SerializeToString()
    for _ in range(50):
        with writing(api) as writer:
            run_id = writer.begins()
            good = bytearray(payload(points(run_id, 1.0, 2.0)))
            for _ in range(5):
                good[chance.randrange(len(good))] = chance.randrange(256)
                delivered(writer, bytes(good))
            writer.stream.send_requests([sound[: chance.randrange(2)] + chance.randbytes(9)])
            try:
                writer.stream.half_close()
            except grpc.RpcError as error:
                assert error.code() is not grpc.StatusCode.INTERNAL  # noqa: PT017
