"""Both sides of the protocol of frames against each other: the client's machine and the server's, no I/O.

The machine below is the world: networks that lose, processes that die, spools that are copied, databases that
are restored. What has to hold: the server has each frame at most once and in order, all that is acknowledged
is there, and two histories never mix unnoticed.
"""

from __future__ import annotations

import copy
from collections import deque
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from runwire._writer import FINAL, START, Cut, Disagreement, Mark, Writer
from runwire.v1 import frame_pb2
from runwire_server.domain import writers
from runwire_server.errors import RunwireError as ServerError

ID = "0" * 31 + "1"
REJECTED = b"bad"
WINDOW = 64


class Database:
    """What a server has on disk of one writer."""

    def __init__(self) -> None:
        self.state: writers.Writer | None = None
        self.frames: list[bytes] = []
        self.kept: dict[tuple[str, str], frame_pb2.Rejection] = {}


class Stream:
    """One stream's server side, and what is on its way to the client."""

    def __init__(self, server: Server, hello: frame_pb2.Hello) -> None:
        self.server = server
        self.answers: deque[Any] = deque()
        self.reason = ""
        try:
            state = writers.opened(server.disk.state, hello)
        except ServerError as error:
            self.reason = error.reason
            return
        server.disk.state = state
        self.epoch = state.epoch
        welcome = frame_pb2.Welcome(
            epoch=state.epoch,
            committed_sequence=state.sequence,
            committed_crc=state.crc,
            window_bytes=WINDOW,
            rejections=list(server.disk.kept.values()),
        )
        self.answers.append(welcome)

    def frame(self, cut: Cut, payload: bytes) -> None:
        """Takes a frame; what it does is on disk before the ack is on its way."""
        disk = self.server.disk
        if self.reason:
            return
        if disk.state is None or disk.state.epoch != self.epoch:
            self.reason = "WRITER_FENCED"
            return
        try:
            state = writers.received(ID, disk.state, cut.sequence, cut.previous_crc, payload)
        except ServerError as error:
            self.reason = error.reason
            return
        fresh = []
        if state is not None:
            disk.state = state
            disk.frames.append(payload)
            if payload.startswith(REJECTED):
                fresh = [
                    frame_pb2.Rejection(
                        run_id="r",
                        reason="RUN_DELETED",
                        first_sequence=cut.sequence,
                        last_sequence=cut.sequence,
                        records=1,
                    )
                ]
                disk.kept.update(writers.noted(disk.kept, fresh))
        assert disk.state is not None
        self.answers.append(frame_pb2.Ack(sequence=disk.state.sequence, crc=disk.state.crc, rejections=fresh))

    def confirm(self, through: int) -> None:
        """Forgets what the client has noted."""
        kept = self.server.disk.kept
        self.server.disk.kept = {key: one for key, one in kept.items() if one.last_sequence > through}


class Server:
    """A server with one writer's state on disk."""

    def __init__(self) -> None:
        self.disk = Database()


class Client:
    """A client with a spool: frames, a mark of what is acknowledged, noted rejections."""

    def __init__(self, server: Server, *, replayable: bool = False) -> None:
        self.server = server
        self.spool: list[tuple[Cut, bytes]] = []
        self.mark = START
        self.noted: dict[int, None] = {}
        self.replayable = replayable
        self.writer = Writer(ID, replayable=replayable)
        self.stream: Stream | None = None
        self.over = ""

    def log(self, payload: bytes) -> None:
        self.spool.append((self.writer.cut_frame(payload), payload))

    def crc_at(self, sequence: int) -> int | None:
        return self.spool[sequence - 1][0].crc if 0 < sequence <= len(self.spool) else None

    def connect(self) -> None:
        self.stream = Stream(self.server, self.writer.hello())

    def send(self) -> bool:
        """Sends the next frame if the window has room."""
        place = self.writer.sent
        if self.stream is None or place >= len(self.spool):
            return False
        cut, payload = self.spool[place]
        if not self.writer.may_send(len(payload)):
            return False
        self.writer.sending(cut.sequence, cut.crc, len(payload))
        self.stream.frame(cut, payload)
        return True

    def hear(self) -> bool:
        """Takes the next answer, or the end of the stream."""
        stream = self.stream
        if stream is None:
            return False
        if not stream.answers:
            if stream.reason:
                self._end(stream.reason)
            return bool(stream.reason)
        answer = stream.answers.popleft()
        try:
            if isinstance(answer, frame_pb2.Welcome):
                self.writer.welcomed(answer, self.crc_at)
            else:
                self.writer.acknowledged(answer)
        except Disagreement as disagreement:
            self._end(disagreement.reason)
            return True
        self.mark = self.writer.acked
        for one in self.writer.news(answer.rejections):
            self.noted.update(dict.fromkeys(range(one.first_sequence, one.last_sequence + 1)))
        self.writer.noted(answer.rejections)
        through = self.writer.take_confirmation()
        if through:
            stream.confirm(through)
        return True

    def _end(self, reason: str) -> None:
        self.stream = None
        self.writer.lost()
        if reason in FINAL:
            self.over = reason

    def lose(self) -> None:
        """The connection breaks: what was on its way is lost."""
        self.stream = None
        self.writer.lost()

    def die(self, mark: Mark) -> None:
        """The process dies and another one takes the spool up, perhaps with a stale mark."""
        self.stream = None
        last = self.spool[-1][0] if self.spool else None
        cut = Mark(last.sequence, last.crc) if last else START
        self.mark = mark
        self.writer = Writer(ID, acked=mark, cut=cut, replayable=self.replayable)

    def settle(self) -> None:
        """Delivers everything, without faults."""
        while not self.over and (self.writer.pending or self.stream is None or self.stream.answers):
            if self.stream is None:
                self.connect()
            while self.send():
                pass
            self.hear()


