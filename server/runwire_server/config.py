"""What the server is told at its start; the only reader of argv and environment."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from runwire_server import failpoints

T = TypeVar("T")


@dataclass(frozen=True)
class Database:
    """Where the data are.

    Attributes:
        data_dir: Folder of the SQLite database, and of the server's lock.
        url: `postgresql://` URL instead, or None for SQLite in data_dir.
    """

    data_dir: Path
    url: str | None

    @property
    def file(self) -> Path:
        """The SQLite database."""
        return self.data_dir / "runwire.db"


@dataclass(frozen=True)
class Config:
    """The server's settings.

    Attributes:
        host: Address to listen at.
        port: Port for gRPC; 0 picks one.
        unix_socket: Socket to listen at instead, for this user alone.
        idle_exit: Seconds without a client after which to leave, or None to stay.
        database: Where the data are.
        ready_file: Where to write address and pid once the server serves.
        tls_cert: Certificate chain, PEM.
        tls_key: Its private key, PEM.
        token: Shared token that callers must send, or None.
        grace: Seconds for calls in flight when stopping.
        log_level: Least severe level to log.
        metrics_port: Port for Prometheus, at the same host; 0 picks one, None is none.
        failpoint: Place at which to die, and the how many-th time it is reached; for tests.
    """

    host: str
    port: int
    unix_socket: Path | None
    idle_exit: float | None
    database: Database
    ready_file: Path | None
    tls_cert: bytes | None
    tls_key: bytes | None
    token: str | None
    grace: float
    log_level: str
    failpoint: tuple[str, int] | None = None
    metrics_port: int | None = None


_SETTINGS = {"auto_envvar_prefix": "RUNWIRE_SERVER", "show_default": True}
_DATA_DIR = click.option(
    "--data-dir",
    default="runwire-data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the data.",
)
_DATABASE = click.option(
    "--database", metavar="URL", help="postgresql://USER:PASSWORD@HOST/NAME instead of SQLite."
)


@click.command("server", context_settings=_SETTINGS)
@click.option("--host", default="127.0.0.1", help="Address to listen at.")
@click.option("--grpc-port", "port", default=50051, type=click.IntRange(0, 65535), help="Port; 0 picks one.")
@click.option(
    "--unix-socket",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Listen at this socket instead, which only this user can open.",
)
@click.option(
    "--idle-exit",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Leave when no client has been there for so long.  [default: stay]",
)
@_DATA_DIR
@_DATABASE
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write address and pid here once ready.",
)
@click.option(
    "--tls-cert", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Certificates (PEM)."
)
@click.option(
    "--tls-key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Private key (PEM)."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Callers must send this token.",
)
@click.option("--insecure", is_flag=True, help="Listen on a public address without a token.")
@click.option(
    "--grace", default=30.0, type=click.FloatRange(0), help="Seconds for running calls when stopping."
)
@click.option(
    "--log-level",
    default="info",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="debug logs each call.",
)
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="Serve figures for Prometheus here.  [default: off]"
)
@click.option("--failpoint", hidden=True, metavar="NAME[:N]")
def _server(
    host: str,
    port: int,
    unix_socket: Path | None,
    idle_exit: float | None,
    data_dir: Path,
    database: str | None,
    ready_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    token_file: Path | None,
    insecure: bool,
    grace: float,
    log_level: str,
    metrics_port: int | None,
    failpoint: str | None,
) -> Config:
    """Run the Runwire server.

    Without options it listens at 127.0.0.1:50051 and keeps its data in ./runwire-data. Each option can
    be set by an environment variable too, such as RUNWIRE_SERVER_GRPC_PORT.
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    if unix_socket is not None and tls_cert is not None:
        raise click.UsageError("--unix-socket is never encrypted: leave --tls-cert away")
    if idle_exit is not None and database is not None:
        raise click.UsageError("--idle-exit is for servers that own a data folder, not for --database")
    token = token_file.read_text().strip() if token_file else None
    if token is not None and (len(token) < 16 or not token.isascii() or not token.isprintable()):
        raise click.UsageError("--token-file must hold one line of at least 16 printable ASCII characters")
    if token is None and not insecure and unix_socket is None and not _loopback(host):
        raise click.UsageError(
            f"{host} can be reached from other machines: give --token-file, or say --insecure"
        )
    return Config(
        host=host,
        port=port,
        unix_socket=unix_socket.absolute() if unix_socket else None,
        idle_exit=idle_exit,
        database=_database(data_dir, database),
        ready_file=ready_file,
        tls_cert=tls_cert.read_bytes() if tls_cert else None,
        tls_key=tls_key.read_bytes() if tls_key else None,
        token=token,
        grace=grace,
        log_level=log_level,
        metrics_port=metrics_port,
        failpoint=_failpoint(failpoint) if failpoint else None,
    )


@click.command("upgrade", context_settings=_SETTINGS)
@_DATA_DIR
@_DATABASE
def _upgrade(data_dir: Path, database: str | None) -> Database:
    """Bring a database to the schema of this version.

    A server does so by itself when it starts; this is for doing it apart. No server may be running on
    the data folder.
    """
    return _database(data_dir, database)


def read(arguments: Sequence[str]) -> Config:
    """Reads the server's settings from the command line and the environment.

    Raises:
        SystemExit: for --help, and with code 2 for wrong usage, after saying what is wrong.
    """
    return _read(_server, "runwire server", arguments, Config)


def read_upgrade(arguments: Sequence[str]) -> Database:
    """Reads which database to upgrade; raises as `read` does."""
    return _read(_upgrade, "runwire db upgrade", arguments, Database)


def _read(command: click.Command, name: str, arguments: Sequence[str], kind: type[T]) -> T:
    try:
        result = command.main(args=list(arguments), prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    if not isinstance(result, kind):
        # Help was asked for and shown.
        raise SystemExit(0)
    return result


def _database(data_dir: Path, url: str | None) -> Database:
    if url is not None and not url.startswith(("postgresql://", "postgres://")):
        raise click.UsageError("--database is a URL such as postgresql://user@host/name")
    return Database(data_dir.absolute(), url)


def _failpoint(text: str) -> tuple[str, int]:
    name, _, reaches = text.partition(":")
    if name not in failpoints.NAMES or not (reaches or "1").isdecimal():
        raise click.UsageError(f"--failpoint is one of {', '.join(failpoints.NAMES)}, and :N by choice")
    return name, int(reaches or "1")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
