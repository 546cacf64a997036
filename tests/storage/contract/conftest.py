"""The suite runs on each kind of storage: SQLite in a file and in memory, PostgreSQL, and through gRPC."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa
from tests.support.postgres import Postgres
from tests.support.remote_stores import remote_stores

from runwire_server import config
from runwire_server.app import listening, working
from runwire_server.storage.base import Stores
from runwire_server.storage.engine import Engine
from runwire_server.storage.schema import experiments, metadata
from runwire_server.storage.stores import open_engine

KINDS = ("sqlite", "memory", "postgresql", "grpc")


class Clock:
    """Tells the time that the test sets.

    Attributes:
        now: Unix milliseconds.
    """

    def __init__(self) -> None:
        self.now = 1_750_000_000_000

    def __call__(self) -> int:
        return self.now


@dataclass
class World:
    """A storage under test.

    Attributes:
        stores: Through the wire when the kind is grpc.
        engine: What lies below, to look at rows directly.
        clock: What the storage goes by.
    """

    stores: Stores
    engine: Engine
    clock: Clock


@pytest.fixture(scope="session")
def shared() -> dict[Postgres, str]:
    """The one PostgreSQL database of the suite: to make and remove one for each test takes longer."""
    return {}


async def emptied(postgres: Postgres, shared: dict[Postgres, str]) -> str:
    """Returns the URL of a database that is as migrations leave it."""
    if postgres not in shared:
        shared[postgres] = await postgres.create_database()
    engine = await open_engine(shared[postgres])

    def empty(connection: sa.Connection) -> None:
        for table in reversed(metadata.sorted_tables):
            default = experiments.c.id != 0 if table is experiments else sa.true()
            connection.execute(sa.delete(table).where(default))

    await engine.write(empty)
    await engine.close()
    return shared[postgres]


@pytest.fixture(params=KINDS)
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, shared: dict[Postgres, str]
) -> AsyncIterator[World]:
    """A fresh storage of each kind."""
    where: str | Path | None = tmp_path / "runwire.db"
    if request.param == "memory":
        where = None
    elif request.param == "postgresql":
        where = await emptied(request.getfixturevalue("postgres"), shared)
    engine, clock = await open_engine(where), Clock()
    try:
        async with working(engine, clock, random.Random(1)) as metrics:
            if request.param != "grpc":
                yield World(metrics.stores, engine, clock)
                return
            settings = config.read(["--grpc-port", "0", "--grace", "0.01", "--data-dir", str(tmp_path)])
            async with (
                listening(settings, metrics, engine.dialect) as address,
                grpc.aio.insecure_channel(address) as channel,
            ):
                yield World(remote_stores(channel, metrics.stores.maintenance), engine, clock)
    finally:
        await engine.close()


@pytest.fixture
def stores(world: World) -> Stores:
    """The stores of `world`."""
    return world.stores


@pytest.fixture
def clock(world: World) -> Clock:
    """The clock of `world`."""
    return world.clock
