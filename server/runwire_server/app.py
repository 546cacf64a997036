"""The composition root: puts the parts together, serves, and stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from runwire._folder import MAX_SOCKET_PATH
from runwire.v1 import experiment_pb2, metric_pb2, run_pb2, server_pb2
from runwire_server import failpoints, janitor, local
from runwire_server.config import Config, Database
from runwire_server.domain import packed
from runwire_server.errors import StartupError
from runwire_server.interceptors import RECEIVE_LIMIT, Door, TokenCheck, UnknownMethods, stopping
from runwire_server.metrics.engine import MetricEngine
from runwire_server.services.experiments import ExperimentService
from runwire_server.services.metrics import MetricService
from runwire_server.services.runs import RunService
from runwire_server.services.server import ServerService
from runwire_server.storage.engine import Engine, Observer
from runwire_server.storage.stores import open_engine, stores_on
from runwire_server.storage.summaries import SqlSummaries
from runwire_server.telemetry import Telemetry, figures

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
    """Serves until SIGINT or SIGTERM, or until nobody needs it where that is wanted.

    Raises:
        StartupError: if it can not start.
    """
    if config.failpoint is not None:
        failpoints.arm(*config.failpoint)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    telemetry = Telemetry()
    door = Door(telemetry.called)
    with measured(config, telemetry) as shown_at:
        async with running(config, door, telemetry) as address:
            with pointing(config, address):
                # What is there by now stays: the garbage collector need not walk it each time.
                gc.freeze()
                say_ready(config, address, shown_at)
                await until_stopped(config, door, stop)
            log.info("stopping")


async def until_stopped(config: Config, door: Door, stop: asyncio.Event) -> None:
    """Waits for a signal, or until the server has been idle for as long as it may."""
    waiting: list[Coroutine[Any, Any, object]] = [stop.wait()]
    if config.idle_exit is not None:
        folder, socket = config.database.data_dir, config.unix_socket
        waiting.append(local.unneeded(folder, config.idle_exit, socket, lambda: door.busy))
    tasks = [asyncio.create_task(one) for one in waiting]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


def measured(config: Config, telemetry: Telemetry) -> contextlib.AbstractContextManager[str | None]:
    """Shows the server's figures within the block, which gets the address; none where that is not wanted."""
    if config.metrics_port is None:
        return contextlib.nullcontext()
    return telemetry.served(config.host, config.metrics_port)


def pointing(config: Config, address: str) -> contextlib.AbstractContextManager[None]:
    """Has the data folder say where its server listens; with PostgreSQL there is no such folder."""
    if config.database.url is not None:
        return contextlib.nullcontext()
    return local.pointed(config.database.data_dir, uri(config, reachable(address)))


@contextlib.asynccontextmanager
async def running(config: Config, door: Door, telemetry: Telemetry) -> AsyncIterator[str]:
    """Runs a server within the block, which gets its address; calls in flight may finish at its end."""
    async with (
        opened(config.database, config.idle_exit is not None, telemetry) as engine,
        working(engine, clock, random.Random()) as metrics,
        telemetry.showing(*figures(engine, metrics)),
        beside(janitor.work(metrics.stores)),
        listening(config, metrics, engine.dialect, door, engine.failed) as address,
    ):
        yield address


@contextlib.asynccontextmanager
async def working(
    engine: Engine, clock: Callable[[], int], chance: random.Random
) -> AsyncIterator[MetricEngine]:
    """Has the metric engine work over an open database within the block, which gets it."""
    metrics = MetricEngine(
        lambda after_commit: stores_on(engine, clock, chance, after_commit),
        SqlSummaries(engine),
        shared=engine.dialect == "postgresql",
    )
    try:
        await metrics.start()
        yield metrics
    finally:
        await metrics.close()


@contextlib.asynccontextmanager
async def opened(
    database: Database, patient: bool = False, observer: Observer | None = None
) -> AsyncIterator[Engine]:
    """Opens a database within the block, its schema up to date; SQLite's folder is locked meanwhile.

    Raises:
        StartupError: if that can not be done. Where a server is still leaving, a patient caller waits for it.
    """
    patience = local.LEAVING_SECONDS if patient else local.PROBE_SECONDS
    folder = local.locked(database.data_dir, patience) if database.url is None else None
    async with folder or contextlib.nullcontext():
        engine = await open_engine(database.url or database.file, observer)
        try:
            yield engine
        finally:
            await engine.close()


