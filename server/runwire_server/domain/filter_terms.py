"""What the names, operators and literals of a filter mean for runs and for experiments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from runwire.v1 import run_pb2
from runwire_server.domain.filter_ast import Field, Kind, Operator, Term, Type

Position = int

METRIC_PARTS = ("min", "max", "first", "count")
DATASET_FIELDS = ("name", "digest", "context")

# By their names, as users write them: a new status of the API is one here at once.
STATUSES: Mapping[str, int] = {
    name.removeprefix("RUN_STATUS_"): number for name, number in run_pb2.RunStatus.items() if number
}

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_KINDS = {
    alias: kind
    for kind, aliases in {
        Kind.METRIC: "metric metrics",
        Kind.PARAM: "param params parameter parameters",
        Kind.TAG: "tag tags",
        Kind.ATTRIBUTE: "attribute attributes attr run",
        Kind.DATASET: "dataset datasets",
    }.items()
    for alias in aliases.split()
}
_TEXT_OPERATORS = {
    Operator.EQ,
    Operator.NE,
    Operator.LIKE,
    Operator.NOT_LIKE,
    Operator.ILIKE,
    Operator.NOT_ILIKE,
    Operator.IN,
    Operator.NOT_IN,
}
_NUMBER_OPERATORS = {
    Operator.EQ,
    Operator.NE,
    Operator.LT,
    Operator.LE,
    Operator.GT,
    Operator.GE,
}
_ID_OPERATORS = {Operator.EQ, Operator.NE, Operator.IN, Operator.NOT_IN}
_OPERATORS = {
    Type.TEXT: _TEXT_OPERATORS,
    Type.STATUS: _TEXT_OPERATORS,
    Type.ID: _ID_OPERATORS,
    Type.REAL: _NUMBER_OPERATORS,
    Type.INTEGER: _NUMBER_OPERATORS,
}
_NEGATIVE = {Operator.NE, Operator.NOT_LIKE, Operator.NOT_ILIKE, Operator.NOT_IN}


class Problem(Exception):
    """A filter can not be read.

    Attributes:
        position: Where, in characters from 0.
        expected: What would have been right, in words.
    """

    def __init__(self, position: Position, expected: str, message: str = "") -> None:
        super().__init__(message or f"expected {expected}")
        self.position = position
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal as written.

    Attributes:
        value: The text without its quotes, or the number's characters.
        is_number: Whether it stood without quotes.
        position: Where it stands.
    """

    value: str
    is_number: bool
    position: Position


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The fields that one kind of search knows.

    Attributes:
        noun: What is searched, for messages.
        kinds: The kinds with keys of their own.
        attributes: Canonical name of each attribute to its type.
        aliases: Other names of attributes, in lower case.
    """

    noun: str
    kinds: frozenset[Kind]
    attributes: Mapping[str, Type]
    aliases: Mapping[str, str]

    def attribute(self, name: str, position: Position) -> Field:
        """Finds an attribute by one of its names."""
        canonical = self.aliases.get(name.lower(), name)
        if canonical not in self.attributes:
            known = ", ".join(self.attributes)
            raise Problem(position, f"one of {known}", f"{name[:60]!r} is no attribute; there are {known}")
        return Field(Kind.ATTRIBUTE, canonical, self.attributes[canonical])

    def field(self, prefix: str, key: str, part: str | None, position: Position) -> Field:
        """Finds the field `prefix.key`, or `prefix.key.part` when the key was quoted.

        Args:
            prefix: The kind's name or an alias of it.
            key: The key; when it was not quoted, with the part of a metric still in it.
            part: None when the key was not quoted; else what stood behind it, perhaps nothing.
            position: Where the field begins.
        """
        kind = _KINDS.get(prefix.lower())
        if kind not in self.kinds:
            known = ", ".join(k.value for k in Kind if k in self.kinds)
            raise Problem(
                position, f"one of {known}", f"{prefix[:60]!r} has no fields here; there are {known}"
            )
        if part and kind is not Kind.METRIC:
            raise Problem(position, "a quoted key without anything behind it")
        if not key:
            raise Problem(position, "a key that is not empty")
        if kind is Kind.METRIC:
            return _metric(key, part, position)
        if kind is Kind.ATTRIBUTE:
            return self.attribute(key, position)
        if kind is Kind.DATASET and key not in DATASET_FIELDS:
            raise Problem(position, "dataset.name, dataset.digest or dataset.context")
        return Field(kind, key, Type.TEXT)


RUNS = Vocabulary(
    noun="runs",
    kinds=frozenset(Kind),
    attributes={
        "run_id": Type.TEXT,
        "run_name": Type.TEXT,
        "status": Type.STATUS,
        "parent_run_id": Type.TEXT,
        "start_time": Type.INTEGER,
        "end_time": Type.INTEGER,
    },
    aliases={"name": "run_name", "run name": "run_name", "created": "start_time"},
)

EXPERIMENTS = Vocabulary(
    noun="experiments",
    kinds=frozenset({Kind.ATTRIBUTE, Kind.TAG}),
    attributes={
        "name": Type.TEXT,
        "experiment_id": Type.ID,
        "creation_time": Type.INTEGER,
        "last_update_time": Type.INTEGER,
    },
    aliases={"create_time": "creation_time", "update_time": "last_update_time"},
)


def term(field: Field, operator: Operator, literals: Sequence[Literal], position: Position) -> Term:
    """Makes the term, in the shape that `Term` promises.

    Args:
        field: What is compared.
        operator: How.
        literals: One, or for IN any number, or none for a null test.
        position: Where the operator stands.

    Raises:
        Problem: If field, operator and literals do not fit together.
    """
    if operator in (Operator.IS_NULL, Operator.IS_NOT_NULL):
        if field.kind is Kind.DATASET:
            raise Problem(position, "a comparison operator", "IS NULL is not for data sets")
        return Term(field, operator)
    allowed = _OPERATORS[field.type]
    if operator not in allowed:
        words = "one of " + ", ".join(o.value for o in Operator if o in allowed)
        raise Problem(
            position, words, f"{operator.value} does not compare {field.type.value}; expected {words}"
        )
    if field.type in (Type.TEXT, Type.STATUS):
        texts = tuple(_text(literal, operator) for literal in literals)
        if field.type is Type.STATUS:
            return _status_term(field, operator, texts, literals)
        return Term(field, operator, texts if operator in (Operator.IN, Operator.NOT_IN) else texts[0])
    if field.type is Type.ID:
        ids = tuple(number for literal in literals if (number := _id(literal)) is not None)
        return Term(field, Operator.NOT_IN if operator in _NEGATIVE else Operator.IN, ids)
    if field.type is Type.REAL:
        return Term(field, operator, _number(literals[0]))
    return _integer_term(field, operator, literals[0])


def like_matcher(pattern: str, *, fold: bool) -> Callable[[str], bool]:
    """Makes the test of LIKE (or ILIKE, when fold): %, _, and a backslash that escapes."""
    parts = []
    characters = iter(fold_ascii(pattern) if fold else pattern)
    for character in characters:
        if character == "\\":
            parts.append(re.escape(next(characters, "\\")))
        elif character != "%":
            parts.append("." if character == "_" else re.escape(character))
        # The second of two in a row means nothing more, and would be tried at each place.
        elif parts[-1:] != [".*"]:
            parts.append(".*")
    compiled = re.compile("".join(parts), re.DOTALL)
    return lambda text: compiled.fullmatch(fold_ascii(text) if fold else text) is not None


def fold_ascii(text: str) -> str:
    """Lowers A-Z and nothing else, as both databases do in the C collation."""
    return text.translate(_ASCII_LOWER)


_ASCII_LOWER = {ord(c): ord(c.lower()) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def _metric(key: str, part: str | None, position: Position) -> Field:
    if part is None:
        head, dot, tail = key.rpartition(".")
        if dot and tail in METRIC_PARTS and head:
            key, part = head, tail
    if part and part not in METRIC_PARTS:
        raise Problem(position, "one of .min, .max, .first, .count behind the metric's key")
    part = part or "latest"
    return Field(Kind.METRIC, key, Type.INTEGER if part == "count" else Type.REAL, part)


def _text(literal: Literal, operator: Operator) -> str:
    if literal.is_number:
        raise Problem(literal.position, "a text in quotes")
    if "LIKE" in operator.value and (len(literal.value) - len(literal.value.rstrip("\\"))) % 2:
        end = literal.position + len(literal.value)
        raise Problem(end, "a character behind the last backslash, which escapes it")
    return literal.value


def _number(literal: Literal) -> float:
    if not literal.is_number:
        raise Problem(literal.position, "a number, without quotes")
    value = float(literal.value)
    if value in (float("inf"), float("-inf")):
        raise Problem(literal.position, "a number that a double can hold")
    return value


def _id(literal: Literal) -> int | None:
    """An experiment's id, or None for a text that no experiment has as its id."""
    text = literal.value
    if not text.isdecimal() or not text.isascii() or len(text) > 19 or str(int(text)) != text:
        return None
    return int(text) if int(text) <= _INT64_MAX else None


