"""Frames from bytes to checked changes."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given
from tests.support.frames import batch, begin, block, finish, group_hash, payload, record

from runwire.v1 import frame_pb2, run_pb2
from runwire_server.domain import frames
from runwire_server.domain.batches import Group
from runwire_server.domain.frames import Contents
from runwire_server.errors import InvalidArgument

RUN = "0198" + "0" * 28
WIDE = tuple(f"k{k}" for k in range(9))


def read(*records: bytes, groups: dict[bytes, Group] | None = None) -> Contents:
    return frames.read(7, payload(*records), groups or {})


def test_changes_come_in_order_with_what_they_change() -> None:
    contents = read(
        begin(RUN, "name", params=[{"key": "a", "value": "b"}]),
        batch(RUN, block(["loss"], [1.0, 2.0], times=[5, 6], first=3, stride=2)),
        record(batch={"run_id": RUN, "tags": [{"key": "t", "value": "v"}]}),
        finish(RUN),
    )
    assert [(change.kind, change.run_id, change.rows) for change in contents.changes] == [
        ("begin", RUN, 0),
        ("batch", RUN, 2),
        ("batch", RUN, 0),
        ("finish", RUN, 0),
    ]
    assert not contents.rejections
    (points,) = contents.changes[1].blocks
    assert (points.keys, points.steps.tolist(), points.times.tolist()) == (("loss",), [3, 5], [5, 6])
    assert contents.changes[1].points == 2
    # What is not hot has the class of its RPC.
    assert isinstance(contents.changes[0].request, frame_pb2.BeginRun)
    assert isinstance(contents.changes[3].request, run_pb2.FinishRunRequest)


def test_bad_records_are_counted_by_run_and_reason() -> None:
    bad = batch(RUN, block(["a//b"], [1.0, 2.0], times=[1, 2]))
    contents = read(b"", bad, batch(RUN, block(["a"], [1.0], times=[1])), bad, batch("no id"))
    assert len(contents.changes) == 1
    nameless, named = contents.rejections["", "INVALID_FIELD"], contents.rejections[RUN, "INVALID_FIELD"]
    assert (nameless.records, nameless.points) == (2, 0)
    assert (named.records, named.points, named.first_sequence, named.last_sequence) == (2, 4, 7, 7)
    assert named.metadata["field"] == "records[1].batch.blocks[0].keys[0]"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "INVALID_FIELD"),
        (b"\xff", "MALFORMED_MESSAGE"),
        (bytes(2 * 2**20 + 1), "LIMIT_EXCEEDED"),
    ],
)
def test_payloads_that_are_none(data: bytes, reason: str) -> None:
    contents = frames.read(1, data, {})
    assert list(contents.rejections) == [("", reason)]
    assert not contents.changes


class TestGroups:
    """Declared keys, and blocks that name them."""

    def test_a_block_of_a_declared_group_has_its_keys(self) -> None:
        name = group_hash(WIDE)
        group = frames.declared(frame_pb2.Group(hash=name, keys=WIDE))
        contents = read(batch(RUN, block(name, range(18), times=[1, 2])), groups={name: group})
        (points,) = contents.changes[0].blocks
        assert (points.keys, points.group, points.size) == (WIDE, name, 18)
        assert not contents.undeclared

    def test_a_block_that_does_not_fit_its_group(self) -> None:
        name = group_hash(WIDE)
        groups = {name: Group(WIDE, "")}
        contents = read(batch(RUN, block(name, range(20), times=[1, 2])), groups=groups)
        assert contents.rejections[RUN, "INVALID_FIELD"].points == 20

    def test_one_that_is_not_declared_is_left_to_the_run(self) -> None:
        contents = read(batch(RUN, block(group_hash(WIDE), range(9), times=[1])))
        assert contents.undeclared
        assert contents.changes[0].blocks[0].keys == ()

    @pytest.mark.parametrize("name", [b"", b"0" * 16, group_hash(WIDE)[:15]])
    def test_a_hash_that_is_not_theirs(self, name: bytes) -> None:
        with pytest.raises(InvalidArgument):
            frames.declared(frame_pb2.Group(hash=name, keys=WIDE))

    def test_no_keys(self) -> None:
        with pytest.raises(InvalidArgument):
            frames.declared(frame_pb2.Group(hash=group_hash([])))

    @pytest.mark.parametrize("keys", [WIDE[:8], (*WIDE, "k0"), (*WIDE, ""), [f"k{k}" for k in range(10_001)]])
    def test_unsound_keys_are_known_as_such(self, keys: tuple[str, ...]) -> None:
        assert frames.declared(frame_pb2.Group(hash=group_hash(keys), keys=keys)).fault


@given(
    st.lists(
        st.one_of(
            st.just(b""),
            st.just(finish(RUN)),
            st.just(batch(RUN, block(["a"], [1.0], times=[1]))),
            st.just(batch(RUN, block(["a"], [1.0], times=[-1]))),
            st.just(batch("bad", block(["a"], [1.0], times=[1]))),
            st.binary(max_size=20),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_each_record_is_a_change_or_rejected(records: list[bytes]) -> None:
    contents = read(*records)
    rejected = sum(rejection.records for rejection in contents.rejections.values())
    if ("", "MALFORMED_MESSAGE") in contents.rejections:
        assert not contents.changes
    else:
        assert len(contents.changes) + rejected == len(records)


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    contents = frames.read(1, data, {})
    assert contents.changes or contents.rejections


def test_changes_are_bounded_by_runs_and_by_records_with_more_than_points() -> None:
    tag = record(batch={"run_id": RUN, "tags": [{"key": "t", "value": "v"}]})
    plain = batch(RUN, block(["a"], [1.0], times=[1]))
    others = [batch(f"{i:032x}", block(["a"], [1.0], times=[1])) for i in range(6_001)]
    contents = read(*[tag] * 4_000, *[plain] * 9_000, *others, plain, tag)
    assert len(contents.changes) == 4_000 + 9_000 + 5_999 + 1
    assert {key: known.records for key, known in contents.rejections.items()} == {
        (f"{5_999:032x}", "LIMIT_EXCEEDED"): 1,
        (f"{6_000:032x}", "LIMIT_EXCEEDED"): 1,
        (RUN, "LIMIT_EXCEEDED"): 1,
    }
