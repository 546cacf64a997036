"""Where unparsable bytes break: looks for the text that is not UTF-8.

Protobuf's parser only says that a message can not be parsed. This walks the bytes once more, after
such a failure, to be able to name the field.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TYPE_STRING, _TYPE_MESSAGE = 9, 11


def malformed_text(descriptor: Any, data: bytes) -> str:
    """Returns the path of the first text field that is not UTF-8, "" if that is not what is wrong."""
    try:
        return next(_malformed(descriptor, data, ""), "")
    except (IndexError, ValueError, RecursionError):
        return ""


def _malformed(descriptor: Any, data: bytes, prefix: str) -> Iterator[str]:
    counts: dict[int, int] = {}
    for number, content in _fields(data):
        field = descriptor.fields_by_number.get(number)
        if field is None:
            continue
        index = counts.get(number, 0)
        counts[number] = index + 1
        repeated = field.label == field.LABEL_REPEATED
        path = f"{prefix}{field.name}" + (f"[{index}]" if repeated else "")
        if field.type == _TYPE_MESSAGE:
            yield from _malformed(field.message_type, content, f"{path}.")
        elif field.type == _TYPE_STRING:
            try:
                content.decode()
            except UnicodeDecodeError:
                yield path


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields number and content of the length-delimited fields.

    Raises:
        IndexError, ValueError: if the bytes are no fields.
    """
    at = 0
    while at < len(data):
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
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