def _status_term(
    field: Field, operator: Operator, texts: tuple[str, ...], literals: Sequence[Literal]
) -> Term:
    """Status terms become sets of numbers: storage has numbers, and can seek them in its index."""
    positive = operator not in _NEGATIVE
    if "LIKE" in operator.value:
        matches = like_matcher(texts[0], fold="ILIKE" in operator.value)
        chosen = {number for name, number in STATUSES.items() if matches(name)}
    else:
        for text, literal in zip(texts, literals, strict=True):
            if text not in STATUSES:
                words = "one of " + ", ".join(STATUSES)
                raise Problem(literal.position, words, f"{text[:60]!r} is no status; expected {words}")
        chosen = {STATUSES[text] for text in texts}
    numbers = chosen if positive else set(STATUSES.values()) - chosen
    return Term(field, Operator.IN, tuple(sorted(numbers)))


def _integer_term(field: Field, operator: Operator, literal: Literal) -> Term:
    """Rewrites a comparison of integers to one whose literal is an int64, or to a constant."""
    value = _number(literal)
    if re.fullmatch(r"[+-]?\d{1,40}", literal.value):
        exact = int(literal.value)
    elif value.is_integer():
        exact = int(value)
    else:
        floor = int(value // 1)
        match operator:
            case Operator.EQ | Operator.NE:
                return _constant(field, operator is Operator.NE)
            case Operator.LT | Operator.LE:
                return _clamped(Term(field, Operator.LE, floor))
            case _:
                return _clamped(Term(field, Operator.GT, floor))
    return _clamped(Term(field, operator, exact))


def _clamped(term: Term) -> Term:
    value = term.value
    assert isinstance(value, int)
    if _INT64_MIN <= value <= _INT64_MAX:
        return term
    below = {Operator.GT, Operator.GE} if value < 0 else {Operator.LT, Operator.LE}
    return _constant(term.field, term.operator in below or term.operator is Operator.NE)


def _constant(field: Field, truth: bool) -> Term:
    """True for all that have the field, or for none."""
    return Term(field, Operator.NOT_IN if truth else Operator.IN, ())
