"""Fixtures of the client's tests; the server is the real one, from the conftest above."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.client.blocking import KINDS, connect
from tests.client.lossy_proxy import LossyProxy

from runwire import AsyncClient, Client, _local


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("TRACKING_URI", "TOKEN", "TLS_CA", "EXPERIMENT", "RUN_ID", "MODE"):
        monkeypatch.delenv(f"RUNWIRE_{name}", raising=False)
    monkeypatch.setenv("RUNWIRE_SPOOL_DIR", str(tmp_path_factory.mktemp("spools")))


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives calls that have to work more time than a machine is likely to stand still."""
    monkeypatch.setattr(_local, "_START_SECONDS", 120.0)
    for kind in (Client, AsyncClient):
        monkeypatch.setitem(kind.__init__.__kwdefaults__, "timeout", 120.0)


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
