"""What a filter and an order mean, once read: small immutable trees.

The one truth about a term: it is true or false, never unknown. A comparison is false for a run that
lacks the field, so `Not` of it is true there.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass


class Kind(enum.Enum):
    """Where a field lives."""

    METRIC = "metrics"
    PARAM = "params"
    TAG = "tags"
    ATTRIBUTE = "attributes"
    DATASET = "dataset"


class Type(enum.Enum):
    """What a field holds, and so which operators and literals fit."""

    TEXT = "a text"
    # A double; NaN is a value that equals nothing.
    REAL = "a number"
    INTEGER = "a whole number"
    # A text to the caller, a number of `RunStatus` in storage.
    STATUS = "a status"
    # Decimal digits to the caller, a number in storage.
    ID = "an id"


class Operator(enum.Enum):
    """What a term does with its field."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    LIKE = "LIKE"
    NOT_LIKE = "NOT LIKE"
    ILIKE = "ILIKE"
    NOT_ILIKE = "NOT ILIKE"
    IN = "IN"
    NOT_IN = "NOT IN"
    IS_NULL = "IS NULL"
    IS_NOT_NULL = "IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a run or an experiment.

    Attributes:
        kind: Where it lives.
        key: Key of the metric, param or tag; else the canonical name, such as `start_time`.
        type: What it holds.
        part: Of a metric: `latest`, `min`, `max`, `first` or `count`; else empty.
    """

    kind: Kind
    key: str
    type: Type
    part: str = ""


Value = str | int | float | tuple[str, ...] | tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison.

    Attributes:
        field: What is looked at.
        operator: The comparison. Status and id terms are always IN, NOT_IN or a null test.
        value: The literal: a tuple for IN and NOT_IN (of ints for INTEGER, STATUS and ID), None for
            null tests. An empty tuple is legal: IN matches nothing, NOT_IN all that have the field.
    """

    field: Field
    operator: Operator
    value: Value = None


@dataclass(frozen=True, slots=True)
class And:
    """True when all operands are."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True when any operand is."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when the operand is not."""

    operand: Node


Node = Term | And | Or | Not


def fields_of(node: Node) -> Iterator[Field]:
    """Yields the fields that a filter looks at, some perhaps more than once."""
    match node:
        case Term(field):
            yield field
        case Not(operand):
            yield from fields_of(operand)
        case And(operands) | Or(operands):
            for operand in operands:
                yield from fields_of(operand)


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One key of an order. NaN and missing come last in both directions."""

    field: Field
    descending: bool = False
