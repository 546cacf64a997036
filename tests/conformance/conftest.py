"""The runner's options, its shared drivers and servers, and the table that it prints."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.cases import expand
from tests.conformance.drivers import Driver, build
from tests.conformance.stillness import Stillness
from tests.conformance.table import outcome_table, write
from tests.faults.environments import environment_of
from tests.support.server import ServerProcess

_ID = re.compile(r"test_conformance\.py::test_case\[(\w+)-(\w+)-")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    parser.addoption("--client", default="", help="only this language's driver")
    parser.addoption("--write-table", action="store_true", help="write the table into README.md")


class Outcomes:
    """What became of the cases, by language and group."""

    def __init__(self, config: pytest.Config) -> None:
        """Starts without any."""
        self._config = config
        self.found: dict[tuple[str, str], list[bool]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes a report; with several processes, in the one that gathers them."""
        named = _ID.search(report.nodeid)
        # A known failure is reported as skipped when it has been played.
        if named and (report.when == "call" or report.failed):
            self.found.setdefault((named[1], named[2]), []).append(report.passed)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Prints the table."""
        if not self.found:
            return
        table = outcome_table(self.found)
        terminalreporter.write_sep("-", "conformance")
        terminalreporter.write_line(table)
        if self._config.getoption("--write-table", default=False):
            write(table)


def pytest_configure(config: pytest.Config) -> None:
    """Gathers outcomes where reports come together."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(config), "conformance-outcomes")


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that no case stops."""
    with ServerProcess(tmp_path_factory.mktemp("conformance") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def stillness() -> Stillness:
    """What knows when everything stood still."""
    return Stillness().watch()


class Shared:
    """Drivers that cases use one after the other, and the builds that all of a language need."""

    def __init__(self, folder: Path) -> None:
        """Starts without any."""
        self._folder = folder
        self._drivers: dict[str, Driver] = {}
        self._built: set[str] = set()
        self._count = 0

    def fresh(self, language: str, folder: Path, environment: dict[str, str | None]) -> Driver:
        """Starts a driver for one case."""
        self.built(language)
        return Driver(language, folder, environment)

    def built(self, language: str) -> None:
        """Builds what a language's driver needs, once."""
        if language not in self._built:
            build(language)
            self._built.add(language)

    def take(self, language: str) -> Driver:
        """Returns the driver of a language."""
        self.built(language)
        if language not in self._drivers:
            self._count += 1
            self._drivers[language] = Driver(language, self._folder / f"{language}-{self._count}")
        return self._drivers[language]

    def drop(self, language: str) -> None:
        """Ends a driver after a case that failed, since nobody knows what it holds."""
        found = self._drivers.pop(language, None)
        if found is not None:
            found.stop()


@pytest.fixture(scope="session")
def shared_drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """The shared drivers."""
    shared = Shared(tmp_path_factory.mktemp("drivers"))
    yield shared
    for language in list(shared._drivers):
        shared.drop(language)


@pytest.fixture
def own_server() -> Iterator[Callable[[dict[str, Any], Path], ServerProcess]]:
    """Makes a server of the case's own in a folder."""
    started: list[ServerProcess] = []

    def make(given: dict[str, Any], folder: Path) -> ServerProcess:
        folder.mkdir(exist_ok=True)
        known = {"folder": str(folder), "tests": str(Path(__file__).resolve().parents[1] / "client")}
        options = expand(list(given.get("options", ())), known)
        environment = environment_of(given["planted"]) if "planted" in given else {}
        for name, content in given.get("files", {}).items():
            (folder / name).write_text(content)
        server = ServerProcess(folder / "server", *options, environment=environment)
        started.append(server)
        return server.start()

    yield make
    for server in started:
        if server.process:
            server.kill()
