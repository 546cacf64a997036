"""What a search must find, said a second time, over messages and in the plainest way."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from runwire.v1 import run_pb2
from runwire_server.domain.filters import And, Field, Kind, Node, Not, Operator, Or, OrderKey, Term, Type

_COMPARE: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQ: lambda a, b: a == b,
    Operator.NE: lambda a, b: a != b,
    Operator.LT: lambda a, b: a < b,
    Operator.LE: lambda a, b: a <= b,
    Operator.GT: lambda a, b: a > b,
    Operator.GE: lambda a, b: a >= b,
    Operator.IN: lambda a, b: a in b,
    Operator.NOT_IN: lambda a, b: a not in b,
    Operator.LIKE: lambda a, b: like(a, b),
    Operator.NOT_LIKE: lambda a, b: not like(a, b),
    Operator.ILIKE: lambda a, b: like(lower(a), lower(b)),
    Operator.NOT_ILIKE: lambda a, b: not like(lower(a), lower(b)),
}


def matches(node: Node | None, run: run_pb2.Run) -> bool:
    """Whether a run satisfies a filter."""
    match node:
        case None:
            return True
        case And(operands):
            return all(matches(operand, run) for operand in operands)
        case Or(operands):
            return any(matches(operand, run) for operand in operands)
        case Not(operand):
            return not matches(operand, run)
        case Term(field, Operator.IS_NULL):
            return not values(field, run)
        case Term(field, Operator.IS_NOT_NULL):
            return bool(values(field, run))
        case Term(field, operator, wanted):
            return any(_COMPARE[operator](value, wanted) for value in values(field, run))
    raise AssertionError(node)


def values(field: Field, run: run_pb2.Run) -> list[Any]:
    """The values that a run has for a field: none if it lacks it, several for data sets."""
    match field.kind:
        case Kind.PARAM:
            return [param.value for param in run.params if param.key == field.key]
        case Kind.TAG:
            return [tag.value for tag in run.tags if tag.key == field.key]
        case Kind.METRIC:
            return [_part(field.part, metric) for metric in run.metrics if metric.key == field.key]
        case Kind.DATASET:
            if field.key == "context":
                return [entry.context for entry in run.inputs]
            return [getattr(entry.dataset, field.key) for entry in run.inputs]
        case Kind.ATTRIBUTE:
            return _attribute(field.key, run)


def ordered(runs: Iterable[run_pb2.Run], order: Sequence[OrderKey]) -> list[run_pb2.Run]:
    """Sorts runs as a search does."""

    def compare(one: run_pb2.Run, other: run_pb2.Run) -> int:
        for key in order:
            a, b = _sortable(key.field, one), _sortable(key.field, other)
            if a is None or b is None:
                if (a is None) != (b is None):
                    return 1 if a is None else -1
            elif a != b:
                return (1 if a > b else -1) * (-1 if key.descending else 1)
        times = one.start_time.ToMilliseconds(), other.start_time.ToMilliseconds()
        if times[0] != times[1]:
            return -1 if times[0] > times[1] else 1
        return -1 if one.run_id < other.run_id else 1

    return sorted(runs, key=functools.cmp_to_key(compare))


def like(text: str, pattern: str) -> bool:
    """LIKE: % is any text, _ any character, a backslash takes the next one as it is."""
    tokens = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return bool(re.fullmatch("".join(wild.get(t) or re.escape(t[-1]) for t in tokens), text, re.DOTALL))


def lower(text: str) -> str:
    """Lowers ASCII letters."""
    return "".join(c.lower() if c.isascii() else c for c in text)


def _sortable(field: Field, run: run_pb2.Run) -> Any:
    found = values(field, run)
    if not found or (isinstance(found[0], float) and math.isnan(found[0])):
        return None
    if field.type is Type.STATUS:
        return run_pb2.RunStatus.Name(found[0])
    return found[0]


def _part(part: str, metric: Any) -> float | int:
    match part:
        case "latest":
            return metric.value
        case "count":
            return metric.count
        case "first":
            return metric.first_value
        case "min":
            return metric.min_value if metric.HasField("min_value") else math.nan
        case "max":
            return metric.max_value if metric.HasField("max_value") else math.nan
    raise AssertionError(part)


def _attribute(name: str, run: run_pb2.Run) -> list[Any]:
    match name:
        case "run_id":
            return [run.run_id]
        case "run_name":
            return [run.name]
        case "status":
            return [run.status]
        case "parent_run_id":
            return [run.parent_run_id] if run.parent_run_id else []
        case "start_time":
            return [run.start_time.ToMilliseconds()]
        case "end_time":
            return [run.end_time.ToMilliseconds()] if run.HasField("end_time") else []
    raise AssertionError(name)
