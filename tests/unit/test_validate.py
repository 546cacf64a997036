"""Rules of requests: each beside a plain statement of it, and batches as arrays."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runwire.v1 import block_pb2, experiment_pb2, run_pb2
from runwire_server.domain import batches, limits, packed
from runwire_server.domain.checks import Checks
from runwire_server.errors import InvalidArgument, Violation

RUN = "0123456789abcdef" * 2
DERIVED = packed.message_class("LogBatchRequest")


def broken_fields(check: Any, *arguments: Any) -> list[str]:
    """Returns the fields that a check of `Checks` finds broken."""
    checks = Checks()
    check(checks, *arguments)
    return [violation.field for violation in checks.violations]


def shows(text: str) -> bool:
    return not any(unicodedata.category(c) in {"Cc", "Zl", "Zp"} for c in text)


# Paths are what goes wrong; so they are made of the parts that make them go wrong.
PATHS = st.lists(st.sampled_from(["a", ".", "..", "", "...", "b.c", " ", "é"]), min_size=1, max_size=4).map(
    "/".join
)
TEXTS = st.one_of(
    PATHS, st.text(max_size=12), st.text(st.characters(categories=["Cc", "Zl", "Zp", "Cf", "L"]))
)


@given(TEXTS)
@example("k" * 250)
@example("k" * 251)
@example("//a")
@example("\x00")
def test_keys(key: str) -> None:
    sound = (
        1 <= len(key) <= 250 and shows(key) and not any(part in {"", ".", ".."} for part in key.split("/"))
    )
    # Two rules may be broken at once.
    assert set(broken_fields(Checks.key, key, "place")) == (set() if sound else {"place"})


@given(TEXTS)
@example("n" * 500)
@example("n" * 501)
@example("")
@example(" \u3000")
def test_names(name: str) -> None:
    sound = len(name) <= 500 and shows(name) and name.strip() != ""
    assert (broken_fields(Checks.name, name) == []) == sound


@given(st.one_of(st.integers(-5, 2**64).map(str), st.text(max_size=6), st.from_regex(r"[0-9]{1,21}")))
@example(str(2**63 - 1))
@example(str(2**63))
@example("00")
@example("1\n")
@example("²")
@example("٣")
@example("1_0")
def test_experiment_ids(text: str) -> None:
    try:
        sound = text.isascii() and str(int(text)) == text and 0 <= int(text) < 2**63
    except ValueError:
        sound = False
    assert broken_fields(Checks.experiment_id, text) == ([] if sound else ["experiment_id"])


@given(st.one_of(st.text("0123456789abcdefABCDEFg", min_size=30, max_size=34), st.text(max_size=40)))
@example("0" * 32)
@example("0" * 32 + "\n")
@example("０" * 32)
def test_run_ids(text: str) -> None:
    sound = len(text) == 32 and set(text) <= set("0123456789abcdef")
    assert broken_fields(Checks.run_id, text) == ([] if sound else ["run_id"])


@given(st.text(max_size=70))
@example("")
@example("a" * 64)
@example("a" * 65)
@example("Az09-_")
@example("a\n")
def test_request_ids(text: str) -> None:
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    sound = len(text) <= 64 and set(text) <= allowed
    found = Checks(run_pb2.DeleteRunRequest(request_id=text)).violations
    assert [v.field for v in found] == ([] if sound else ["request_id"])


@given(st.text(max_size=5), st.integers(0, 5))
def test_texts(text: str, limit: int) -> None:
    sound = len(text) <= limit and "\0" not in text
    assert (broken_fields(Checks.text, text, "place", limit) == []) == sound


PAIRS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "/"]), st.sampled_from(["", "v", "\0"])), max_size=5
)


@given(PAIRS)
def test_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    tags = [experiment_pb2.Tag(key=key, value=value) for key, value in pairs]
    expected = []
    for i, (key, value) in enumerate(pairs):
        expected += [f"tags[{i}].key"] * (key == "/") + [f"tags[{i}].value"] * (value == "\0")
        expected += [f"tags[{i}].key"] * (key in [k for k, _ in pairs[:i]])
    assert broken_fields(Checks.pairs, tags, "tags", 5, 10) == expected
    if pairs:
        assert broken_fields(Checks.pairs, tags, "tags", len(pairs) - 1, 10) == ["tags"]


def test_all_that_is_broken_is_told_but_twenty_at_most() -> None:
    violations = [Violation(f"field {i}", "is wrong") for i in range(25)]
    error = InvalidArgument.of(violations)
    assert error.violations == tuple(violations[:20])
    assert str(error) == "field 0: is wrong (and 24 more)"
    assert error.metadata == {"field": "field 0"}
    assert str(InvalidArgument.of(violations[:1])) == "field 0: is wrong"


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
@example(0, 0)
@example(253_402_300_799, 999_999_999)
@example(253_402_300_800, 0)
def test_times(seconds: int, nanos: int) -> None:
    request = run_pb2.FinishRunRequest(end_time={"seconds": seconds, "nanos": nanos})
    sound = 0 <= seconds <= 253_402_300_799 and 0 <= nanos < 10**9
    assert broken_fields(Checks.time, request, "end_time") == ([] if sound else ["end_time"])
    assert broken_fields(Checks.time, run_pb2.FinishRunRequest(), "end_time") == []


def derived(*blocks: block_pb2.Block) -> Any:
    return DERIVED.FromString(run_pb2.LogBatchRequest(run_id=RUN, blocks=blocks).SerializeToString())


SHAPES = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 9))


@settings(max_examples=120)
@given(SHAPES, st.sampled_from(["keys", "group"]), st.sampled_from(["steps", "range"]))
def test_blocks_are_sound_when_their_shape_is(shape: tuple[int, ...], by: str, axis: str) -> None:
    keys, steps, times, values = shape
    block = block_pb2.Block(timestamps_ms=range(times), values=range(values))
    if by == "keys":
        block.keys.extend(f"key {k}" for k in range(keys))
    else:
        block.group = b"g" * 16
    if axis == "steps":
        block.steps.steps.extend(range(steps))
        block.steps.SetInParent()
    else:
        block.range.first, block.range.stride = 10, -2
    fits = values == times * keys > 0 if by == "keys" else times > 0 and values > 0 and values % times == 0
    sound = fits and (axis == "range" or steps == times)
    if not sound:
        with pytest.raises(InvalidArgument):
            batches.log_batch(derived(block))
        return
    (points,) = batches.log_batch(derived(block))
    assert points.keys == tuple(block.keys)
    assert points.group == block.group
    assert points.steps.tolist() == ([10, 8, 6][:times] if axis == "range" else list(range(steps)))
    assert points.times.tolist() == list(range(times))
    assert points.values.tolist() == np.arange(values, dtype=float).reshape(times, -1).tolist()


@settings(max_examples=120)
@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(1, 5))
@example(2**63 - 1, 0, 5)
@example(2**63 - 1, 1, 1)
@example(2**63 - 5, 1, 5)
@example(2**63 - 4, 1, 5)
@example(-(2**63), -1, 2)
@example(0, 2**62, 5)
def test_steps_of_ranges_stay_in_int64(first: int, stride: int, rows: int) -> None:
    block = block_pb2.Block(
        keys=["m"], range={"first": first, "stride": stride}, timestamps_ms=[1] * rows, values=[0] * rows
    )
    steps = [first + stride * i for i in range(rows)]
    if all(-(2**63) <= step < 2**63 for step in steps):
        (points,) = batches.log_batch(derived(block))
        assert points.steps.tolist() == steps
    else:
        with pytest.raises(InvalidArgument) as caught:
            batches.log_batch(derived(block))
        assert caught.value.metadata == {"field": "blocks[0].range"}


def test_blocks_in_error_name_their_place() -> None:
    sound = block_pb2.Block(keys=["m"], range={}, timestamps_ms=[1], values=[1])
    twice = block_pb2.Block(keys=["m", "m", "/"], range={}, timestamps_ms=[-1], values=[1])
    with pytest.raises(InvalidArgument) as caught:
        batches.log_batch(derived(sound, twice, block_pb2.Block()))
    fields = [v.field for v in caught.value.violations]
    assert fields == [
        "blocks[1].keys",
        "blocks[1].keys[2]",
        "blocks[1].timestamps_ms",
        "blocks[1].values",
        "blocks[2].keys",
        "blocks[2]",
        "blocks[2].timestamps_ms",
        "blocks[2].values",
    ]


@pytest.mark.parametrize("key", ["/", "", "a\n", "k" * 251])
def test_keys_that_were_sound_before_do_not_vouch_for_others(key: str) -> None:
    sound = block_pb2.Block(keys=["a", "b"], range={}, timestamps_ms=[1], values=[1, 2])
    assert len(batches.log_batch(derived(sound, sound))) == 2
    for keys in (["a", key], [key, "b"], ["a", "a"]):
        other = block_pb2.Block(keys=keys, range={}, timestamps_ms=[1], values=[1, 2])
        for _ in range(2):
            with pytest.raises(InvalidArgument):
                batches.log_batch(derived(sound, other))


def test_limits_are_the_constants() -> None:
    allowed = limits.in_force()
    assert set(allowed.DESCRIPTOR.fields_by_name) == {f.name for f, _ in allowed.ListFields()}
    assert allowed.max_message_bytes == limits.MAX_MESSAGE_BYTES == 4 * 2**20
