"""Addresses and settings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from runwire import _places
from runwire._channel import Retry, _options, parse_address, settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUNWIRE_TRACKING_URI", "RUNWIRE_TOKEN", "RUNWIRE_TLS_CA"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "target", "secure", "local"),
    [
        ("runwire://host:1234", "host:1234", False, False),
        ("runwire://host", "host:50051", False, False),
        ("runwires://host:443/", "host:443", True, False),
        ("host:1234", "host:1234", False, False),
        ("host", "host:50051", False, False),
        ("127.0.0.1:1", "127.0.0.1:1", False, True),
        ("localhost:1", "localhost:1", False, True),
        ("runwire://[::1]:1", "[::1]:1", False, True),
        ("runwire://[2001:db8::1]", "[2001:db8::1]:50051", False, False),
        ("unix:/run/runwire.sock", "unix:/run/runwire.sock", False, True),
        ("unix:///run/runwire.sock", "unix:/run/runwire.sock", False, True),
        ("unix:socket", "unix:socket", False, True),
    ],
)
def test_addresses(text: str, target: str, secure: bool, local: bool) -> None:
    found = parse_address(text)
    assert (found.target, found.secure, found.local) == (target, secure, local)
    assert parse_address(found.text) == found


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("/data/runs", "/data/runs"),
        ("/data/runs/../x/", "/data/x"),
        ("./runs", "HERE/runs"),
        ("../runs", "HERE/../runs"),
        (".", "HERE"),
        ("~/runs", "HOME/runs"),
    ],
)
def test_folders(text: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    wanted = folder.replace("HERE", str(tmp_path)).replace("HOME", "/home/someone")
    found = parse_address(text)
    assert found.folder == Path(os.path.normpath(wanted))
    assert (found.target, found.secure, found.local) == ("", False, True)
    assert parse_address(found.text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file:/data",
        "file:///data",
        "unix:",
        "http://host:5000",
        "runwire://",
        "runwire://:1",
        "host:port",
        "host:70000",
        "runwire://h/path",
        "u@h:1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_address(text)


def test_the_environment_fills_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert settings(None, None, None, 30, None).address.folder == Path.cwd() / "runwire-data"
    authority = tmp_path / "ca.pem"
    authority.write_bytes(b"pem")
    monkeypatch.setenv("RUNWIRE_TRACKING_URI", "runwires://far:1")
    monkeypatch.setenv("RUNWIRE_TOKEN", "secret\n")
    monkeypatch.setenv("RUNWIRE_TLS_CA", str(authority))
    given = settings(None, None, None, 30, None)
    assert given.address.text == "runwires://far:1"
    assert given.metadata == (("authorization", "Bearer secret"),)
    assert given.tls_ca == b"pem"
    assert settings("near:1", "other", None, 30, None).metadata == (("authorization", "Bearer other"),)
    assert settings("near:1", None, None, 30, None).tls_ca is None


def test_settings_that_can_not_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plain text"):
        settings("runwire://h:1", None, tmp_path / "ca.pem", 30, None)
    with pytest.raises(ValueError, match="timeout"):
        settings("h:1", None, None, 0, None)
    with pytest.raises(ValueError, match="ASCII"):
        settings("h:1", "s\u00e9cret", None, 30, None)
    with pytest.raises(OSError, match=r"missing\.pem"):
        settings("runwires://h:1", None, tmp_path / "missing.pem", 30, None)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"initial": 0}, "initial"),
        ({"initial": -1.0}, "initial"),
        ({"initial": 3.0}, "initial"),
        ({"initial": float("nan")}, "initial"),
        ({"multiplier": 0.5}, "multiplier"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 1.5}, "max_attempts"),
        ({"connect_timeout": 0}, "connect_timeout"),
    ],
)
def test_no_retry_is_a_busy_loop_or_none_at_all(given: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Retry(**given)


def test_arguments_of_another_type_are_named() -> None:
    with pytest.raises(TypeError, match="retry: initial"):
        Retry(initial="1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Retry"):
        settings("host", None, None, 1.0, 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="address"):
        settings(5, None, None, 1.0, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="timeout"):
        settings("host", None, None, "x", None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="host:port"):
        settings("", None, None, 1.0, None)


def test_channels_leave_retries_and_sizes_to_us() -> None:
    near, far = (dict(_options(settings(text, None, None, 30, None))) for text in ("127.0.0.1", "far"))
    assert near["grpc.enable_retries"] == 0
    assert near["grpc.max_receive_message_length"] == -1
    assert near["grpc.enable_http_proxy"] == 0
    assert "grpc.enable_http_proxy" not in far


def test_without_a_home_spools_go_where_nobody_else_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As for who has no home that can be written; root can write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    there = tmp_path / f"runwire-state-{os.getuid()}"
    there.mkdir(mode=0o755)
    with pytest.raises(PermissionError, match=there.name):
        _places._state()
    there.chmod(0o700)
    assert _places._state() == there
    there.rmdir()
    assert _places._state().stat().st_mode & 0o777 == 0o700
