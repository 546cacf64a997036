"""The rules that requests share; a request's violations are collected, and raised together."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from runwire.v1 import run_pb2
from runwire_server.domain.limits import (
    INT64_MAX,
    MAX_KEY,
    MAX_KEYS_READ,
    MAX_NAME,
    MAX_ORDER_KEYS,
    MAX_PATHS,
)
from runwire_server.errors import InvalidArgument, Violation

RUN_ID = re.compile(r"[0-9a-f]{32}")
EXPERIMENT_ID = re.compile(r"0|[1-9][0-9]{0,18}")
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{0,64}")


class KeyValue(Protocol):
    """A param or a tag."""

    key: str
    value: str


class Checks:
    """Collects the violations of one request, and raises them together."""

    def __init__(self, request: Any = None) -> None:
        self.violations: list[Violation] = []
        if request is not None and "request_id" in request.DESCRIPTOR.fields_by_name:
            self.that(
                REQUEST_ID.fullmatch(request.request_id) is not None,
                "request_id",
                "must be at most 64 of A-Z a-z 0-9 - _",
            )

    def that(self, holds: bool, field: str, description: str) -> bool:
        """Notes a violation unless the rule holds; returns whether it does."""
        if not holds:
            self.violations.append(Violation(field, description))
        return holds

    def done(self) -> None:
        """Raises InvalidArgument if anything was noted."""
        if self.violations:
            raise InvalidArgument.of(self.violations)

    def run_id(self, value: str, field: str = "run_id") -> None:
        """A run id is 32 lower-case hex digits."""
        self.that(RUN_ID.fullmatch(value) is not None, field, "must be 32 lower-case hex digits")

    def experiment_id(self, value: str, field: str = "experiment_id") -> None:
        """An experiment id is a decimal int64."""
        good = EXPERIMENT_ID.fullmatch(value) is not None and int(value) <= INT64_MAX
        self.that(good, field, "must be a decimal number without leading zeros")

    def name(self, value: str, field: str = "name") -> None:
        """Names are 1 to 500 characters that can be shown."""
        if not self.that(len(value) <= MAX_NAME, field, f"must have at most {MAX_NAME} characters"):
            return
        self.that(bool(value.strip()), field, "must not be blank")
        self.that(not has_control(value), field, "must not have control characters")

    def key(self, value: str, field: str) -> None:
        """Keys are relative paths in their normal form, since clients may show them as folders."""
        if not self.that(value != "", field, "must not be empty"):
            return
        # What follows looks at each character; 4 MiB of them are not looked at.
        if not self.that(len(value) <= MAX_KEY, field, f"must have at most {MAX_KEY} characters"):
            return
        self.that(not has_control(value), field, "must not have control characters")
        self.that(
            not value.startswith("/")
            and value == posixpath.normpath(value)
            and value.split("/")[0] not in {".", ".."},
            field,
            "must be a relative path with no empty, '.' or '..' part",
        )

    def text(self, value: str, field: str, limit: int) -> None:
        """Texts may hold anything but NUL, which PostgreSQL can not store."""
        self.that(len(value) <= limit, field, f"must have at most {limit} characters")
        self.that("\0" not in value, field, "must not have NUL characters")

    def pairs(self, pairs: Sequence[KeyValue], field: str, most: int, longest: int) -> None:
        """Params or tags: few enough, each sound, no key twice."""
        if not self.that(len(pairs) <= most, field, f"must have at most {most} entries"):
            return
        seen: set[str] = set()
        for i, pair in enumerate(pairs):
            self.key(pair.key, f"{field}[{i}].key")
            self.text(pair.value, f"{field}[{i}].value", longest)
            self.that(pair.key not in seen, f"{field}[{i}].key", "must not be there twice")
            seen.add(pair.key)

    def time(self, message: Any, field: str, prefix: str = "") -> None:
        """An optional Timestamp from 1970 to 9999."""
        if message.HasField(field):
            value: Timestamp = getattr(message, field)
            good = 0 <= value.seconds <= 253402300799 and 0 <= value.nanos <= 999_999_999
            self.that(good, prefix + field, "must be a time from 1970 to 9999")

    def one_of(self, value: int, allowed: Collection[int], field: str, description: str) -> None:
        """An enum with some of its values."""
        self.that(value in allowed, field, description)

    def update_mask(self, mask: FieldMask, allowed: Collection[str]) -> None:
        """A mask that names at least one field that can be changed."""
        self.that(len(mask.paths) > 0, "update_mask", f"must name at least one of: {', '.join(allowed)}")
        self.paths(mask, allowed, "update_mask.paths", f"must be one of: {', '.join(allowed)}")

    def paths(self, mask: FieldMask, allowed: Collection[str], field: str, description: str) -> None:
        """The paths of a mask, each a field's name."""
        if self.that(len(mask.paths) <= MAX_PATHS, field, f"must have at most {MAX_PATHS} entries"):
            for i, path in enumerate(mask.paths):
                self.that(path in allowed, f"{field}[{i}]", description)

    def distinct(self, values: Sequence[str], field: str, least: int, most: int) -> bool:
        """A list with bounds on its length and nothing twice."""
        sized = self.that(least <= len(values) <= most, field, f"must have {least} to {most} entries")
        return self.that(len(set(values)) == len(values), field, "must not name anything twice") and sized

    def keys(self, values: Sequence[str], field: str, most: int) -> None:
        """Keys to look up; each must be one that could be there."""
        if self.distinct(values, field, 0, most):
            for i, value in enumerate(values):
                self.key(value, f"{field}[{i}]")

    def run_mask(self, mask: run_pb2.RunMask) -> None:
        """The parts of a run to return."""
        allowed = run_pb2.Run.DESCRIPTOR.fields_by_name
        self.paths(mask.fields, allowed, "mask.fields.paths", "must be a field of Run")
        self.keys(mask.metric_keys, "mask.metric_keys", MAX_KEYS_READ)
        self.keys(mask.param_keys, "mask.param_keys", MAX_KEYS_READ)
        self.keys(mask.tag_keys, "mask.tag_keys", MAX_KEYS_READ)

    def page(self, request: Any) -> None:
        """page_size; tokens and filters are checked where they are read."""
        self.that(request.page_size >= 0, "page_size", "must not be negative")
        self.one_of(request.view, (0, 1, 2, 3), "view", "must be a LifecycleView")
        self.that(
            len(request.order_by) <= MAX_ORDER_KEYS, "order_by", f"must have at most {MAX_ORDER_KEYS} entries"
        )


def has_control(text: str) -> bool:
    """Tells whether a text has characters that can not be shown: controls and line separators."""
    return not text.isprintable() and any(unicodedata.category(c) in {"Cc", "Zl", "Zp"} for c in text)
