"""The composition root: puts the parts together, serves, and stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from runwire.v1 import experiment_pb2, metric_pb2, run_pb2, server_pb2
from runwire_server import janitor
from runwire_server.config import Config, Database
from runwire_server.domain import packed
from runwire_server.errors import StartupError
from runwire_server.interceptors import Door, TokenCheck, UnknownMethods
from runwire_server.services.experiments import ExperimentService
from runwire_server.services.metrics import MetricService
from runwire_server.services.runs import RunService
from runwire_server.services.server import ServerService
from runwire_server.storage.base import Stores
from runwire_server.storage.engine import Engine
from runwire_server.storage.stores import open_engine, stores_on

# Above the documented limit, so that what exceeds that one is answered with a reason.
RECEIVE_LIMIT = 32 * 1024 * 1024

OPTIONS = (
    ("grpc.max_receive_message_length", RECEIVE_LIMIT),
    ("grpc.max_send_message_length", -1),
    # A port in use is an error, not a second server that takes half of the calls.
    ("grpc.so_reuseport", 0),
)

SERVICES = {
    "ExperimentService": experiment_pb2.DESCRIPTOR,
    "RunService": run_pb2.DESCRIPTOR,
    "MetricService": metric_pb2.DESCRIPTOR,
    "ServerService": server_pb2.DESCRIPTOR,
}

log = structlog.get_logger("runwire.server")


def clock() -> int:
    """Returns unix milliseconds."""
    return time.time_ns() // 1_000_000


async def serve(config: Config) -> None:
    """Serves until SIGINT or SIGTERM.

    Raises:
        StartupError: if it can not start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(config) as address:
        say_ready(config, address)
        await stop.wait()
        log.info("stopping")


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[str]:
    """Runs a server within the block, which gets its address; calls in flight may finish at its end."""
    async with opened(config.database) as engine:
        stores = stores_on(engine, clock, random.Random())
        cleaning = asyncio.create_task(janitor.work(stores.maintenance))
        try:
            async with listening(config, stores, engine.dialect) as address:
                yield address
        finally:
            cleaning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await cleaning


@contextlib.asynccontextmanager
async def opened(database: Database) -> AsyncIterator[Engine]:
    """Opens a database within the block, its schema up to date; SQLite's folder is locked meanwhile."""
    with locked_folder(database.data_dir) if database.url is None else contextlib.nullcontext():
        engine = await open_engine(database.url or database.file)
        try:
            yield engine
        finally:
            await engine.close()


@contextlib.asynccontextmanager
async def listening(config: Config, stores: Stores, database: str) -> AsyncIterator[str]:
    """Listens within the block, which gets the address."""
    door, healthy = Door(), health.aio.HealthServicer()
    server = make_server(config, door, healthy, stores, database)
    port = bind(server, config)
    await server.start()
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    try:
        yield f"{config.host}:{port}"
    finally:
        # First say so, then refuse new calls with a reason, then close. A call is over for the door when
        # its answer is made; a moment more lets that answer out, or its caller would see it cancelled.
        await healthy.enter_graceful_shutdown()
        await door.drain(config.grace)
        await server.stop(min(config.grace, 1.0))


def make_server(
    config: Config, door: Door, healthy: health.aio.HealthServicer, stores: Stores, database: str
) -> grpc.aio.Server:
    """Makes the gRPC server with all its services."""
    interceptors = [TokenCheck(config.token)] if config.token else []
    server = grpc.aio.server(interceptors=interceptors, options=OPTIONS)
    servicers = {
        "ExperimentService": ExperimentService(stores.experiments),
        "RunService": RunService(stores.runs),
        "MetricService": MetricService(stores.metrics),
        "ServerService": ServerService(stores.maintenance, database),
    }
    # Blocks of points are read as arrays.
    classes = {"LogBatch": packed.message_class("LogBatchRequest")}
    descriptors = [file.services_by_name[name] for name, file in SERVICES.items()]
    for descriptor in descriptors:
        server.add_generic_rpc_handlers((door.handler(descriptor, servicers[descriptor.name], classes),))
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    names = [d.full_name for d in descriptors]
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    server.add_generic_rpc_handlers((UnknownMethods(),))
    return server


def bind(server: grpc.aio.Server, config: Config) -> int:
    """Takes the port, and returns it.

    Raises:
        StartupError: if it is taken, or the TLS files do not fit.
    """
    where = f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}"
    try:
        if config.tls_cert is None or config.tls_key is None:
            return int(server.add_insecure_port(where))
        credentials = grpc.ssl_server_credentials([(config.tls_key, config.tls_cert)])
        return int(server.add_secure_port(where, credentials))
    except RuntimeError as error:
        raise StartupError(f"can not listen at {where}: {error}") from error


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keeps other servers out of a data folder within the block.

    Raises:
        StartupError: if one is in there, naming its pid, or the folder can not be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "runwire.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StartupError(f"{folder} can not be used: {error.strerror}") from error
    try:
        try:
            # The kernel lets go of it when the process ends, however it ends.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode().strip() or "unknown"
            raise StartupError(f"{folder} is in use by the server with pid {owner}") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def say_ready(config: Config, address: str) -> None:
    """Writes the ready file, then prints the one ready line: who sees the line finds the file.

    Raises:
        StartupError: if the file can not be written.
    """
    if config.ready_file:
        # Renamed into place, so that nobody reads half of it.
        draft = config.ready_file.with_name(config.ready_file.name + ".new")
        try:
            draft.write_text(json.dumps({"grpc": address, "pid": os.getpid()}) + "\n")
            draft.replace(config.ready_file)
        except OSError as error:
            raise StartupError(f"{config.ready_file} can not be written: {error.strerror}") from error
    scheme = "runwires" if config.tls_cert else "runwire"
    where = "PostgreSQL" if config.database.url else str(config.database.data_dir)
    print(f"runwire server ready at {scheme}://{address} (data: {where}, pid {os.getpid()})", flush=True)


def configure_log(level: str) -> None:
    """Sends log lines to standard error, as key=value."""
    levels = {"debug": 10, "info": 20, "warning": 30, "error": 40}
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
