"""The examples: each trains against a server and leaves runs that one query compares."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.clients.outside import CLIENTS, succeed


# Most of them are built by Maven; R's library is built under a lock.
@pytest.mark.xdist_group("jvm")
@pytest.mark.timeout(4_000)
def test_all_train_against_one_server(tmp_path: Path) -> None:
    told = succeed([sys.executable, CLIENTS / "examples" / "polyglot.py"], tmp_path, timeout=3600)
    best, _, matching = told.partition("the ten best that match it")
    rows = best[best.index("the best run of each language") :]
    for language in ("python", "r", "java", "scala", "spark"):
        assert f"│ {language} " in rows, told
    assert matching.count("│") >= 70, told
    # Java's best is none of the ten.
    for language in ("python", "r", "scala"):
        assert f"│ {language} " in matching, told
