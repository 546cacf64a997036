"""Compares what was expected with what came."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from tests.conformance.cases import message_class

# Maps that are compared whole: each key that is there has to be expected.
_WHOLE: Final = frozenset({"params", "tags", "metrics", "limits"})
_ID: Final = re.compile(r"[0-9a-f]{32}")
_HOUR: Final = 3_600_000


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Says where an answer is not what was expected.

    Args:
        expected: What a case says; `README.md` has its rules.
        found: What a driver answered.
        path: Where in the answer this is.

    Yields:
        Sentences.
    """
    if isinstance(expected, dict):
        pattern = _pattern(expected)
        if pattern is not None:
            yield from _special(pattern, expected[pattern], found, path)
        elif not isinstance(found, dict):
            yield f"{path or 'it'} is {_short(found)} instead of an object"
        else:
            yield from _members(expected, found, path)
    elif isinstance(expected, list):
        if not isinstance(found, list):
            yield f"{path or 'it'} is {_short(found)} instead of an array"
        elif len(expected) != len(found):
            yield f"{path or 'it'} has {len(found)} elements instead of {len(expected)}: {_short(found)}"
        else:
            for i, (one, other) in enumerate(zip(expected, found, strict=True)):
                yield from differences(one, other, f"{path}.{i}" if path else str(i))
    elif not _same(expected, found):
        yield f"{path or 'it'} is {_short(found)} instead of {_short(expected)}"


def _members(expected: dict[str, Any], found: dict[str, Any], path: str) -> Iterator[str]:
    for key, value in expected.items():
        yield from differences(value, found.get(key), f"{path}.{key}" if path else key)
    if path.rpartition(".")[2] in _WHOLE:
        for key in found.keys() - expected.keys():
            yield f"{path} has {key} too: {_short(found[key])}"


def _pattern(expected: dict[str, Any]) -> str | None:
    if len(expected) != 1:
        return None
    (only,) = expected
    return only if only in ("$nan", "$has", "$count", "$match", "$least", "$not", "$decoded") else None


def _special(pattern: str, given: Any, found: Any, path: str) -> Iterator[str]:
    place = path or "it"
    if pattern == "$nan":
        if not isinstance(found, str) or not _is_nan(found):
            yield f"{place} is {_short(found)} instead of a NaN"
    elif pattern == "$match":
        if not isinstance(found, str) or not re.search(given, found):
            yield f"{place} is {_short(found)}, which {given!r} does not match"
    elif pattern == "$least":
        if found is None or int(found) < int(given):
            yield f"{place} is {_short(found)} and not at least {given}"
    elif pattern == "$not":
        if not list(differences(given, found, path)):
            yield f"{place} is {_short(found)}"
    elif pattern == "$decoded":
        name, content = given
        message = message_class(name).FromString(bytes.fromhex(found))
        yield from differences(content, MessageToDict(message, preserving_proto_field_name=True), path)
    elif not isinstance(found, list):
        yield f"{place} is {_short(found)} instead of an array"
    elif pattern == "$count":
        if len(found) != given:
            yield f"{place} has {len(found)} elements instead of {given}: {_short(found)}"
    else:
        for one in given:
            if all(list(differences(one, other)) for other in found):
                yield f"{place} lacks {_short(one)}: {_short(found)}"


def _same(expected: Any, found: Any) -> bool:
    if expected == "$any":
        return found is not None
    if expected == "$id":
        return isinstance(found, str) and _ID.fullmatch(found) is not None
    if expected == "$time":
        now = time.time() * 1000
        return isinstance(found, str) and found.isdecimal() and abs(int(found) - now) < _HOUR
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    return bool(expected == found)


def _is_nan(text: str) -> bool:
    value = struct.unpack(">d", bytes.fromhex(text))[0]
    return bool(value != value)


def error_differences(expected: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    """Says where an error is not the one that was expected.

    Args:
        expected: What a case says.
        found: The driver's error.

    Yields:
        Sentences.
    """
    kind = expected.get("kind", "runwire")
    if found.get("kind") != kind:
        yield f"the error is of kind {found.get('kind')} instead of {kind}: {_short(found)}"
        return
    for name in ("code", "reason", "fields"):
        if name in expected and (found.get(name) or type(expected[name])()) != expected[name]:
            yield f"{name} is {_short(found.get(name))} instead of {_short(expected[name])}: {_short(found)}"
    metadata = found.get("metadata") or {}
    for key, value in expected.get("metadata", {}).items():
        yield from differences(value, metadata.get(key), f"metadata.{key}")
    if "message" in expected and not re.search(expected["message"], found.get("message") or ""):
        yield f"message is {_short(found.get('message'))}, which {expected['message']!r} does not match"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 600 else f"{text[:400]} ... {text[-150:]}"
