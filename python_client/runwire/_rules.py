"""The rules of keys and texts that the server enforces, checked where the caller stands.

What is logged is sent later; a key that no server takes has to be an error of the line that has it.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final

from runwire import errors
from runwire._values import text

# Of runs and of writers.
ID: Final = re.compile(r"[0-9a-f]{32}")
_EXPERIMENT_ID: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_MOST_INPUTS: Final = 100
# Field of a data set, fewest and most characters.
DATASET: Final = (
    ("name", 1, 500),
    ("digest", 1, 64),
    ("source_type", 0, 250),
    ("source", 0, 65_535),
    ("schema", 0, 1_048_575),
    ("profile", 0, 1_048_575),
)
_MOST_KEY: Final = 250
_MOST_NAME: Final = 500
_MOST_PAIRS: Final = 1000
MOST_PARAM: Final = 6000
MOST_TAG: Final = 8000
# The largest time that a Timestamp can be, and with it any time of a point.
_MOST_TIME: Final = 253_402_300_799_999


def invalid(field: str, description: str) -> errors.InvalidArgument:
    """Makes the error that the server would answer with.

    Args:
        field: The field that breaks a rule.
        description: The rule.

    Returns:
        The error.
    """
    return errors.InvalidArgument(
        f"{field}: {description}",
        reason="INVALID_FIELD",
        metadata={"field": field},
        violations=[errors.Violation(field, description)],
    )


def run_id(value: Any) -> str:
    """Checks a run id.

    Args:
        value: The id.

    Returns:
        The same.

    Raises:
        TypeError: It is no str.
        InvalidArgument: It is not 32 lower-case hex digits.
    """
    found = text("a run id", value)
    if ID.fullmatch(found) is None:
        raise invalid("run_id", "must be 32 lower-case hex digits")
    return found


def key(value: Any, field: str = "key") -> str:
    """Checks the key of a metric, a param or a tag.

    Args:
        value: The key.
        field: Where it stands, for the message.

    Returns:
        The same.

    Raises:
        TypeError: It is no str.
        InvalidArgument: It breaks a rule.
    """
    found = text("a key", value)
    if not found:
        raise invalid(field, "must not be empty")
    if len(found) > _MOST_KEY:
        raise invalid(field, f"must have at most {_MOST_KEY} characters")
    encodable(found, field)
    if _has_control(found):
        raise invalid(field, "must not have control characters")
    if found.startswith("/") or found != posixpath.normpath(found) or found.split("/")[0] in {".", ".."}:
        raise invalid(field, "must be a relative path with no empty, '.' or '..' part")
    return found


def pairs(given: Sequence[Any], field: str, longest: int) -> None:
    """Checks params or tags.

    Args:
        given: Messages with key and value.
        field: Their field, for messages.
        longest: Most characters of a value.

    Raises:
        InvalidArgument: There are too many, a key is there twice, or one breaks a rule.
    """
    if len(given) > _MOST_PAIRS:
        raise invalid(field, f"must have at most {_MOST_PAIRS} entries")
    seen: set[str] = set()
    for i, pair in enumerate(given):
        key(pair.key, f"{field}[{i}].key")
        if len(pair.value) > longest:
            raise invalid(f"{field}[{i}].value", f"must have at most {longest} characters")
        if "\0" in pair.value:
            raise invalid(f"{field}[{i}].value", "must not have NUL characters")
        if pair.key in seen:
            raise invalid(f"{field}[{i}].key", "must not be there twice")
        seen.add(pair.key)


def name(value: str, field: str = "name") -> None:
    """Checks the name of a run.

    Args:
        value: The name.
        field: Where it stands, for the message.

    Raises:
        InvalidArgument: It breaks a rule.
    """
    if len(value) > _MOST_NAME:
        raise invalid(field, f"must have at most {_MOST_NAME} characters")
    encodable(value, field)
    if not value.strip():
        raise invalid(field, "must not be blank")
    if _has_control(value):
        raise invalid(field, "must not have control characters")


def experiment_id(value: Any) -> str:
    """Checks the id of an experiment.

    Args:
        value: The id.

    Returns:
        The same.

    Raises:
        TypeError: It is no str.
        InvalidArgument: It is not a decimal int64.
    """
    found = text("an experiment id", value)
    if _EXPERIMENT_ID.fullmatch(found) is None or int(found) >= 1 << 63:
        raise invalid("experiment_id", "must be a decimal number without leading zeros")
    return found


def inputs(given: Sequence[Any]) -> None:
    """Checks data sets.

    Args:
        given: `DatasetInput` messages.

    Raises:
        InvalidArgument: There are none or too many, or one breaks a rule.
    """
    if not 1 <= len(given) <= _MOST_INPUTS:
        raise invalid("inputs", f"must have 1 to {_MOST_INPUTS} entries")
    for i, one in enumerate(given):
        for field, least, most in DATASET:
            value = getattr(one.dataset, field)
            if not least <= len(value) <= most:
                raise invalid(f"inputs[{i}].dataset.{field}", f"must have {least} to {most} characters")
            if "\0" in value:
                raise invalid(f"inputs[{i}].dataset.{field}", "must not have NUL characters")
        name(one.dataset.name, f"inputs[{i}].dataset.name")
        if len(one.context) > _MOST_KEY:
            raise invalid(f"inputs[{i}].context", f"must have at most {_MOST_KEY} characters")


def times(values: Iterable[int]) -> None:
    """Checks the times of points.

    Args:
        values: Unix ms.

    Raises:
        InvalidArgument: One is negative.
    """
    if any(value < 0 for value in values):
        raise invalid("timestamps_ms", "must be 0 or later")


def end_time(value: int, field: str) -> None:
    """Checks the time of a run.

    Args:
        value: Unix ms.
        field: Where it stands, for the message.

    Raises:
        InvalidArgument: It is before 1970 or behind 9999.
    """
    if not 0 <= value <= _MOST_TIME:
        raise invalid(field, "must be a time from 1970 to 9999")


def encodable(value: str, field: str) -> str:
    """Checks that a text has no lone surrogates.

    Args:
        value: The text.
        field: Where it stands, for the message.

    Returns:
        The same.

    Raises:
        TypeError: It is no str.
        InvalidArgument: It has.
    """
    try:
        text(field, value).encode()
    except UnicodeEncodeError as error:
        raise invalid(field, "must be text that UTF-8 can hold") from error
    return value


def _has_control(value: str) -> bool:
    return not value.isprintable() and any(unicodedata.category(c) in {"Cc", "Zl", "Zp"} for c in value)
