"""Makes messages of what callers give: params, tags, data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from runwire import _rules, _values, entities
from runwire.v1 import experiment_pb2, run_pb2

M = TypeVar("M")

Pairs = Mapping[str, Any] | Iterable[Any] | None


def tags_of(items: Pairs) -> list[experiment_pb2.Tag]:
    """Makes tags of what a caller gave."""
    return _messages(experiment_pb2.Tag, "tag", items)


def params_of(items: Pairs) -> list[run_pb2.Param]:
    """Makes params of what a caller gave."""
    return _messages(run_pb2.Param, "param", items)


def _messages(kind: Callable[..., M], what: str, items: Pairs) -> list[M]:
    found = []
    for i, (key, value) in enumerate(_values.pairs(what, items)):
        try:
            found.append(kind(key=key, value=value))
        except UnicodeEncodeError:
            _rules.encodable(key, f"{what}s[{i}].key")
            _rules.encodable(value, f"{what}s[{i}].value")
            raise
    return found


def dataset_input(given: entities.DatasetInput | entities.Dataset) -> run_pb2.DatasetInput:
    """Makes an input of a data set, with what it is used for or without."""
    whole = given if isinstance(given, entities.DatasetInput) else entities.DatasetInput(given)
    texts = {
        field: _rules.encodable(getattr(whole.dataset, field) or "", f"dataset.{field}")
        for field, _, _ in _rules.DATASET
    }
    return run_pb2.DatasetInput(dataset=run_pb2.Dataset(**texts), context=whole.context)
