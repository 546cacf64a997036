"""The storages that the state machine drives: made, emptied, restarted, killed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import grpc
import sqlalchemy as sa
from tests.support.messages import delete_experiment, delete_run, find
from tests.support.postgres import Postgres
from tests.support.remote_stores import remote_stores
from tests.support.server import ServerProcess

from runwire.v1 import experiment_pb2, server_pb2
from runwire_server.app import clock, working
from runwire_server.metrics.engine import MetricEngine
from runwire_server.storage.base import Stores
from runwire_server.storage.engine import Engine
from runwire_server.storage.schema import experiments, metadata
from runwire_server.storage.stores import open_engine


class Subject:
    """A storage of one kind, here SQLite in memory.

    Attributes:
        stores: Its stores.
        lives: How often it may be restarted or killed in one example; 0 if its data would be gone.
    """

    stores: Stores
    lives = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._engine: Engine | None = None
        self._working: contextlib.AbstractAsyncContextManager[MetricEngine] | None = None

    async def reset(self) -> None:
        """Makes it empty."""
        await self.close()
        await self._open(None)

    async def restart(self) -> None:
        """Stops it in order, and starts it."""
        raise NotImplementedError

    async def kill(self, under_way: Coroutine[Any, Any, Any]) -> None:
        """Starts a call, kills the storage before it is answered, and starts the storage."""
        raise NotImplementedError

    async def close(self) -> None:
        """Lets go of everything."""
        if self._working:
            await self._working.__aexit__(None, None, None)
            self._working = None
        if self._engine:
            await self._engine.close()
            self._engine = None

    async def _open(self, where: str | Path | None) -> None:
        self._engine = await open_engine(where)
        self._working = working(self._engine, clock, random.Random(1))
        self.stores = (await self._working.__aenter__()).stores


async def abandon(task: asyncio.Task[Any]) -> None:
    """Waits until a call whose storage was killed has ended in any way."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class SqliteFile(Subject):
    """SQLite in a file."""

    lives = 3

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._generation = 0

    @property
    def _path(self) -> Path:
        return self.folder / f"{self._generation}.db"

    async def reset(self) -> None:
        await self.close()
        self._generation += 1
        await self._open(self._path)

    async def restart(self) -> None:
        await self.close()
        await self._open(self._path)

    async def kill(self, under_way: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(under_way)
        for _ in range(3):
            await asyncio.sleep(0)
        # What kill -9 leaves is what the files hold at that moment. There is no checkpoint so soon, so
        # it can be copied while the writer writes: a frame half written fails its checksum.
        old, self._generation = self._path, self._generation + 1
        shutil.copy(old, self._path)
        shutil.copy(f"{old}-wal", f"{self._path}-wal")
        await abandon(task)
        await self.restart()


class PostgresDatabase(Subject):
    """PostgreSQL; it is the database's server that is killed."""

    lives = 1

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        super().__init__(folder)
        self._postgres = postgres
        self._url = ""

    async def reset(self) -> None:
        self._url = self._url or await self._postgres.create_database()
        await self.restart()
        assert self._engine
        await self._engine.write(empty)

    async def restart(self) -> None:
        await self.close()
        await self._open(self._url)

    async def kill(self, under_way: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(under_way)
        for _ in range(12):
            await asyncio.sleep(0)
        self._postgres.kill()
        await abandon(task)
        self._postgres.start()
        await self.restart()


def empty(connection: sa.Connection) -> None:
    """Leaves the Default experiment only; a unit."""
    for table in reversed(metadata.sorted_tables):
        default = experiments.c.id != 0 if table is experiments else sa.true()
        connection.execute(sa.delete(table).where(default))


class Remote(Subject):
    """A server process on SQLite, through gRPC."""

    lives = 1

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = ServerProcess(folder / "data")
        self._channel: grpc.aio.Channel | None = None

    async def _connect(self) -> None:
        await self._disconnect()
        self._channel = grpc.aio.insecure_channel(self._server.address)
        self.stores = remote_stores(self._channel)

    async def _disconnect(self) -> None:
        if self._channel:
            await self._channel.close()
            self._channel = None

    async def reset(self) -> None:
        if not self._server.process:
            await asyncio.to_thread(self._server.start)
        await self._connect()
        request = experiment_pb2.SearchExperimentsRequest(view=experiment_pb2.LIFECYCLE_VIEW_ALL)
        for experiment in (await self.stores.experiments.search(request)).experiments:
            if experiment.experiment_id != "0":
                await delete_experiment(self.stores, experiment.experiment_id)
        for run_id in await find(self.stores, "0"):
            await delete_run(self.stores, run_id)
        await self.stores.maintenance.purge(server_pb2.PurgeRequest())

    async def restart(self) -> None:
        assert await asyncio.to_thread(self._server.stop) == 0
        await asyncio.to_thread(self._server.start)
        await self._connect()

    async def kill(self, under_way: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(under_way)
        for _ in range(6):
            await asyncio.sleep(0)
        await asyncio.to_thread(self._server.kill)
        await abandon(task)
        await asyncio.to_thread(self._server.start)
        await self._connect()

    async def close(self) -> None:
        await self._disconnect()
        if self._server.process:
            await asyncio.to_thread(self._server.kill)
