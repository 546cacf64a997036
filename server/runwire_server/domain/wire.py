"""Where unparsable bytes break: looks for the text that is not UTF-8.

Protobuf's parser only says that a message can not be parsed. This walks the bytes once more, after
such a failure, to be able to name the field.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TYPE_STRING, _TYPE_MESSAGE = 9, 11
# Looking stops here: nobody may keep the server busy by sending millions of fields.
MOST_FIELDS = 50_000
_VARINT_BITS = 64


def malformed_text(descriptor: Any, data: bytes) -> str:
    """Returns the path of the first text field that is not UTF-8, "" if that is not what is wrong."""
    try:
        return next(_malformed(descriptor, data, "", iter(range(MOST_FIELDS))), "")
    except (IndexError, ValueError, RecursionError):
        return ""


def _malformed(descriptor: Any, data: bytes, prefix: str, budget: Iterator[int]) -> Iterator[str]:
    counts: dict[int, int] = {}
    repeated = _repeated(descriptor)
    for number, content in _fields(data, budget):
        field = descriptor.fields_by_number.get(number)
        if field is None:
            continue
        index = counts.get(number, 0)
        counts[number] = index + 1
        path = f"{prefix}{field.name}" + (f"[{index}]" if number in repeated else "")
        if field.type == _TYPE_MESSAGE:
            yield from _malformed(field.message_type, content, f"{path}.", budget)
        elif field.type == _TYPE_STRING:
            try:
                content.decode()
            except UnicodeDecodeError:
                yield path


def _repeated(descriptor: Any) -> set[int]:
    """Returns the numbers of the repeated fields; protobuf 4 to 7 have no common way to ask a field."""
    message = DescriptorProto()
    descriptor.CopyToProto(message)
    return {f.number for f in message.field if f.label == FieldDescriptorProto.LABEL_REPEATED}


def _fields(data: bytes, budget: Iterator[int]) -> Iterator[tuple[int, bytes]]:
    """Yields number and content of the length-delimited fields.

    Raises:
        IndexError, ValueError: if the bytes are no fields.
    """
    at = 0
    while at < len(data):
        if next(budget, None) is None:
            raise ValueError("too many to look at")
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(data, at)
        elif kind == _FIXED64:
            at += 8
        elif kind == _FIXED32:
            at += 4
        elif kind == _BYTES:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("truncated")
            yield tag >> 3, data[at : at + length]
            at += length
        else:
            raise ValueError("no such wire type")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while shift < _VARINT_BITS:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
    raise ValueError("no varint")
