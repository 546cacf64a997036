"""Addresses, and how clients of every language read them."""

from __future__ import annotations

from typing import Any, Final

from runwire._channel import parse_address

_READ: Final = [
    "host",
    "host:5",
    "host:",
    "host:0",
    "host:65535",
    "host:00005",
    "host/",
    "Host.Example:5",
    "host_with_underscore:5",
    "_host-1:5",
    "1.2.3:5",
    "127.0.0.1:5",
    "127.8.8.8",
    "LOCALHOST",
    "[::1]:5",
    "[2001:DB8::1]",
    "[::ffff:10.0.0.1]:5",
    "[fe80::1%eth0]:5",
    "[FE80::1%Eth-0.1]:5",
    "runwire://host:5",
    "runwire://host",
    "runwire://[::1]:5/",
    "runwires://host:5",
    "runwires://host_1",
    "unix:/tmp/s",
    "unix:s",
    "unix:///tmp/s",
]
_FOLDERS: Final = ["/", "/data/runs", "./runs", "../runs", "~/runs", ".", "..", "/münchen", "./with space"]
_REFUSED: Final = [
    "",
    " ",
    " host:5",
    "host:5 ",
    "ho st:5",
    "host:x",
    "host: 5",
    "host:+5",
    "host:-1",
    "host:65536",
    "host:000005",
    "host:٥",
    "host:5:5",
    ":5",
    "münchen:5",
    "~",
    "~user/runs",
    "data/runs",
    "host/path",
    "host?x=1",
    "host#x",
    "user@host:5",
    "::1",
    "[::1",
    "::1]:5",
    "[]:5",
    "[host]:5",
    "[::1%]:5",
    "host%eth0:5",
    "runwire://",
    "runwire:///host",
    "runwire://host:5/path",
    "RUNWIRE://host",
    "http://host:5",
    "grpc://host:5",
    "grpcs://host:5",
    "dns:///host:5",
    "ipv4:127.0.0.1:5",
    "://host",
    "unix:",
    "unix://",
]


def vectors() -> dict[str, Any]:
    """Reads and refuses addresses."""
    read = []
    for text in _READ:
        found = parse_address(text)
        read.append(
            {
                "address": text,
                "text": found.text,
                "target": found.target,
                "secure": found.secure,
                "local": found.local,
            }
        )
    for text in _FOLDERS:
        assert parse_address(text).folder is not None, text
    for text in _REFUSED:
        try:
            parse_address(text)
        except ValueError:
            continue
        raise AssertionError(f"{text!r} is an address")
    return {"read": read, "folders": _FOLDERS, "refused": _REFUSED}
