"""Bytes that are no message: which field is named; and numbers that are read as arrays."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from runwire.v1 import block_pb2, experiment_pb2, metric_pb2, run_pb2, server_pb2
from runwire_server.domain import packed
from runwire_server.domain.wire import MOST_FIELDS, malformed_text

BATCH = run_pb2.LogBatchRequest.DESCRIPTOR
# Stands where the broken text shall be; of the same length as it.
MARK, BROKEN = "mark", b"m\xff\xfek"


def broken(message: run_pb2.LogBatchRequest) -> bytes:
    """Returns a message's bytes with the mark in them made unreadable."""
    data = message.SerializeToString()
    assert data.count(MARK.encode()) == 1
    return data.replace(MARK.encode(), BROKEN)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (run_pb2.LogBatchRequest(run_id=MARK), "run_id"),
        (run_pb2.LogBatchRequest(run_id="fine", request_id=MARK), "request_id"),
        (run_pb2.LogBatchRequest(params=[{"key": "a"}, {"key": "b", "value": MARK}]), "params[1].value"),
        (run_pb2.LogBatchRequest(tags=[{}, {}, {"key": MARK}], params=[{"key": "a"}]), "tags[2].key"),
        (run_pb2.LogBatchRequest(blocks=[{"keys": ["a", "b", MARK], "values": [1, 2]}]), "blocks[0].keys[2]"),
        (run_pb2.GetRunRequest(run_id="fine", mask={"tag_keys": [MARK]}), "mask.tag_keys[0]"),
        (run_pb2.UpdateRunRequest(update_mask={"paths": ["name", MARK]}), "update_mask.paths[1]"),
        (run_pb2.LogInputsRequest(inputs=[{"dataset": {"schema": MARK}}]), "inputs[0].dataset.schema"),
        (experiment_pb2.GetExperimentRequest(name=MARK), "name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_broken_field_is_named(message: run_pb2.LogBatchRequest, path: str) -> None:
    data = broken(message)
    with pytest.raises(DecodeError):
        type(message).FromString(data)
    assert malformed_text(message.DESCRIPTOR, data) == path
    # Behind fields that nobody knows, of every wire type.
    future = b"\xf8\x07\x05" + b"\xf9\x07" + b"\xff" * 8 + b"\xfa\x07\x02\xff\xff" + b"\xfd\x07" + b"\xff" * 4
    assert malformed_text(message.DESCRIPTOR, future + data) == path


def test_bytes_fields_are_not_text() -> None:
    data = run_pb2.LogBatchRequest(blocks=[{"group": b"\xff\xfe"}]).SerializeToString()
    assert malformed_text(BATCH, data) == ""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\x0a",
        b"\x0a\x05ab",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x0b\x0c",
        b"\x07",
        b"\x09\x01",
        b"\xff" * 1_000_000,
        b"\x80" * 1_000_000 + b"\x01",
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_no_text_is_not_named(data: bytes) -> None:
    assert malformed_text(BATCH, data) == ""


@given(st.binary(max_size=60))
def test_any_bytes_are_looked_at(data: bytes) -> None:
    try:
        run_pb2.LogBatchRequest.FromString(data)
    except DecodeError:
        malformed_text(BATCH, data)
    else:
        assert malformed_text(BATCH, data) == ""


def test_the_search_ends_before_long() -> None:
    flood = b"\x1a\x00"
    assert malformed_text(BATCH, flood * (MOST_FIELDS - 1) + b"\x0a\x01\xff") == "run_id"
    assert malformed_text(BATCH, flood * MOST_FIELDS + b"\x0a\x01\xff") == ""
    # Those in messages within count, too.
    inside = b"\x0a\x00" * (MOST_FIELDS // 2)
    block = b"\x12" + _length(inside) + inside
    assert malformed_text(BATCH, block + b"\x0a\x01\xff") == "run_id"
    assert malformed_text(BATCH, block * 2 + b"\x0a\x01\xff") == ""


def _length(data: bytes) -> bytes:
    size, digits = len(data), []
    while size > 0x7F:
        digits.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*digits, size])


