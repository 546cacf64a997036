"""Each case with each language."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.cases import Case, expand, load
from tests.conformance.conftest import Shared
from tests.conformance.drivers import languages
from tests.conformance.play import Play, names
from tests.conformance.table import known_failures, title
from tests.support.mounts import mounted
from tests.support.server import ServerProcess


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes a test of each case and language."""
    if "case" not in metafunc.fixturenames:
        return
    only = metafunc.config.getoption("--client", default="")
    if only and only not in languages():
        raise pytest.UsageError(f"there is no client {only}; there are {', '.join(languages())}")
    params = []
    for language in languages():
        if only and language != only:
            continue
        for case in load():
            if language in case.not_for:
                continue
            # Builds of one tool chain must not meet, nor those of its own tests.
            tools = "jvm" if language in ("java", "scala") else language
            marks = [pytest.mark.xdist_group(tools)]
            if case.torture:
                marks += [pytest.mark.torture, pytest.mark.timeout(5_000)]
            elif "build" in languages()[language]:
                # The first of them builds the driver.
                marks.append(pytest.mark.timeout(1_500))
            name = f"{language}-{case.group}-{case.name}".replace("[", "(").replace("]", ")")
            params.append(pytest.param(language, case, id=name, marks=marks))
    metafunc.parametrize(("language", "case"), params)


@pytest.fixture
def small_disk(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """The small file system that a case needs."""
    if case.disk is None:
        yield
        return
    if not request.getfixturevalue("may_mount"):
        pytest.skip("only root may mount small disks")
    with mounted(tmp_path / "disk", case.disk):
        yield


def test_case(
    language: str,
    case: Case,
    shared_server: ServerProcess,
    shared_drivers: Shared,
    own_server: Callable[[dict[str, Any]], ServerProcess],
    small_disk: None,
    tmp_path: Path,
) -> None:
    """Plays a case; one that is known to fail has to."""
    known = known_failures().get(language, {}).get(title(case))
    server = own_server(case.server or {}) if case.own_server else shared_server
    if case.own_driver:
        environment = expand(case.env, names(server, tmp_path))
        driver = shared_drivers.fresh(language, tmp_path / "main", environment)
    else:
        driver = shared_drivers.take(language)
    passed = False
    try:
        Play(case, language, driver, server, tmp_path, shared_drivers.built).run()
        passed = True
    except Exception:
        if known is None:
            raise
    finally:
        if case.own_driver:
            driver.stop()
        elif not passed:
            shared_drivers.drop(language)
    assert known is None or not passed, f"it passes, and is in the list of known failures: {known}"
    if not passed:
        pytest.xfail(str(known))
