"""Fixtures: real databases and servers, each test with data of its own."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import hypothesis
import pytest
from tests.support.mounts import mounted
from tests.support.postgres import Postgres
from tests.support.server import ServerProcess

from runwire_server.app import clock, working
from runwire_server.storage.base import Stores
from runwire_server.storage.engine import Engine
from runwire_server.storage.stores import open_engine

# No example fails for being slow: a machine may be busy with others, or stand still for a while.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


def pytest_configure() -> None:
    """Lets programs that tests start hear Ctrl-C, also where the tests themselves run in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL instance for this test process."""
    instance = Postgres()
    try:
        instance.start()
        yield instance
    finally:
        instance.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """A database that outlives a server: an SQLite file or a fresh PostgreSQL database."""
    if request.param == "sqlite":
        return tmp_path / "runwire.db"
    return asyncio.run(request.getfixturevalue("postgres").create_database())


@pytest.fixture(params=["sqlite", "memory", "postgresql"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine with the schema, on each kind of database."""
    where: str | Path | None = None
    if request.param == "sqlite":
        where = tmp_path / "runwire.db"
    elif request.param == "postgresql":
        where = await request.getfixturevalue("postgres").create_database()
    opened = await open_engine(where)
    yield opened
    await opened.close()


@pytest.fixture
async def stores(engine: Engine) -> AsyncIterator[Stores]:
    """The stores over `engine`, with names by chance but the same each time."""
    async with working(engine, clock, random.Random(1)) as metrics:
        yield metrics.stores


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def any_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server process on each database, shared by the tests of a module."""
    arguments = []
    if request.param == "postgresql":
        arguments = ["--database", asyncio.run(request.getfixturevalue("postgres").create_database())]
    with ServerProcess(tmp_path_factory.mktemp("server") / "data", *arguments) as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server process on SQLite, shared by the tests of a module."""
    with ServerProcess(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture
def channel(any_server: ServerProcess) -> Iterator[grpc.Channel]:
    """A raw channel to `any_server`."""
    with grpc.insecure_channel(any_server.address) as opened:
        yield opened


@pytest.fixture(scope="session")
def may_mount(tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Whether this process may mount file systems; not even every root may."""
    try:
        with mounted(tmp_path_factory.mktemp("mount") / "data", "1m"):
            return True
    except subprocess.CalledProcessError:
        return False
