"""Reads what strace saw: which calls a server answered when, and which files it synced when.

A reply counts from the moment its first HTTP/2 frame is handed to the kernel, a request from the moment
its last one came. HPACK need not be understood: frames carry their stream's number in the open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Line numbers order events across threads; -f splits calls that overlap into two lines.
COMMAND = (
    "strace",
    "--follow-forks",
    "--seccomp-bpf",
    "--decode-fds=all",
    "--strings-in-hex=all",
    "--string-limit=1000000",
    "--trace=fdatasync,fsync,sendmsg,recvmsg,sendto,recvfrom",
    "--output",
)
LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
DATA, HEADERS = 0, 1
END_STREAM = 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass(frozen=True)
class Call:
    """A finished system call: the lines where it began and ended."""

    name: str
    text: str
    began: int
    ended: int

    @property
    def target(self) -> str:
        """What its first argument leads to, such as a path or a connection."""
        found = re.match(r"\d+<(.*?)>(?=[,)])", self.text)
        target = found.group(1) if found else ""
        # Paths come in hex, as all strings do.
        return bytes.fromhex(target.replace("\\x", "")).decode() if target.startswith("\\x") else target

    @property
    def data(self) -> bytes:
        """The bytes that it moved."""
        moved = int(self.text.rpartition("= ")[2].split()[0])
        texts = re.findall(r'(?:iov_base=|>, )"((?:\\x[0-9a-f]{2})*)"', self.text)
        return bytes.fromhex("".join(texts).replace("\\x", ""))[: max(moved, 0)]


@dataclass(frozen=True)
class Answer:
    """One call of the API: when its request had arrived, and when its reply began to leave."""

    stream: int
    arrived: int
    replied: int


def calls(trace: Path) -> Iterator[Call]:
    """Yields the finished system calls in the order of their ends."""
    begun: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(trace.read_text().splitlines()):
        found = LINE.match(line)
        if not found:
            continue
        thread, resumed, name, rest = found.groups()
        if resumed:
            began, text = begun.pop(thread)
            yield Call(resumed, text + rest, began, number)
        elif rest.endswith("<unfinished ...>"):
            begun[thread] = (number, rest.removesuffix("<unfinished ...>").rstrip())
        else:
            yield Call(name, rest, number, number)


def syncs(trace: Path, name: str) -> list[Call]:
    """Returns the syncs of the file of that name which worked."""
    return [
        call
        for call in calls(trace)
        if call.name in {"fdatasync", "fsync"}
        and call.target.endswith(f"/{name}")
        and call.text.endswith("= 0")
    ]


def answers(trace: Path) -> list[Answer]:
    """Returns the calls of the API on all connections, in the order of their replies."""
    received: dict[str, Frames] = {}
    sent: dict[str, Frames] = {}
    for call in calls(trace):
        if call.target.startswith("TCP") and call.name in {"recvmsg", "recvfrom"}:
            received.setdefault(call.target, Frames()).add(call.data, call.ended)
        elif call.target.startswith("TCP") and call.name in {"sendmsg", "sendto"}:
            sent.setdefault(call.target, Frames()).add(call.data, call.began)
    found = []
    for connection, frames in received.items():
        replies: dict[int, int] = {}
        for kind, _, stream, first, _ in sent.get(connection, Frames()).all():
            if kind in {DATA, HEADERS}:
                replies.setdefault(stream, first)
        for kind, flags, stream, _, last in frames.all():
            if kind == DATA and flags & END_STREAM and stream in replies:
                found.append(Answer(stream, last, replies[stream]))
    return sorted(found, key=lambda answer: answer.replied)


def exchanges(trace: Path) -> list[Answer]:
    """Returns the messages of the only stream, each with the one that answers it: they come in turns."""
    received, sent = Frames(), Frames()
    for call in calls(trace):
        if call.target.startswith("TCP") and call.name in {"recvmsg", "recvfrom"}:
            received.add(call.data, call.ended)
        elif call.target.startswith("TCP") and call.name in {"sendmsg", "sendto"}:
            sent.add(call.data, call.began)
    replies = [first for kind, _, _, first, _ in sent.all() if kind == DATA]
    requests = [(stream, last) for kind, _, stream, _, last in received.all() if kind == DATA]
    # The last thing that a client sends is that it sends no more, which nothing answers.
    pairs = zip(requests, replies, strict=False)
    return [Answer(stream, arrived, replied) for (stream, arrived), replied in pairs]


class Frames:
    """One direction of a connection, as HTTP/2 frames."""

    def __init__(self) -> None:
        self._data = bytearray()
        # The line at which each stretch of bytes passed, by the offset behind it.
        self._marks: list[tuple[int, int]] = []

    def add(self, data: bytes, line: int) -> None:
        """Takes the next bytes."""
        self._data += data
        self._marks.append((len(self._data), line))

    def all(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Yields (type, flags, stream, line of the first byte, line of the last byte)."""
        at = len(PREFACE) if self._data.startswith(PREFACE) else 0
        while at + 9 <= len(self._data):
            end = at + 9 + int.from_bytes(self._data[at : at + 3], "big")
            if end > len(self._data):
                return
            kind, flags = self._data[at + 3], self._data[at + 4]
            stream = int.from_bytes(self._data[at + 5 : at + 9], "big")
            yield kind, flags, stream, self._line(at), self._line(end - 1)
            at = end

    def _line(self, offset: int) -> int:
        return next(line for behind, line in self._marks if offset < behind)
