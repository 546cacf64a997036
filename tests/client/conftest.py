"""Fixtures of the client's tests; the server is the real one, from the conftest above."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# The helpers beside the tests: importlib mode puts no folder on the path by itself.
sys.path.insert(0, str(Path(__file__).parent))

from blocking import KINDS, connect
from lossy_proxy import LossyProxy


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRACKING_URI", "TOKEN", "TLS_CA", "EXPERIMENT", "RUN_ID"):
        monkeypatch.delenv(f"RUNWIRE_{name}", raising=False)


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, server: Any) -> Iterator[Any]:
    """A client of each kind, connected to the real server."""
    with connect(request.param, server.address) as client:
        yield client


@pytest.fixture
def proxy(server: Any) -> Iterator[LossyProxy]:
    """A lossy proxy in front of the real server."""
    host, _, port = server.address.removeprefix("runwire://").rpartition(":")
    with LossyProxy(host, int(port)).running() as proxy:
        yield proxy
