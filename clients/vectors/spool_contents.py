"""Says in JSON what a spool holds, for vectors, and for tests that look at spools of other languages."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from runwire import _convert
from runwire._segments import Stored
from runwire._spool import NO_LIMIT, Spool
from runwire._writer import chained
from runwire.v1 import block_pb2, frame_pb2

_BYTES_TORN: Final = "bytes at the end of"


def bits(values: Iterable[float]) -> list[str]:
    """Writes doubles as the hex digits of their bits, the highest first."""
    return [struct.pack(">d", value).hex() for value in values]


def block(message: block_pb2.Block) -> dict[str, Any]:
    """Writes a block."""
    named = {"group": message.group.hex()} if message.group else {"keys": list(message.keys)}
    return {
        **named,
        "steps": [str(step) for step in _convert.steps(message)],
        "timestamps": [str(time) for time in message.timestamps_ms],
        "values": bits(message.values),
    }


def _plain(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)


def record(message: frame_pb2.Record) -> dict[str, Any]:
    """Writes a record: its kind, and what it says with the field names of the protos."""
    kind = message.WhichOneof("kind")
    if kind is None:
        return {"unknown": message.SerializeToString().hex()}
    if kind != "batch":
        return {kind: _plain(getattr(message, kind))}
    found: dict[str, Any] = {"run_id": message.batch.run_id}
    if message.batch.blocks:
        found["blocks"] = [block(one) for one in message.batch.blocks]
    for name in ("params", "tags"):
        pairs = getattr(message.batch, name)
        if pairs:
            found[name] = {pair.key: pair.value for pair in pairs}
    return {"batch": found}


def _frame(stored: Stored) -> dict[str, Any]:
    payload = frame_pb2.FramePayload.FromString(stored.payload)
    return {
        "sequence": str(stored.sequence),
        "previous_crc": stored.previous_crc,
        "crc": chained(stored.previous_crc, stored.payload),
        "payload_bytes": len(stored.payload),
        "payload_crc": zlib.crc32(stored.payload),
        "declared": [group.hash.hex() for group in stored.groups],
        "records": [record(one) for one in payload.records],
    }


def _groups(frames: Sequence[Stored]) -> dict[str, list[str]]:
    return {group.hash.hex(): list(group.keys) for frame in frames for group in frame.groups}


def contents(folder: Path) -> dict[str, Any]:
    """Reads a spool, which nobody may hold.

    Args:
        folder: The spool.

    Returns:
        What it holds, as `README.md` describes it.
    """
    spool = Spool.open(folder, NO_LIMIT)
    try:
        first = int(sorted(folder.glob("*.segment"))[0].stem, 16) if any(folder.glob("*.segment")) else 1
        frames = []
        for sequence in range(first, spool.cut.sequence + 1):
            stored = spool.take(sequence)
            if stored is not None:
                frames.append(stored)
        return {
            "writer_id": spool.writer_id,
            "address": spool.address,
            "acked": {"sequence": str(spool.acked.sequence), "crc": spool.acked.crc},
            "cut": {"sequence": str(spool.cut.sequence), "crc": spool.cut.crc},
            "undelivered_frames": spool.undelivered - spool.stray,
            "torn_bytes": [int(text.split(" ", 1)[0]) for text in spool.torn if _BYTES_TORN in text],
            "segments_left_out": sum(_BYTES_TORN not in text for text in spool.torn),
            "groups": _groups(frames),
            "frames": [_frame(stored) for stored in frames],
            "rejections": [_plain(one) for one in spool.notes.rejections()],
            "aside": spool.notes.aside(),
        }
    finally:
        spool.release()
