"""The examples: each trains against a server and leaves runs that one query compares."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.clients.outside import CLIENTS, succeed

# Spark's is compiled by Maven, and its tests run a cluster as the example does.
_TOOLS = {"python": "python", "r": "r", "java": "jvm", "scala": "jvm"}


@pytest.mark.parametrize(
    "language",
    [pytest.param(one, marks=pytest.mark.xdist_group(tools)) for one, tools in _TOOLS.items()],
)
def test_the_example_trains(language: str, tmp_path: Path) -> None:
    told = succeed(
        [sys.executable, CLIENTS / "examples" / "polyglot.py", language],
        tmp_path,
        timeout=600,
    )
    best = told[told.index("the best run of each language") :]
    assert f"│ {language} " in best, told
    assert "the ten best that match it" in best
