"""The cases: read from their files, with what stands for longer data written out."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import ParseDict

from runwire._encoding import group
from runwire.v1 import block_pb2, experiment_pb2, frame_pb2, metric_pb2, run_pb2, server_pb2

HERE: Final = Path(__file__).resolve().parent
_FILES: Final = (block_pb2, experiment_pb2, frame_pb2, metric_pb2, run_pb2, server_pb2)
_NAME: Final = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Case:
    """A case.

    Attributes:
        group: The file that it is in, and the column of the table.
        name: What it shows.
        steps: What is done and expected.
        connect: How the client `c` is made before the first step; None where the case makes its own.
        server: Options and environment of a server of its own; None where it shares one.
        not_for: Languages that it is not for, with reasons.
        env: Further environment of its driver; None takes a variable away.
        torture: Whether it takes long.
        disk: The size of a small file system at `${folder}/disk`; None where it needs none.
        close_fails: Whether what it leaves open can not be closed without an error.
        brief: Whether it has so little time for something that it says nothing where all stood still.
    """

    group: str
    name: str
    steps: list[dict[str, Any]]
    connect: dict[str, Any] | None = field(default_factory=dict)
    server: dict[str, Any] | None = None
    not_for: dict[str, str] = field(default_factory=dict)
    env: dict[str, str | None] = field(default_factory=dict)
    torture: bool = False
    disk: str | None = None
    close_fails: bool = False
    brief: bool = False

    @property
    def own_server(self) -> bool:
        """Whether it needs a server that nobody else uses."""
        return self.server is not None or any("server" in step for step in self.steps)

    @property
    def again(self) -> bool:
        """Whether it is played again where it failed and all stood still.

        So it is with sessions: their client has times of its own.
        """
        return self.brief or any(step.get("op") in ("with_run", "start_run") for step in self.steps)

    @property
    def own_driver(self) -> bool:
        """Whether its driver can be used by no other case."""
        return bool(self.env) or any(
            step.keys() & {"threads"}
            or step.get("op") == "exit"
            or ("driver" in step and step.get("name", "main") == "main")
            for step in self.steps
        )


def load(folder: Path = HERE / "cases") -> list[Case]:
    """Reads all cases.

    Args:
        folder: Where they are.

    Returns:
        The cases, by group and in the order of the files.
    """
    return [
        Case(group=path.stem, **given)
        for path in sorted(folder.glob("*.json"))
        for given in json.loads(path.read_text(encoding="utf-8"))["cases"]
    ]


def bits(value: float) -> str:
    """Writes a double as the cases have it."""
    return struct.pack(">d", value).hex()


def _text(given: list[Any]) -> str:
    text, count = given
    return str(text) * int(count)


def _message(given: list[Any]) -> str:
    name, content = given
    return ParseDict(content, message_class(name)()).SerializeToString().hex()


def message_class(name: str) -> Any:
    """Finds a message of `runwire.v1` by its name."""
    return next(getattr(file, name) for file in _FILES if hasattr(file, name))


def _declare(given: list[Any]) -> list[str]:
    """Opens a stream of a writer and declares many groups on it."""
    writer, count = given
    groups = [group([f"g{number}/{key}" for key in range(9)]) for number in range(count)]
    said = [metric_pb2.StreamFramesRequest(hello=frame_pb2.Hello(writer_id=writer))]
    said += [metric_pb2.StreamFramesRequest(declare=one) for one in groups]
    return [one.SerializeToString().hex() for one in said]


def _pairs(given: list[Any]) -> dict[str, Any]:
    count, key, value = given
    return {f"{key}{number}": value for number in range(count)}


_GENERATORS: Final = {
    "$text": _text,
    "$ints": lambda given: [str(number) for number in range(given[0], given[0] + given[1])],
    "$doubles": lambda given: [bits(float(number)) for number in range(given[0], given[0] + given[1])],
    "$double": lambda given: bits(float(given)),
    "$pairs": _pairs,
    "$message": _message,
    "$declare": _declare,
    "$repeat": lambda given: [given[0]] * given[1],
}


def expand(value: Any, names: dict[str, Any]) -> Any:
    """Writes out what stands for something else.

    Args:
        value: A part of a case.
        names: What names stand for.

    Returns:
        The same with `${name}` and generators replaced.

    Raises:
        KeyError: A name stands for nothing.
    """
    if isinstance(value, str):
        whole = _NAME.fullmatch(value)
        if whole:
            return names[whole[1]]
        return _NAME.sub(lambda found: str(names[found[1]]), value)
    if isinstance(value, list):
        return [expand(one, names) for one in value]
    if isinstance(value, dict):
        if len(value) == 1:
            (only,) = value
            if only in _GENERATORS:
                return _GENERATORS[only](expand(value[only], names))
        return {expand(key, names): expand(one, names) for key, one in value.items()}
    return value


def dig(value: Any, path: str) -> Any:
    """Finds a part of an answer by its path, such as `items.0.run_id`."""
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value
