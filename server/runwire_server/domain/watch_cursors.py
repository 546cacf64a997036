"""Cursors of watches: how far each watched run was shown, sealed.

A cursor is base64url of a version byte, a seal and, for each run in ascending order, its id and the log
position at which to go on. The seal is a hash that a garbled cursor does not fit; it guards against
mistakes, not against forgery, which would gain nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Collection, Mapping

from runwire_server.errors import InvalidArgument

_VERSION = b"\x01"
_SEAL_BYTES = 8
_RUN = struct.Struct("<16sq")


def encode(positions: Mapping[str, int]) -> str:
    """Makes a cursor.

    Args:
        positions: The next log position by run id.
    """
    body = b"".join(_RUN.pack(bytes.fromhex(run), positions[run]) for run in sorted(positions))
    return base64.urlsafe_b64encode(_VERSION + _seal(body) + body).rstrip(b"=").decode("ascii")


def decode(cursor: str, run_ids: Collection[str]) -> dict[str, int]:
    """Reads a cursor.

    Args:
        cursor: The cursor.
        run_ids: The runs that it has to be of, in any order.

    Returns:
        The next log position by run id.

    Raises:
        InvalidArgument: INVALID_CURSOR if it is garbled or of other runs.
    """
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise _invalid() from None
    seal, body = data[1 : 1 + _SEAL_BYTES], data[1 + _SEAL_BYTES :]
    if data[:1] != _VERSION or seal != _seal(body) or len(body) % _RUN.size:
        raise _invalid()
    positions = {run.hex(): position for run, position in _RUN.iter_unpack(body)}
    # What decodes to the same bytes, but is not what was handed out, is garbled too.
    if positions.keys() != set(run_ids) or encode(positions) != cursor:
        raise _invalid()
    return positions


def _invalid() -> InvalidArgument:
    return InvalidArgument.field("cursor", "is garbled, or was made for other runs", "INVALID_CURSOR")


def _seal(body: bytes) -> bytes:
    return hashlib.sha256(_VERSION + body).digest()[:_SEAL_BYTES]
