"""Describes data in memory as a data set: a digest of the contents, a schema, a profile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from runwire.entities import Dataset


def dataset_from_arrays(
    name: str, features: Any, targets: Any = None, *, source: str = "", source_type: str = "local"
) -> Dataset:
    """Describes features and targets; nothing of them is stored but the description.

    Args:
        name: The data set's name.
        features: A pandas DataFrame or Series, a numpy array, or anything that iterates over its rows.
        targets: The same, or None.
        source: Where the data comes from, such as a URL.
        source_type: The kind of source.

    Returns:
        The data set. Equal contents of equal types have equal digests, wherever they are computed; the
        digest is the first 16 hex digits of a SHA-256.
    """
    digest = hashlib.sha256()
    schema: dict[str, list[dict[str, str]]] = {}
    profile: dict[str, Any] = {}
    for role, data in (("features", features), ("targets", targets)):
        if data is None:
            continue
        columns = list(_columns(data))
        for label, kind, content in columns:
            # Lengths stand in front, so that no two lists of columns give the same bytes.
            for part in (role.encode(), label.encode(), kind.encode(), content):
                digest.update(len(part).to_bytes(8, "big") + part)
        schema[role] = [{"name": label, "type": kind} for label, kind, _ in columns]
        profile[f"{role}_shape"] = list(getattr(data, "shape", None) or (len(data),))
    return Dataset(
        name=name,
        digest=digest.hexdigest()[:16],
        source_type=source_type,
        source=source,
        schema=json.dumps(schema, separators=(",", ":")),
        profile=json.dumps(profile, separators=(",", ":")),
    )


def _columns(data: Any) -> Iterator[tuple[str, str, bytes]]:
    """Gives name, type and bytes of each column; an array is one column."""
    if hasattr(data, "columns") and hasattr(data, "items"):  # a DataFrame
        for label, column in data.items():
            yield str(label), str(column.dtype), _content(column.to_numpy())
    elif hasattr(data, "to_numpy"):  # a Series
        yield str(getattr(data, "name", None) or ""), str(data.dtype), _content(data.to_numpy())
    elif hasattr(data, "dtype") and hasattr(data, "tobytes"):
        yield "", str(data.dtype), _content(data)
    else:
        yield "", "list", repr(list(data)).encode()


def _content(values: Any) -> bytes:
    if values.dtype.kind in "OT":
        # The bytes of an array of objects are addresses, other ones in each process.
        return repr((values.shape, values.tolist())).encode()
    return repr(values.shape).encode() + bytes(values.tobytes())
