"""Where the server is and how to talk to it: addresses, tokens, TLS, deadlines, retries, channels."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio

from runwire._version import __version__

DEFAULT_ADDRESS: Final = "./runwire-data"
DEFAULT_PORT: Final = 50051
DEFAULT_TIMEOUT: Final = 30.0
# An answer's trailers may hold 20 violations; gRPC's own bound is 8 KiB.
_METADATA_BYTES: Final = 64 * 1024
# Also with an underscore, which the services of a compose file have and URIs have not.
_NETWORK: Final = re.compile(
    r"((?P<name>[A-Za-z0-9._-]+)|\[(?P<ip>[0-9A-Fa-f:.]+)(?P<zone>%[^]/?#@\s]+)?\])(:(?P<port>[^/?#@]*))?/?"
)
_PORT: Final = re.compile(r"[0-9]{1,5}")
# A first pause below it would make a busy loop of a client without a server.
_SHORTEST_PAUSE: Final = 0.001


@dataclass(frozen=True, slots=True)
class Retry:
    """How failed calls are repeated.

    A call is repeated, with the same request id, when the server or its database can not be reached,
    when other transactions got in its way, and when a full disk asks for patience. Pauses grow from
    `initial` by `multiplier` up to `maximum`, each drawn at random between 0 and that; a delay that the
    server asks for comes on top. All attempts share the call's deadline.

    Attributes:
        initial: Longest first pause, seconds.
        multiplier: Growth of the pause from one attempt to the next.
        maximum: Longest pause, seconds.
        max_attempts: Most attempts of a call; None for as many as its deadline has room for, 1 for none
            but the first.
        connect_timeout: Seconds after which a client that never reached its server gives up. One that
            did reach it waits for its return until the call's deadline.

    Raises:
        TypeError: A setting is no number.
        ValueError: A setting would make a busy loop, or no attempt at all.
    """

    initial: float = 0.1
    multiplier: float = 2.0
    maximum: float = 2.0
    max_attempts: int | None = None
    connect_timeout: float = 3.0

    def __post_init__(self) -> None:
        """Checks the settings."""
        for name in ("initial", "multiplier", "maximum", "connect_timeout"):
            _number(f"retry: {name}", getattr(self, name))
        if not _SHORTEST_PAUSE <= self.initial <= self.maximum:
            raise ValueError(
                f"retry: initial must be from {_SHORTEST_PAUSE} s to maximum, {self.maximum} s, "
                f"and is {self.initial}"
            )
        if not self.multiplier >= 1:
            raise ValueError(f"retry: multiplier must be at least 1, and is {self.multiplier}")
        if not self.connect_timeout > 0:
            raise ValueError(f"retry: connect_timeout must be more than 0 s, and is {self.connect_timeout}")
        if self.max_attempts is not None and (type(self.max_attempts) is not int or self.max_attempts < 1):
            raise ValueError(
                f"retry: max_attempts must be None or a whole number from 1 on, and is {self.max_attempts!r}"
            )


@dataclass(frozen=True, slots=True)
class Address:
    """A server's address.

    Attributes:
        text: As a person writes it.
        target: As gRPC wants it; empty for a folder, whose server has to be found first.
        secure: Whether to use TLS.
        local: Whether it is on this machine.
        folder: The folder whose server is meant, absolute; None if the address names a server.
    """

    text: str
    target: str
    secure: bool
    local: bool
    folder: Path | None = None


def parse_address(text: str) -> Address:
    """Reads an address.

    Args:
        text: `runwire://host:port`, `runwires://host:port`, `unix:path` or `host:port`; without a port
            it is 50051. Or a folder: a path that begins with `/`, `./`, `../` or `~/`.

    Returns:
        The address.

    Raises:
        TypeError: It is no text.
        ValueError: It is none of these.
    """
    if not isinstance(text, str):
        raise TypeError(f"an address must be text, not {type(text).__name__}")
    if text.startswith(("/", "./", "../", "~/")) or text in (".", ".."):
        folder = Path(os.path.abspath(os.path.expanduser(text)))
        return Address(str(folder), "", secure=False, local=True, folder=folder)
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        path = path[2:] if path.startswith("//") else path
        if not path:
            raise ValueError(f"the address {text!r} names no socket; write unix:path")
        return Address(text, f"unix:{path}", secure=False, local=True)
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "runwire", text
    if scheme not in ("runwire", "runwires"):
        raise ValueError(
            f"the address {text!r} is not runwire://host:port, runwires://host:port, unix:path, host:port "
            "or a folder such as ./runwire-data"
        )
    found = _NETWORK.fullmatch(rest)
    if found is None:
        raise ValueError(f"the address {text!r} is not {scheme}://host:port")
    port = found["port"] or str(DEFAULT_PORT)
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError(f"the address {text!r} has a port that is not a number from 0 to 65535")
    host = (found["name"] or found["ip"]).lower() + (found["zone"] or "")
    target = f"{host if found['name'] else f'[{host}]'}:{int(port)}"
    return Address(f"{scheme}://{target}", target, secure=scheme == "runwires", local=_is_loopback(host))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a client is told when it is made; see `settings`."""

    address: Address
    metadata: tuple[tuple[str, str], ...]
    tls_ca: bytes | None
    timeout: float
    retry: Retry


