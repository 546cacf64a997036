"""What has to be known of a machine and its databases to read the figures."""

from __future__ import annotations

import asyncio
import os
import platform
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import asyncpg
import grpc

from runwire.v1 import server_pb2
from runwire.v1.server_pb2_grpc import ServerServiceStub
from runwire_server.storage.sqlite import WRITER_PRAGMAS

# What a server can not start without.
LIBRARIES = "grpc, sqlalchemy, alembic, numpy"


def machine(folder: Path) -> dict[str, str]:
    """Returns facts of the machine; `folder` is where the data lies."""
    load = "  ".join(f"{part:.2f}" for part in os.getloadavg())
    return {
        "machine": f"{os.cpu_count()} cores, {_processor()}, Linux {platform.release()}, load {load} before",
        "disk": f"{_filesystem(folder)}, the same for all servers",
        "software": f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"grpcio {version('grpcio')}, protobuf {version('protobuf')}, commit {_commit()}",
    }


def runwire(address: str, database: str | None) -> str:
    """Returns what Runwire runs on and promises.

    Args:
        address: Of the server.
        database: `postgresql://` URL, or None for SQLite.
    """
    with grpc.insecure_channel(address) as channel:
        info = ServerServiceStub(channel).GetServerInfo(server_pb2.GetServerInfoRequest())
    if database:
        durability = asyncio.run(_postgres(database))
    else:
        pragmas = dict(pragma.removeprefix("PRAGMA ").split(" = ") for pragma in WRITER_PRAGMAS)
        chosen = [f"{name}={pragmas[name]}" for name in ("journal_mode", "synchronous")]
        durability = f"{', '.join(chosen)} (it answers when the data is on disk)"
    return f"{info.version} on {info.database}, {durability}"


def start(pid: int) -> str:
    """Returns what a server's start took of the processor; to be called as soon as it is ready.

    Args:
        pid: The server.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    taken = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    command = [sys.executable, "-c", f"import {LIBRARIES}, time; print(time.process_time())"]
    limit = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return f"{taken:.2f} s of CPU until ready, {taken / limit:.2f} x a process that only imports {LIBRARIES}"


async def _postgres(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        names = ("server_version", "fsync", "synchronous_commit")
        return ", ".join([f"{name}={await connection.fetchval(f'SHOW {name}')}" for name in names])
    finally:
        await connection.close()


def _processor() -> str:
    with open("/proc/cpuinfo") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _filesystem(folder: Path) -> str:
    """Returns the type of the file system that a folder is on."""
    command = ["df", "--output=fstype", str(folder)]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return lines[-1] if lines else "unknown"


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"