class World(RuleBasedStateMachine):
    """Clients with one writer id, and a server."""

    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.backups: list[Database] = []
        self.all: list[Client] = []
        # Whether two clients may both be right about the writer, so that one has to lose.
        self.twins = False
        self.restored = False
        self.late: list[frame_pb2.Hello] = []
        self.count = 0

    @rule(target=clients)
    @precondition(lambda self: not self.all)
    def first(self) -> Client:
        self.all.append(Client(self.server))
        return self.all[0]

    @rule(target=clients, client=clients)
    @precondition(lambda self: len(self.all) < 3)
    def copied(self, client: Client) -> Client:
        """A copy of the spool is used elsewhere."""
        twin = copy.copy(client)
        twin.spool, twin.noted = list(client.spool), dict(client.noted)
        twin.die(client.mark)
        twin.over = client.over
        self.twins = True
        self.all.append(twin)
        return twin

    @rule(client=clients, bad=st.booleans())
    def log(self, client: Client, bad: bool) -> None:
        self.count += 1
        client.log((REJECTED if bad else b"good") + str(self.count).encode())

    @rule(client=clients)
    def connect(self, client: Client) -> None:
        if not client.over:
            client.connect()

    @rule(client=clients)
    def give_up_a_connection(self, client: Client) -> None:
        """Nothing answers a hello, which is still on its way."""
        if not client.over:
            client.lose()
            self.late.append(client.writer.hello())

    @rule()
    @precondition(lambda self: self.late)
    def hello_comes_late(self) -> None:
        Stream(self.server, self.late.pop(0))

    @rule(client=clients)
    def send(self, client: Client) -> None:
        client.send()

    @rule(client=clients)
    def hear(self, client: Client) -> None:
        client.hear()

    @rule(client=clients)
    def lose(self, client: Client) -> None:
        client.lose()

    @rule(client=clients, stale=st.booleans())
    def die(self, client: Client, stale: bool) -> None:
        client.die(START if stale else client.mark)

    @rule()
    def crash(self) -> None:
        """The server dies: its streams end, its disk stays."""
        for client in self.all:
            client.lose()

    @rule()
    def backup(self) -> None:
        self.backups.append(copy.deepcopy(self.server.disk))

    @rule(data=st.data())
    @precondition(lambda self: self.backups)
    def restore(self, data: st.DataObject) -> None:
        self.crash()
        self.restored = True
        self.server.disk = copy.deepcopy(data.draw(st.sampled_from(self.backups)))

    @rule()
    def forget(self) -> None:
        """The writer's row is gone, as after 90 days."""
        self.crash()
        self.restored = True
        self.server.disk = Database()

    @invariant()
    def frames_are_one_history(self) -> None:
        frames = self.server.disk.frames
        assert len(set(frames)) == len(frames)
        state = self.server.disk.state
        assert len(frames) == (state.sequence if state else 0)
        if not self.twins and self.all:
            cut = [payload for _, payload in self.all[0].spool]
            assert frames == cut[: len(frames)]

    @invariant()
    def acknowledged_is_there(self) -> None:
        for client in self.all:
            if not self.restored and not client.over:
                mark = client.mark
                assert mark.sequence <= len(self.server.disk.frames)
                cut = [payload for _, payload in client.spool]
                assert cut[: mark.sequence] == self.server.disk.frames[: mark.sequence]

    @invariant()
    def writers_end_for_a_reason(self) -> None:
        for client in self.all:
            if client.over:
                assert client.over in FINAL
                # Who is alone never ends, whatever comes late.
                assert self.twins or self.restored

    def teardown(self) -> None:
        if self.twins or self.restored:
            for client in self.all:
                client.lose()
                client.settle()
                # Whoever is not over has nothing that the server does not have in the same place.
                if not client.over:
                    cut = [payload for _, payload in client.spool]
                    assert cut == self.server.disk.frames[: len(cut)]
        elif self.all:
            client = self.all[0]
            client.lose()
            client.settle()
            assert self.server.disk.frames == [payload for _, payload in client.spool]
            bad = {cut.sequence for cut, payload in client.spool if payload.startswith(REJECTED)}
            assert set(client.noted) >= bad
            assert not self.server.disk.kept


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=200, stateful_step_count=40)


