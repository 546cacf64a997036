"""Reads frames: payloads become checked changes of runs, ready to be applied.

A record that breaks a rule is a rejection, which does not hurt its neighbours; so is a payload that can
not be read at all. Rejections are counted by run and reason, since a frame may have a million of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from runwire.v1 import frame_pb2, run_pb2
from runwire_server.domain import batches, packed, validate
from runwire_server.domain.batches import Group
from runwire_server.domain.blocks import Points, group_hash, joined
from runwire_server.domain.checks import RUN_ID
from runwire_server.domain.limits import MAX_FRAME_BYTES, MAX_FRAME_CHANGES
from runwire_server.errors import InvalidArgument, RunwireError

FramePayload: Any = packed.message_class("FramePayload")


class Change(NamedTuple):
    """A record that has passed the checks.

    Attributes:
        kind: The name of its field in `Record`.
        run_id: The run that it changes.
        request: The request of the RPC that it is like; a BeginRun for `begin`.
        blocks: Its points; a block without keys names a group that the stream has not declared.
        rows: The log positions that these take.
    """

    kind: str
    run_id: str
    request: Any
    blocks: tuple[Points, ...]
    rows: int

    @property
    def points(self) -> int:
        """How many points it has."""
        return sum(block.size for block in self.blocks)


@dataclass(slots=True)
class Contents:
    """What a frame holds.

    Attributes:
        sequence: The frame's.
        changes: The sound records, in order.
        rejections: The others, by run id and reason.
        undeclared: Whether a block names a group that the stream has not declared.
        runs: Those that its sound records name.
        costly: How many of these hold more than points.
    """

    sequence: int
    changes: list[Change] = field(default_factory=list)
    rejections: dict[tuple[str, str], frame_pb2.Rejection] = field(default_factory=dict)
    undeclared: bool = False
    runs: set[str] = field(default_factory=set)
    costly: int = 0

    def add(self, change: Change) -> None:
        """Takes a sound record, unless there are too many."""
        plain = change.kind == "batch" and not (change.request.params or change.request.tags)
        costly = self.costly + (not plain)
        if costly + len(self.runs) + (change.run_id not in self.runs) > MAX_FRAME_CHANGES:
            facts = {"limit": "max_frame_changes", "max": str(MAX_FRAME_CHANGES)}
            message = f"the frame has more than {MAX_FRAME_CHANGES} changes of runs"
            self.count(change.run_id, "LIMIT_EXCEEDED", message, facts, change.points)
            return
        self.costly = costly
        self.runs.add(change.run_id)
        self.changes.append(change)

    def reject(self, run_id: str, error: RunwireError, points: int) -> None:
        """Notes a record that can not be applied."""
        self.count(run_id, error.reason, str(error), error.metadata, points)

    def count(self, run_id: str, reason: str, message: str, metadata: Mapping[str, str], points: int) -> None:
        """The same, for a reason without an exception."""
        known = self.rejections.get((run_id, reason))
        if known is None:
            known = self.rejections[run_id, reason] = frame_pb2.Rejection(
                run_id=run_id,
                reason=reason,
                message=message,
                first_sequence=self.sequence,
                last_sequence=self.sequence,
                metadata=metadata,
            )
        known.records += 1
        known.points += points


def failure() -> RunwireError:
    """Makes the error of a record on which the server itself fails."""
    return RunwireError("INTERNAL", "the server could not apply the record; see its log")


def declared(sent: frame_pb2.Group) -> Group:
    """Reads a declaration. One with unsound keys stands, so that what uses it is rejected once it comes.

    Raises:
        InvalidArgument: INVALID_FIELD, if the hash is not that of the keys.
    """
    keys = tuple(sent.keys)
    if not keys or group_hash(joined(keys)) != sent.hash:
        raise InvalidArgument.field("declare.hash", "must be the first 16 bytes of the SHA-256 of the keys")
    return Group(keys, batches.group_fault(keys))


def read(sequence: int, payload: bytes, groups: Mapping[bytes, Group]) -> Contents:
    """Reads a frame.

    Args:
        sequence: The frame's.
        payload: Its bytes.
        groups: What the stream has declared, by hash.
    """
    contents = Contents(sequence)
    if len(payload) > MAX_FRAME_BYTES:
        facts = {"limit": "max_frame_bytes", "max": str(MAX_FRAME_BYTES)}
        contents.count(
            "",
            "LIMIT_EXCEEDED",
            f"the payload has more than {MAX_FRAME_BYTES} bytes",
            facts,
            0,
        )
        return contents
    try:
        message = FramePayload.FromString(payload)
    except DecodeError:
        contents.count("", "MALFORMED_MESSAGE", "the payload is not a FramePayload", {}, 0)
        return contents
    if not message.records:
        contents.count("", "INVALID_FIELD", "records: must not be empty", {"field": "records"}, 0)
    for i, record in enumerate(message.records):
        _read_record(contents, i, record, groups)
    return contents


def _read_record(contents: Contents, index: int, record: Any, groups: Mapping[bytes, Group]) -> None:
    kind = record.WhichOneof("kind")
    if kind is None:
        message = f"records[{index}]: holds nothing that this server knows"
        contents.count("", "INVALID_FIELD", message, {"field": f"records[{index}]"}, 0)
        return
    request = getattr(record, kind)
    try:
        if kind == "batch":
            blocks = batches.record(request, groups)
            rows = 0
            for block in blocks:
                rows += block.rows
                contents.undeclared |= not block.keys
            contents.add(Change(kind, request.run_id, request, blocks, rows))
            return
        # The public class, as the RPC has it.
        request = _CLASSES[kind].FromString(request.SerializeToString())
        _CHECKS[kind](request)
    except InvalidArgument as error:
        where = f"records[{index}].{kind}"
        facts = {
            name: f"{where}.{value}" if name == "field" else value for name, value in error.metadata.items()
        }
        contents.count(
            _run_id(kind, request), error.reason, f"{where}.{error}", facts, _points(kind, request)
        )
        return
    contents.add(Change(kind, _run_id(kind, request), request, (), 0))


_CLASSES: Mapping[str, Any] = {
    "begin": frame_pb2.BeginRun,
    "update": run_pb2.UpdateRunRequest,
    "delete_tag": run_pb2.DeleteRunTagRequest,
    "inputs": run_pb2.LogInputsRequest,
    "finish": run_pb2.FinishRunRequest,
}
_CHECKS: Mapping[str, Callable[[Any], None]] = {
    "begin": validate.begin_run,
    "update": validate.update_run,
    "delete_tag": validate.delete_run_tag,
    "inputs": validate.log_inputs,
    "finish": validate.finish_run,
}


def _run_id(kind: str, request: Any) -> str:
    """Returns the run that a record names, "" if it names none."""
    run_id: str = request.run.run_id if kind == "begin" else request.run_id
    return run_id if RUN_ID.fullmatch(run_id) else ""


def _points(kind: str, request: Any) -> int:
    """Returns how many points a broken record has, as far as one can tell."""
    if kind != "batch":
        return 0
    return sum(len(chunk) for block in request.blocks for chunk in block.values) // 8
