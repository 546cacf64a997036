"""Cursors of watches."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwire_server.domain import watch_cursors
from runwire_server.errors import InvalidArgument

RUN_IDS = st.binary(min_size=16, max_size=16).map(bytes.hex)
POSITIONS = st.dictionaries(RUN_IDS, st.integers(0, 2**63 - 1), min_size=1, max_size=5)


@given(POSITIONS)
def test_a_cursor_comes_back_as_it_was(positions: dict[str, int]) -> None:
    cursor = watch_cursors.encode(positions)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert watch_cursors.decode(cursor, list(positions)) == positions
    assert watch_cursors.decode(cursor, list(reversed(positions))) == positions


@given(POSITIONS, RUN_IDS)
def test_a_cursor_of_other_runs_is_refused(positions: dict[str, int], other: str) -> None:
    cursor = watch_cursors.encode(positions)
    others = [{*positions, other}, {*positions} - {other}, {*list(positions)[1:]}, {other}]
    for run_ids in others:
        if run_ids != set(positions):
            with pytest.raises(InvalidArgument) as caught:
                watch_cursors.decode(cursor, run_ids)
            assert caught.value.reason == "INVALID_CURSOR"
            assert caught.value.metadata["field"] == "cursor"


@given(POSITIONS, st.data())
def test_a_garbled_cursor_is_refused(positions: dict[str, int], data: st.DataObject) -> None:
    cursor = watch_cursors.encode(positions)
    at = data.draw(st.integers(0, len(cursor) - 1))
    character = data.draw(st.sampled_from("Aa0-_=é \n").filter(lambda c: c != cursor[at]))
    for garbled in (cursor[:at] + character + cursor[at + 1 :], cursor[:at], cursor + character):
        with pytest.raises(InvalidArgument):
            watch_cursors.decode(garbled, list(positions))


@given(st.binary(max_size=80))
def test_no_bytes_are_taken_for_a_cursor(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        watch_cursors.decode(base64.urlsafe_b64encode(data).rstrip(b"=").decode(), ["0" * 32])
