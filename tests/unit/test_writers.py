"""The protocol of frames as a state machine: a client, a server that crashes, a network that loses."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runwire.v1 import frame_pb2
from runwire_server.domain import writers
from runwire_server.domain.writers import Writer, chained
from runwire_server.errors import FailedPrecondition, InvalidArgument

ID = "0" * 31 + "1"


def hello(acked: int = 0, crc: int = 0, replayable: bool = False) -> frame_pb2.Hello:
    return frame_pb2.Hello(writer_id=ID, acked_sequence=acked, acked_crc=crc, replayable=replayable)


def expect(error: FailedPrecondition, *reasons: str) -> None:
    assert error.reason in reasons


class TestRules:
    """One decision each."""

    def test_the_chain(self) -> None:
        assert chained(0, b"abc") == zlib.crc32(b"\0\0\0\0abc")
        assert chained(0x01020304, b"") == zlib.crc32(b"\x04\x03\x02\x01")

    def test_hellos(self) -> None:
        stored = Writer(3, 7, 99)
        assert writers.opened(None, hello()) == Writer(1)
        assert writers.opened(None, hello(replayable=True)) == Writer(1, replayable=True)
        assert writers.opened(stored, hello()) == Writer(4, 7, 99)
        assert writers.opened(stored, hello(7, 99)) == Writer(4, 7, 99)
        # Of an older frame the server has no CRC to compare with.
        assert writers.opened(stored, hello(6, 1)) == Writer(4, 7, 99)
        assert writers.opened(stored, hello(7, 1, replayable=True)) == Writer(4, 7, 99, replayable=True)

    @pytest.mark.parametrize(
        ("stored", "said", "reason"),
        [
            (None, hello(1), "WRITER_UNKNOWN"),
            (Writer(1, 3, 5), hello(4, 5), "SERVER_BEHIND"),
            (Writer(1, 3, 5), hello(3, 6), "WRITER_DIVERGED"),
        ],
    )
    def test_hellos_that_are_refused(self, stored: Writer | None, said: frame_pb2.Hello, reason: str) -> None:
        with pytest.raises(FailedPrecondition) as caught:
            writers.opened(stored, said)
        assert caught.value.reason == reason
        assert caught.value.metadata["writer_id"] == ID

    def test_frames(self) -> None:
        state = Writer(1, 2, chained(5, b"two"))
        after = writers.received(ID, state, 3, state.crc, b"three")
        assert after == Writer(1, 3, chained(state.crc, b"three"))
        assert writers.received(ID, state, 2, 5, b"two") is None
        assert writers.received(ID, state, 1, 77, b"whatever") is None
        replayable = replace(state, replayable=True)
        assert writers.received(ID, replayable, 2, 9, b"other") is None
        assert writers.received(ID, replayable, 3, 9, b"three") is not None

    @pytest.mark.parametrize(
        ("sequence", "previous", "payload", "reason"),
        [
            (4, 0, b"", "FRAME_OUT_OF_ORDER"),
            (2**63 - 1, 0, b"", "FRAME_OUT_OF_ORDER"),
            (3, 5, b"three", "WRITER_DIVERGED"),
            (2, 5, b"other", "WRITER_DIVERGED"),
            (0, 0, b"", "INVALID_FIELD"),
            (-(2**63), 0, b"", "INVALID_FIELD"),
        ],
    )
    def test_frames_that_are_refused(self, sequence: int, previous: int, payload: bytes, reason: str) -> None:
        with pytest.raises((FailedPrecondition, InvalidArgument)) as caught:
            writers.received(ID, Writer(1, 2, chained(5, b"two")), sequence, previous, payload)
        assert caught.value.reason == reason

    def test_rejections_are_kept_by_run_and_reason(self) -> None:
        def said(run: str, sequence: int, records: int = 1) -> frame_pb2.Rejection:
            return frame_pb2.Rejection(
                run_id=run,
                reason="RUN_DELETED",
                first_sequence=sequence,
                last_sequence=sequence,
                records=records,
                points=records,
                message=f"at {sequence}",
            )

        changed = writers.noted({}, [said("a", 1), said("b", 1), said("a", 3, 2)])
        joined = changed["a", "RUN_DELETED"]
        assert (joined.first_sequence, joined.last_sequence, joined.records) == (1, 3, 3)
        assert joined.message == "at 1"
        full = {(str(i), "RUN_DELETED"): said(str(i), 1) for i in range(writers.MAX_REJECTIONS)}
        others = ("", "LIMIT_EXCEEDED")
        changed = writers.noted(full, [said("7", 2), said("new", 2, 5), said("newer", 3)])
        assert list(changed) == [("7", "RUN_DELETED"), others]
        changed = writers.noted(full | changed, [said("newest", 4, 2)])
        assert (changed[others].records, changed[others].first_sequence, changed[others].last_sequence) == (
            8,
            2,
            4,
        )


class Exchange(RuleBasedStateMachine):
    """One writer against one server, with everything that may go wrong between them.

    The server's disk is `stored` and `applied`; its memory is `received`. The client's disk is `spool`,
    which a copy of the client may share up to some frame.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stored: Writer | None = None
        self.applied: list[bytes] = []
        self.backup: tuple[Writer | None, list[bytes]] = (None, [])
        self.received: Writer | None = None
        # Frames that came in and are not on disk yet.
        self.pending: list[tuple[Writer, bytes]] = []
        self.spool: list[bytes] = []
        self.crcs = [0]
        # What the client knows to be acknowledged.
        self.acked = 0
        self.restored = False
        self.set_aside = False

    @rule(data=st.binary(max_size=4))
    def cut(self, data: bytes) -> None:
        self.crcs.append(chained(self.crcs[-1], data))
        self.spool.append(data)

    @rule(old=st.booleans())
    @precondition(lambda self: not self.set_aside)
    def connect(self, old: bool) -> None:
        """A stream is opened, also by a client that has lost its note of acks."""
        acked = 0 if old else self.acked
        try:
            self.stored = writers.opened(self.stored, hello(acked, self.crcs[acked]))
        except FailedPrecondition as error:
            expect(error, "WRITER_UNKNOWN", "SERVER_BEHIND")
            # Only a restored server may say so.
            assert self.restored
            self.set_aside = True
            return
        assert self.stored.sequence <= len(self.spool)
        assert self.stored.crc == self.crcs[self.stored.sequence]
        self.received, self.pending = self.stored, []

    @rule(at=st.integers(0, 6))
    @precondition(lambda self: self.received is not None and self.spool and not self.set_aside)
    def send(self, at: int) -> None:
        """A frame arrives: the next, a repeat, or one too far, since messages were lost."""
        assert self.received is not None
        sequence = max(1, min(self.received.sequence + 3 - at, len(self.spool)))
        payload = self.spool[sequence - 1]
        try:
            after = writers.received(ID, self.received, sequence, self.crcs[sequence - 1], payload)
        except FailedPrecondition as error:
            expect(error, "FRAME_OUT_OF_ORDER")
            assert sequence > self.received.sequence + 1
            self.received = None
            return
        if after is None:
            assert sequence <= self.received.sequence
        else:
            self.pending.append((after, payload))
            self.received = after

    @rule(count=st.integers(1, 5), acked=st.booleans())
    @precondition(lambda self: self.pending)
    def commit(self, count: int, acked: bool) -> None:
        """Some frames become one transaction; its ack may be lost."""
        taken, self.pending = self.pending[:count], self.pending[count:]
        assert self.stored is not None
        before = taken[0][0]
        # What storage's UPDATE asks.
        assert self.stored.epoch == before.epoch
        assert self.stored.sequence == before.sequence - 1
        self.stored = taken[-1][0]
        self.applied += [payload for _, payload in taken]
        if acked:
            self.acked = max(self.acked, self.stored.sequence)

    @rule()
    def crash(self) -> None:
        """The server loses its memory."""
        self.received, self.pending = None, []

    @rule()
    def back_up(self) -> None:
        self.backup = (self.stored, list(self.applied))

    @rule()
    @precondition(lambda self: not self.set_aside)
    def restore(self) -> None:
        self.crash()
        self.stored, self.applied = self.backup[0], list(self.backup[1])
        self.restored = True

    @rule(data=st.binary(min_size=5, max_size=6))
    @precondition(lambda self: self.stored is not None and not self.set_aside)
    def copied_spool_diverges(self, data: bytes) -> None:
        """A copy of the spool has other frames from some sequence on; they never pass for repeats."""
        assert self.stored is not None
        sequence = self.stored.sequence
        if sequence:
            with pytest.raises(FailedPrecondition, match="used twice"):
                writers.opened(self.stored, hello(sequence, chained(self.crcs[sequence - 1], data)))
            with pytest.raises(FailedPrecondition, match="used twice"):
                writers.received(ID, self.stored, sequence, self.crcs[sequence - 1], data)
        other = chained(self.stored.crc, data)
        if other != self.stored.crc:
            with pytest.raises(FailedPrecondition, match="used twice"):
                writers.received(ID, self.stored, sequence + 1, other, b"next")

    @invariant()
    def each_frame_is_there_once(self) -> None:
        assert self.applied == self.spool[: len(self.applied)]
        assert len(self.applied) == (self.stored.sequence if self.stored else 0)

    @invariant()
    def what_is_acknowledged_is_there(self) -> None:
        assert self.restored or self.acked <= len(self.applied)


Exchange.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestExchange = Exchange.TestCase


class Replays(RuleBasedStateMachine):
    """A replayable writer whose attempts die anywhere: each logs the same records again."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: Writer | None = None
        self.applied: list[int] = []
        self.received: Writer | None = None

    @rule()
    def attempt(self) -> None:
        self.stored = writers.opened(self.stored, hello(replayable=True))
        self.received = self.stored

    @rule(sequence=st.integers(1, 8), stamp=st.binary(max_size=3))
    @precondition(lambda self: self.received is not None)
    def send(self, sequence: int, stamp: bytes) -> None:
        """Frame n holds record n, at another time of day in each attempt."""
        assert self.received is not None
        try:
            after = writers.received(ID, self.received, sequence, 7, b"%d" % sequence + stamp)
        except FailedPrecondition as error:
            expect(error, "FRAME_OUT_OF_ORDER")
            self.received = None
            return
        if after is not None:
            self.received = self.stored = after
            self.applied.append(sequence)

    @invariant()
    def each_record_is_there_once(self) -> None:
        assert self.applied == list(range(1, len(self.applied) + 1))


Replays.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestReplays = Replays.TestCase