@contextlib.asynccontextmanager
async def listening(
    config: Config,
    metrics: MetricEngine,
    database: str,
    door: Door | None = None,
    failed: asyncio.Event | None = None,
) -> AsyncIterator[str]:
    """Listens within the block, which gets the address; not healthy any more once `failed` is set."""
    door, healthy = door or Door(), health.aio.HealthServicer()
    server = make_server(config, door, healthy, metrics, database)
    address = bind(server, config)
    await server.start()
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    try:
        async with beside(fall_ill(healthy, failed or asyncio.Event())):
            yield address
    finally:
        # First say so, then refuse new calls with a reason, then close. A call is over for the door when
        # its answer is made; a moment more lets that answer out, or its caller would see it cancelled.
        await healthy.enter_graceful_shutdown()
        await door.drain(config.grace, lambda: metrics.stop(stopping()))
        await metrics.ingest.close()
        await server.stop(min(config.grace, 1.0))


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Has work done beside the block, and cancelled at its end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def fall_ill(healthy: health.aio.HealthServicer, failed: asyncio.Event) -> None:
    """Says that the server is not healthy once its database has failed."""
    await failed.wait()
    await healthy.set("", health_pb2.HealthCheckResponse.NOT_SERVING)


def make_server(
    config: Config,
    door: Door,
    healthy: health.aio.HealthServicer,
    metrics: MetricEngine,
    database: str,
) -> grpc.aio.Server:
    """Makes the gRPC server with all its services."""
    interceptors = [TokenCheck(config.token)] if config.token else []
    server = grpc.aio.server(interceptors=interceptors, options=OPTIONS)
    stores = metrics.stores
    servicers = {
        "ExperimentService": ExperimentService(stores.experiments),
        "RunService": RunService(stores.runs),
        "MetricService": MetricService(stores.metrics, metrics.ingest, stores.leases, metrics.watches),
        "ServerService": ServerService(stores.maintenance, stores.stats, database),
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


def bind(server: grpc.aio.Server, config: Config) -> str:
    """Takes the port or the socket, and returns the address as gRPC has it.

    Raises:
        StartupError: if it is taken, or the TLS files do not fit.
    """
    if config.unix_socket is not None:
        return bind_socket(server, config.unix_socket)
    where = f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}"
    try:
        if config.tls_cert is None or config.tls_key is None:
            port = server.add_insecure_port(where)
        else:
            credentials = grpc.ssl_server_credentials([(config.tls_key, config.tls_cert)])
            port = server.add_secure_port(where, credentials)
    except RuntimeError as error:
        raise StartupError(f"can not listen at {where}: {error}") from error
    return f"{config.host}:{port}"


def bind_socket(server: grpc.aio.Server, path: Path) -> str:
    """Takes a socket that only this user can open, and returns its address.

    Raises:
        StartupError: if another server listens there, or the path does not do.
    """
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise StartupError(f"the path of a socket has {MAX_SOCKET_PATH} bytes at most: {path}")
    # A socket that a dead server left is taken over by gRPC, and so would be a living one's.
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        raise StartupError(f"a server listens at {path} already")
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise StartupError(f"can not listen at {path}: {error}") from error
    finally:
        os.umask(before)
    return f"unix:{path}"


def reachable(address: str) -> str:
    """Turns an address that is listened at into one to connect to from this machine."""
    host, _, port = address.rpartition(":")
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{loopback}]:{port}" if ":" in loopback else f"{loopback}:{port}"


def uri(config: Config, address: str) -> str:
    """Writes an address as clients take it."""
    if config.unix_socket is not None:
        return f"unix:{config.unix_socket}"
    return f"{'runwires' if config.tls_cert else 'runwire'}://{address}"


def say_ready(config: Config, address: str, shown_at: str | None) -> None:
    """Writes the ready file, then prints the one ready line: who sees the line finds the file.

    Raises:
        StartupError: if the file can not be written.
    """
    if config.ready_file:
        ready = {"grpc": address, "pid": os.getpid()}
        if shown_at is not None:
            ready["metrics"] = shown_at
        local.write_whole(config.ready_file, json.dumps(ready) + "\n")
    where = "PostgreSQL" if config.database.url else str(config.database.data_dir)
    print(f"runwire server ready at {uri(config, address)} (data: {where}, pid {os.getpid()})", flush=True)


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
