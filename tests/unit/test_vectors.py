"""The vectors are as they would be made, and the Python client reads them as the other languages have to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from clients.vectors.make import HERE, SPOOLS, differences
from clients.vectors.spool_contents import contents

from runwire import errors
from runwire._segments import Scan
from runwire._spool import NO_LIMIT, Spool
from runwire._status import DETAILS_TRAILER, to_error
from runwire._writer import chained

STATUSES: list[dict[str, Any]] = json.loads((HERE / "statuses.json").read_text(encoding="utf-8"))


def expected(name: str) -> dict[str, Any]:
    return dict(json.loads((HERE / "spool" / f"{name}.json").read_text(encoding="utf-8")))


def test_vectors_are_as_they_would_be_made() -> None:
    assert differences() == []


@pytest.mark.parametrize("case", STATUSES, ids=[case["about"] for case in STATUSES])
def test_statuses_are_read(case: dict[str, Any]) -> None:
    trailer = case["trailer"]
    error = to_error(
        case["code"], "m", [] if trailer is None else [(DETAILS_TRAILER, bytes.fromhex(trailer))]
    )
    assert type(error) is getattr(errors, case["name"])
    assert (error.reason, error.metadata, error.retry_delay) == (
        case["reason"],
        case["metadata"],
        case["retry_delay"],
    )
    assert [[one.field, one.description] for one in error.violations] == case["violations"]


@pytest.mark.parametrize("name", SPOOLS)
def test_spools_are_read(name: str, tmp_path: Path) -> None:
    shutil.copytree(HERE / "spool" / name, tmp_path / name)
    found = contents(tmp_path / name)
    assert found == {key: value for key, value in expected(name).items() if key != "about"}
    crc = 0
    for frame in found["frames"]:
        assert frame["previous_crc"] == crc
        crc = frame["crc"]


def test_each_segment_can_be_read_alone() -> None:
    for path in sorted((HERE / "spool" / "groups").glob("*.segment")):
        scan = Scan(path)
        assert scan.head is not None
        assert not scan.torn
        assert scan.head.first == int(path.stem, 16)


def test_the_chain_of_the_first_frame_starts_at_zero() -> None:
    frame = expected("plain")["frames"][0]
    assert (frame["sequence"], frame["previous_crc"]) == ("1", 0)
    assert chained(0, b"") == 0x2144DF1C


def test_spools_go_on_where_they_are_whole(tmp_path: Path) -> None:
    shutil.copytree(HERE / "spool" / "torn_crc", tmp_path / "spool")
    spool = Spool.open(tmp_path / "spool", NO_LIMIT)
    try:
        assert str(spool.cut.sequence) == expected("torn_crc")["cut"]["sequence"]
    finally:
        spool.release()
