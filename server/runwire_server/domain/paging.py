"""Page tokens: where a page ended, sealed together with the query that it belongs to.

A token is base64url of a version byte, a seal and the position. The seal is a hash over query and
position: a token that was garbled, or made for another query or order, does not fit it. It guards
against mistakes, not against forgery, which would gain nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from runwire_server.errors import InvalidArgument

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000

# What a page of runs takes at most: gRPC clients take 4 MiB unless they are told otherwise.
PAGE_BYTES = 7 * 512 * 1024
# What a message in a list takes besides its own bytes.
_ENTRY_BYTES = 8

_VERSION = 1
_SEAL_BYTES = 16
_NULL, _INTEGER, _REAL, _TEXT = b"nirt"
_INT64 = struct.Struct("<q")
_DOUBLE = struct.Struct("<d")
_LENGTH = struct.Struct("<I")

Value = int | float | str | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: the next one begins behind it.

    Attributes:
        values: Its value under each key of the order; None for NaN and missing, which sort last.
        time: The first tie-breaker, newest first: unix milliseconds.
        id: The second tie-breaker, ascending.
    """

    values: tuple[Value, ...]
    time: int
    id: str


def page_size(requested: int) -> int:
    """The rows of a page: the default for 0, and never more than the cap."""
    return min(requested, MAX_PAGE_SIZE) or DEFAULT_PAGE_SIZE


def fitting(messages: Iterable[Message], taken: int = 0) -> tuple[int, int]:
    """Counts how many messages fit into a page.

    Args:
        messages: In order.
        taken: The bytes of those before.

    Returns:
        How many fit, at least one if there are none before, and the bytes with these.
    """
    count = 0
    for message in messages:
        size = message.ByteSize() + _ENTRY_BYTES
        if taken and taken + size > PAGE_BYTES:
            break
        count, taken = count + 1, taken + size
    return count, taken


def query_hash(*parts: str | Sequence[str]) -> bytes:
    """Hashes what must stay the same from page to page.

    Args:
        parts: Texts and lists of texts; where one ends and the next begins counts.
    """
    digest = hashlib.sha256()
    for part in parts:
        texts = [part] if isinstance(part, str) else list(part)
        digest.update(_LENGTH.pack(len(texts)))
        for text in texts:
            data = text.encode("utf-8", "surrogatepass")
            digest.update(_LENGTH.pack(len(data)) + data)
    return digest.digest()


def encode(query: bytes, cursor: Cursor) -> str:
    """Makes the token of the page behind `cursor`.

    Args:
        query: What `query_hash` gave.
        cursor: The last row of the page.
    """
    position = _pack([*cursor.values, cursor.time, cursor.id])
    data = bytes([_VERSION]) + _seal(query, position) + position
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(query: bytes, token: str, keys: int) -> Cursor | None:
    """Reads a token.

    Args:
        query: What `query_hash` gives for the query at hand.
        token: The token; empty for the first page.
        keys: How many keys the order has.

    Returns:
        Where to go on, or None for the first page.

    Raises:
        InvalidArgument: INVALID_PAGE_TOKEN if it is garbled or belongs to another query.
    """
    if not token:
        return None
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise _invalid() from None
    # What decodes to the same bytes, but is not what was handed out, is garbled too.
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii") != token:
        raise _invalid()
    seal, position = data[1 : 1 + _SEAL_BYTES], data[1 + _SEAL_BYTES :]
    if data[:1] != bytes([_VERSION]) or seal != _seal(query, position):
        raise _invalid()
    *values, time, last_id = _unpack(position)
    if len(values) != keys or not isinstance(time, int) or not isinstance(last_id, str):
        raise _invalid()
    return Cursor(tuple(values), time, last_id)


def _invalid() -> InvalidArgument:
    return InvalidArgument.field(
        "page_token",
        "is garbled, or belongs to a query with another filter, order, view or experiments",
        "INVALID_PAGE_TOKEN",
    )


def _seal(query: bytes, position: bytes) -> bytes:
    return hashlib.sha256(query + position).digest()[:_SEAL_BYTES]


def _pack(values: Sequence[Value]) -> bytes:
    """Doubles go by their 8 bytes, so that the position is exact."""
    parts = []
    for value in values:
        match value:
            case None:
                parts.append(bytes([_NULL]))
            case int():
                parts.append(bytes([_INTEGER]) + _INT64.pack(value))
            case float():
                parts.append(bytes([_REAL]) + _DOUBLE.pack(value))
            case str():
                data = value.encode("utf-8", "surrogatepass")
                parts.append(bytes([_TEXT]) + _LENGTH.pack(len(data)) + data)
    return b"".join(parts)


def _unpack(data: bytes) -> list[Value]:
    """Reads what `_pack` made; the seal has shown that it did."""
    values: list[Value] = []
    at = 0
    while at < len(data):
        kind, at = data[at], at + 1
        if kind == _NULL:
            values.append(None)
        elif kind == _TEXT:
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            values.append(data[at : at + length].decode("utf-8", "surrogatepass"))
            at += length
        else:
            (value,) = (_INT64 if kind == _INTEGER else _DOUBLE).unpack_from(data, at)
            values.append(value)
            at += 8
    return values