def settings(
    address: str | None,
    token: str | None,
    tls_ca: str | os.PathLike[str] | None,
    timeout: float,
    retry: Retry | None,
) -> Settings:
    """Checks a client's arguments and fills what is missing from the environment.

    Args:
        address: The server; None for RUNWIRE_TRACKING_URI, else the folder `./runwire-data`.
        token: The shared token; None for RUNWIRE_TOKEN, else none.
        tls_ca: File with the certificates to trust, PEM; None for RUNWIRE_TLS_CA, else the system's.
        timeout: Seconds that a call may take, retries included.
        retry: How to repeat; None for the default.

    Returns:
        The settings.

    Raises:
        TypeError: An argument is of another type.
        ValueError: An argument can not be used.
        OSError: The file of certificates can not be read.
    """
    if address is None:
        address = os.environ.get("RUNWIRE_TRACKING_URI") or DEFAULT_ADDRESS
    where = parse_address(address)
    authority = os.fspath(tls_ca) if tls_ca is not None else os.environ.get("RUNWIRE_TLS_CA")
    if retry is not None and not isinstance(retry, Retry):
        raise TypeError(f"retry must be a runwire.Retry, not {type(retry).__name__}")
    if tls_ca is not None and not where.secure:
        raise ValueError(f"tls_ca is for runwires:// addresses, and {where.text} is plain text")
    return Settings(
        address=where,
        metadata=_bearer(token or os.environ.get("RUNWIRE_TOKEN") or ""),
        tls_ca=Path(authority).read_bytes() if authority and where.secure else None,
        timeout=seconds(timeout),
        retry=Retry() if retry is None else retry,
    )


def seconds(timeout: float) -> float:
    """Checks a deadline.

    Args:
        timeout: Seconds, more than 0; infinity for none.

    Returns:
        The same.

    Raises:
        TypeError: It is no number.
        ValueError: It is not more than 0.
    """
    _number("timeout", timeout)
    if not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, and is {timeout}")
    return timeout


def _number(what: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{what} must be a number, not {type(value).__name__}")


def grpc_timeout(remaining: float) -> float | None:
    """Turns the seconds that remain into what gRPC takes, to which None is forever."""
    return None if math.isinf(remaining) else max(remaining, 0.001)


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    token = token.strip()
    if not token:
        return ()
    if not token.isascii() or not token.isprintable():
        raise ValueError("the token may hold printable ASCII characters only")
    # As metadata of each call: gRPC refuses call credentials on plain-text channels, and a loopback
    # server may want a token too.
    return (("authorization", f"Bearer {token}"),)


def _options(given: Settings) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        # gRPC's own retries know neither the request id nor the deadline that attempts share.
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
        ("grpc.primary_user_agent", f"runwire-python/{__version__}"),
        # Else a fresh client would inherit the back-off of one that failed before it.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # In spite of its name the time that one attempt to connect may take: a host that drops packets.
        ("grpc.min_reconnect_backoff_ms", max(100, int(given.retry.connect_timeout * 1000))),
    ]
    if given.address.local:
        # A proxy set for the web (http_proxy) has no way to this machine's own ports.
        options.append(("grpc.enable_http_proxy", 0))
    return options


def open_channel(given: Settings) -> grpc.Channel:
    """Opens a channel; it connects at the first call."""
    options = _options(given)
    if given.address.secure:
        credentials = grpc.ssl_channel_credentials(root_certificates=given.tls_ca)
        return grpc.secure_channel(given.address.target, credentials, options)
    return grpc.insecure_channel(given.address.target, options)


def open_aio_channel(given: Settings) -> grpc.aio.Channel:
    """Opens a channel for the running event loop; it connects at the first call."""
    options = _options(given)
    if given.address.secure:
        credentials = grpc.ssl_channel_credentials(root_certificates=given.tls_ca)
        return grpc.aio.secure_channel(given.address.target, credentials, options)
    return grpc.aio.insecure_channel(given.address.target, options)