INT64 = st.integers(-(2**63), 2**63 - 1)
BITS = st.lists(st.integers(0, 2**64 - 1), max_size=8)
BLOCKS = st.builds(
    lambda keys, steps, times, bits, ranged: block_pb2.Block(
        keys=keys,
        steps=None if ranged else {"steps": steps},
        range={"first": 1, "stride": 2} if ranged else None,
        timestamps_ms=times,
        values=struct.unpack(f"<{len(bits)}d", struct.pack(f"<{len(bits)}Q", *bits)),
    ),
    st.lists(st.text(max_size=3), max_size=3),
    st.lists(INT64, max_size=8),
    st.lists(INT64, max_size=8),
    BITS,
    st.booleans(),
)
DERIVED = packed.message_class("LogBatchRequest")


def unpacked(block: block_pb2.Block) -> bytes:
    """Encodes a block as a writer does that packs nothing."""
    parts = [b"\x0a" + _length(key.encode()) + key.encode() for key in block.keys]
    if block.WhichOneof("axis") == "steps":
        steps = b"".join(b"\x09" + struct.pack("<q", s) for s in block.steps.steps)
        parts.append(b"\x1a" + _length(steps) + steps)
    else:
        inner = block.range.SerializeToString()
        parts.append(b"\x22" + _length(inner) + inner)
    parts += [b"\x29" + struct.pack("<q", t) for t in block.timestamps_ms]
    parts += [b"\x31" + struct.pack("<d", v) for v in block.values]
    return b"".join(parts)


@settings(max_examples=200)
@given(BLOCKS, st.booleans())
def test_arrays_are_what_the_public_class_reads(block: block_pb2.Block, pack: bool) -> None:
    data = block.SerializeToString() if pack else unpacked(block)
    public = block_pb2.Block.FromString(data)
    assert public.SerializeToString() == block.SerializeToString()
    request = DERIVED.FromString(b"\x12" + _length(data) + data)
    read = packed.repacked(request.blocks[0])
    assert list(read.keys) == list(block.keys)
    assert packed.numbers(read.timestamps_ms) == np.array(block.timestamps_ms, np.int64).tobytes()
    assert packed.numbers(read.values) == np.array(block.values, np.float64).tobytes()
    assert read.WhichOneof("axis") == block.WhichOneof("axis")
    if block.WhichOneof("axis") == "steps":
        assert packed.numbers(read.steps.steps) == np.array(block.steps.steps, np.int64).tobytes()
    else:
        assert (read.range.first, read.range.stride) == (1, 2)


@pytest.mark.parametrize("size", [1, 7, 9, 15])
def test_numbers_that_are_not_whole(size: int) -> None:
    with pytest.raises(ValueError, match="whole"):
        packed.numbers([bytes(size)])
    assert packed.numbers([b"a" * size, b"b" * (-size % 8)]) == b"a" * size + b"b" * (-size % 8)
    assert packed.numbers([]) == b""


def test_derived_classes_differ_from_the_public_ones_in_numbers_only() -> None:
    for name in ("LogBatchRequest", "GetMetricHistoryResponse", "Block", "StepList", "Run"):
        public = getattr(run_pb2, name, None) or getattr(metric_pb2, name, None) or getattr(block_pb2, name)
        derived = packed.message_class(name).DESCRIPTOR
        assert derived.full_name == public.DESCRIPTOR.full_name
        assert [(f.name, f.number) for f in derived.fields] == [
            (f.name, f.number) for f in public.DESCRIPTOR.fields
        ]
    assert (
        server_pb2.PurgeRequest.DESCRIPTOR.file.pool is not packed.message_class("Block").DESCRIPTOR.file.pool
    )