def test_a_copied_spool_that_goes_on_is_noticed() -> None:
    server = Server()
    ours = Client(server)
    ours.log(b"1")
    ours.settle()
    theirs = copy.copy(ours)
    theirs.spool = list(ours.spool)
    theirs.die(ours.mark)
    ours.log(b"ours")
    theirs.log(b"theirs")
    theirs.settle()
    ours.settle()
    assert theirs.over == ""
    assert ours.over == "WRITER_DIVERGED"
    assert server.disk.frames == [b"1", b"theirs"]


def test_half_on_the_first_day_and_again_on_the_thirtieth() -> None:
    server = Server()
    client = Client(server)
    for payload in (b"1", b"2", b"3", b"4"):
        client.log(payload)
    old = copy.copy(client)
    old.spool = list(client.spool)
    client.connect()
    client.hear()
    client.send()
    client.send()
    client.lose()
    old.die(START)
    old.settle()
    assert server.disk.frames == [b"1", b"2", b"3", b"4"]
    client.settle()
    assert server.disk.frames == [b"1", b"2", b"3", b"4"]
    assert not old.over
    assert not client.over


def test_a_restored_database_is_noticed() -> None:
    server = Server()
    client = Client(server)
    client.log(b"1")
    client.settle()
    backup = copy.deepcopy(server.disk)
    client.log(b"2")
    client.settle()
    server.disk = backup
    client.log(b"3")
    client.lose()
    client.settle()
    assert client.over == "SERVER_BEHIND"
    assert server.disk.frames == [b"1"]


def test_lost_acknowledgements_of_rejections_are_repeated() -> None:
    server = Server()
    client = Client(server)
    client.log(REJECTED)
    client.connect()
    client.hear()
    client.send()
    client.lose()
    assert client.noted == {}
    client.connect()
    client.hear()
    assert client.noted == {1: None}
    assert server.disk.kept == {}


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("heard", [False, True])
def test_a_replayable_writer_is_retried_after_any_frame(first: int, heard: bool) -> None:
    server = Server()
    records = [b"%d" % i for i in range(4)]
    task = Client(server, replayable=True)
    for payload in records:
        task.log(payload)
    task.connect()
    task.hear()
    for _ in range(first):
        task.send()
        if heard:
            task.hear()
    again = Client(server, replayable=True)
    for payload in records:
        again.log(payload)
        if len(again.spool) == 2:
            again.connect()
            again.hear()
    # The first task is still there, and comes back when it is fenced.
    task.send()
    task.hear()
    again.settle()
    task.settle()
    assert (task.over, again.over) == ("", "")
    assert server.disk.frames == records


def test_a_window_holds_frames_back() -> None:
    server = Server()
    client = Client(server)
    for i in range(4):
        client.log(bytes([i]) * 30)
    client.connect()
    assert not client.send()
    client.hear()
    assert [client.send() for _ in range(3)] == [True, True, False]
    client.hear()
    assert client.send()
    huge = Client(Server())
    huge.log(b"x" * 1000)
    huge.connect()
    huge.hear()
    assert huge.send()


def test_an_acknowledgement_of_what_was_not_sent_is_a_disagreement() -> None:
    writer = Writer(ID)
    writer.cut_frame(b"1")
    writer.hello()
    writer.welcomed(frame_pb2.Welcome(epoch=1, window_bytes=9), lambda sequence: None)
    with pytest.raises(Disagreement, match="last one sent"):
        writer.acknowledged(frame_pb2.Ack(sequence=1, crc=0))
    writer.sending(1, writer.cut.crc, 1)
    with pytest.raises(Disagreement, match="another frame 1"):
        writer.acknowledged(frame_pb2.Ack(sequence=1, crc=writer.cut.crc ^ 1))
