"""Page tokens: exact, and good for the query that they were made for only."""

from __future__ import annotations

import base64
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwire_server.domain.paging import Cursor, decode, encode, page_size, query_hash
from runwire_server.errors import InvalidArgument

QUERY = query_hash("runs", ["1", "2"], "status = 'FAILED'", ["metrics.loss"], "1")
INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.none() | INT64 | st.floats(allow_nan=False) | st.text()


def bits(value: object) -> object:
    return struct.pack("<d", value) if isinstance(value, float) else value


@given(values=st.lists(VALUES, max_size=10), time=INT64, last=st.text(max_size=40))
def test_a_token_brings_back_its_cursor_to_the_bit(values: list[object], time: int, last: str) -> None:
    cursor = Cursor(tuple(values), time, last)  # type: ignore[arg-type]
    token = encode(QUERY, cursor)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    read = decode(QUERY, token, len(values))
    assert read is not None
    assert [bits(value) for value in read.values] == [bits(value) for value in values]
    assert (read.time, read.id) == (time, last)


def test_infinities_and_minus_zero_stay() -> None:
    values = (math.inf, -math.inf, -0.0, 5e-324)
    read = decode(QUERY, encode(QUERY, Cursor(values, 0, "")), 4)
    assert read is not None
    assert [bits(value) for value in read.values] == [bits(value) for value in values]


def test_no_token_is_the_first_page() -> None:
    assert decode(QUERY, "", 1) is None


TOKEN = encode(QUERY, Cursor((0.5, None, "é"), 5, "ab"))


def refused(query: bytes, token: str, keys: int = 3) -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode(query, token, keys)
    assert caught.value.reason == "INVALID_PAGE_TOKEN"
    assert caught.value.metadata == {"field": "page_token"}


@pytest.mark.parametrize(
    "parts",
    [
        ("runs", ["1"], "status = 'FAILED'", ["metrics.loss"], "1"),
        ("runs", ["1", "2"], "status = 'KILLED'", ["metrics.loss"], "1"),
        ("runs", ["1", "2"], "status = 'FAILED'", ["metrics.loss DESC"], "1"),
        ("runs", ["1", "2"], "status = 'FAILED'", ["metrics.loss"], "2"),
        ("experiments", ["1", "2"], "status = 'FAILED'", ["metrics.loss"], "1"),
        ("runs", ["12"], "status = 'FAILED'", ["metrics.loss"], "1"),
        ("runs", ["1", "2", "status = 'FAILED'"], "metrics.loss", [], "1"),
    ],
)
def test_a_token_of_another_query_is_refused(parts: tuple[str | list[str], ...]) -> None:
    refused(query_hash(*parts), TOKEN)


@pytest.mark.parametrize(
    "token", ["x", "xx", "xxxx", "!", "é", TOKEN[:-1], TOKEN + "A", TOKEN + "=", "A" * 10_000, "\0"]
)
def test_garbage_is_refused(token: str) -> None:
    refused(QUERY, token)


def test_any_flipped_bit_is_noticed() -> None:
    data = base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4))
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        refused(QUERY, base64.urlsafe_b64encode(changed).rstrip(b"=").decode())


@given(st.text(max_size=100))
def test_any_text_is_refused_cleanly(token: str) -> None:
    if token:
        refused(QUERY, token)


@pytest.mark.parametrize(
    ("requested", "size"), [(0, 100), (1, 1), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)]
)
def test_page_sizes_have_a_default_and_a_cap(requested: int, size: int) -> None:
    assert page_size(requested) == size
