"""The clients for the JVM: built, checked and tested by Maven, with all that their POMs bind to it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.clients.outside import CLIENTS, succeed

pytestmark = [pytest.mark.xdist_group("jvm"), pytest.mark.timeout(6_000)]

# Maven says nothing of a module in which it finds no tests, or leaves all of them out.
SCALA = [f"{module}/{version}" for module in ("scala", "scala-proto") for version in ("2.12", "2.13", "3")]
TESTED = {"java", "java-shaded", *SCALA, "examples/spark/3.5", "examples/spark/4.1"}


def reports() -> list[Path]:
    """Finds what Maven has written of the tests that it ran."""
    return sorted(CLIENTS.glob("**/target/*-reports/TEST-*.xml"))


def test_everything_builds_and_passes_its_tests() -> None:
    for old in reports():
        old.unlink()
    succeed(["mvn", "-B", "-ntp", "-q", "verify"], CLIENTS, timeout=5400)
    suites = [(path, ElementTree.parse(path).getroot()) for path in reports()]
    assert [str(path) for path, suite in suites if suite.get("skipped") != "0"] == []
    found = {path.parents[2] for path, suite in suites if suite.get("tests") != "0"}
    assert {str(module.relative_to(CLIENTS)) for module in found} == TESTED


def test_sources_are_formatted() -> None:
    succeed(["mvn", "-B", "-ntp", "-q", "-N", "spotless:check"], CLIENTS, timeout=600)
