"""The clients for the JVM: built, checked and tested by Maven, with all that their POMs bind to it."""

from __future__ import annotations

import pytest
from tests.clients.outside import CLIENTS, succeed

pytestmark = pytest.mark.xdist_group("jvm")


def test_everything_builds_and_passes_its_tests() -> None:
    succeed(["mvn", "-B", "-ntp", "-q", "verify"], CLIENTS, timeout=2400)


def test_sources_are_formatted() -> None:
    succeed(["mvn", "-B", "-ntp", "-q", "-N", "spotless:check"], CLIENTS, timeout=600)
