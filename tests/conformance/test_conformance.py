"""Each case with each language."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.conformance.cases import Case, expand, load
from tests.conformance.conftest import Shared
from tests.conformance.drivers import languages
from tests.conformance.play import Play, StepFailed, names
from tests.conformance.stillness import Stillness
from tests.conformance.table import known_failures, title
from tests.support.mounts import mounted
from tests.support.server import ServerProcess

_PLAYS: Final = 10


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
    own_server: Callable[[dict[str, Any], Path], ServerProcess],
    small_disk: None,
    stillness: Stillness,
    tmp_path: Path,
) -> None:
    """Plays a case; one that is known to fail has to."""
    known = known_failures().get(language, {}).get(title(case))

    def play(folder: Path) -> None:
        server = own_server(case.server or {}, folder) if case.own_server else shared_server
        if case.own_driver:
            environment = expand(case.env, names(server, folder))
            driver = shared_drivers.fresh(language, folder / "main", environment)
        else:
            driver = shared_drivers.take(language)
        passed = False
        try:
            Play(case, language, driver, server, folder, shared_drivers.built, stillness).run()
            passed = True
        finally:
            if case.own_driver:
                driver.stop()
            elif not passed:
                shared_drivers.drop(language)

    for number in range(_PLAYS):
        before = stillness.times()
        try:
            play(tmp_path / str(number) if number else tmp_path)
            break
        except Exception as failure:
            # What hangs does so by itself.
            brief = case.again and isinstance(failure, StepFailed)
            if brief and stillness.times() > before and number < _PLAYS - 1:
                print(f"all stood still, so it is played again: {failure}")
                continue
            if known is None:
                raise
            pytest.xfail(str(known))
    assert known is None, f"it passes, and is in the list of known failures: {known}"
