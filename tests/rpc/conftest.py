"""One server of each kind for all tests here: each test brings runs and experiments of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import grpc
import pytest
from tests.rpc.asking import Api
from tests.support.postgres import Postgres
from tests.support.server import ServerProcess

# What the server logs when it answers INTERNAL.
BUG = 'event="call failed"'


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on SQLite, which must not come upon a bug in any test."""
    with ServerProcess(tmp_path_factory.mktemp("sqlite") / "data") as running:
        yield running
        assert BUG not in running.log, running.log


@pytest.fixture(scope="session")
def postgresql_server(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server on PostgreSQL, which must not come upon a bug in any test."""
    url = asyncio.run(postgres.create_database())
    with ServerProcess(tmp_path_factory.mktemp("postgresql") / "data", "--database", url) as running:
        yield running
        assert BUG not in running.log, running.log


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def any_server(request: pytest.FixtureRequest) -> ServerProcess:
    """Each of them in turn."""
    running: ServerProcess = request.getfixturevalue(f"{request.param}_server")
    return running


@pytest.fixture(scope="session")
def api(any_server: ServerProcess) -> Iterator[Api]:
    """Calls to `any_server`."""
    with grpc.insecure_channel(any_server.address) as channel:
        yield Api(channel)
