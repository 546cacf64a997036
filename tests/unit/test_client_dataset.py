"""Data sets described from memory."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas

from runwire import dataset_from_arrays


def test_a_data_set_says_what_it_is() -> None:
    found = dataset_from_arrays(
        "wine", np.zeros((3, 2)), np.array([1, 0, 1]), source="here", source_type="sklearn"
    )
    assert (found.name, found.source, found.source_type) == ("wine", "here", "sklearn")
    assert json.loads(found.schema) == {
        "features": [{"name": "", "type": "float64"}],
        "targets": [{"name": "", "type": "int64"}],
    }
    assert json.loads(found.profile) == {"features_shape": [3, 2], "targets_shape": [3]}
    assert len(found.digest) == 16


def variants() -> list[tuple[Any, ...]]:
    base = np.arange(6.0)
    changed = base.copy()
    changed[5] = 7
    return [
        (base.reshape(2, 3),),
        (base.reshape(3, 2),),
        (base,),
        (changed,),
        (base.astype("float32"),),
        (base, base),
        (base.tolist(),),
        (np.array(["a", "b"], dtype=object),),
        (np.array(["a", "c"], dtype=object),),
    ]


def test_different_contents_have_different_digests() -> None:
    digests = [dataset_from_arrays("x", *arrays).digest for arrays in variants()]
    assert len(set(digests)) == len(digests)
    assert digests == [dataset_from_arrays("x", *arrays).digest for arrays in variants()]


def test_a_non_contiguous_view_is_its_contents() -> None:
    whole = np.arange(10.0)
    assert dataset_from_arrays("x", whole[::2]).digest == dataset_from_arrays("x", whole[::2].copy()).digest


def test_frames_have_their_columns() -> None:
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    found = dataset_from_arrays("x", frame, frame["a"])
    schema = json.loads(found.schema)
    assert [column["name"] for column in schema["features"]] == ["a", "b"]
    assert schema["targets"] == [{"name": "a", "type": "int64"}]
    assert found.digest != dataset_from_arrays("x", frame.rename(columns={"a": "c"})).digest
