"""The quickstarts of the README, run as they stand there."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients.outside import CLIENTS, ROOT, succeed
from tests.support.server import ServerProcess

from runwire import Client


def quickstart(language: str) -> str:
    """Finds the first block of a language below the heading."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## Quickstart") :]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found, f"the README has no quickstart in {language}"
    return found[1]


def python(source: str, folder: Path, **more: str) -> str:
    """Runs a program in Python."""
    (folder / "quickstart.py").write_text(source)
    return succeed([sys.executable, "quickstart.py"], folder, timeout=120, **more)


def java(source: str, folder: Path, **more: str) -> str:
    """Runs a program in Java, from its source."""
    (folder / "Quickstart.java").write_text(source)
    path = succeed([CLIENTS / "java" / "conformance", "--class-path"], CLIENTS, timeout=1200).strip()
    return succeed(["java", "-cp", path, "Quickstart.java"], folder, timeout=300, **more)


def scala(source: str, folder: Path, **more: str) -> str:
    """Compiles a program in Scala and runs it."""
    (folder / "Quickstart.scala").write_text(source)
    path = succeed([CLIENTS / "scala" / "conformance", "--class-path"], CLIENTS, timeout=1200).strip()
    compiler = succeed([CLIENTS / "scala" / "conformance", "--compiler"], CLIENTS, timeout=1200).strip()
    # The compiler is done before it pays to compile its own code well.
    main = ["java", "-XX:TieredStopAtLevel=1", "-cp", compiler, "scala.tools.nsc.Main", "-classpath", path]
    succeed([*main, "-d", folder, "Quickstart.scala"], folder, timeout=300)
    return succeed(["java", "-cp", f"{path}:{folder}", "Quickstart"], folder, timeout=120, **more)


def r(source: str, folder: Path, **more: str) -> str:
    """Runs a program in R, with the package in the checkout's own library."""
    library = succeed([CLIENTS / "r" / "tests" / "library"], folder, timeout=900).strip()
    (folder / "quickstart.R").write_text(source)
    return succeed(["Rscript", "quickstart.R"], folder, timeout=120, R_LIBS=library, **more)


def marked(run: Callable[..., str], tools: str) -> object:
    return pytest.param(run, id=run.__name__, marks=pytest.mark.xdist_group(tools))


@pytest.mark.timeout(2_000)
@pytest.mark.parametrize(
    "run", [marked(python, "python"), marked(java, "jvm"), marked(scala, "jvm"), marked(r, "r")]
)
def test_the_quickstart_does_what_it_says(run: Callable[..., str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with ServerProcess(tmp_path / "data") as server:
        address = f"runwire://{server.address}"
        told = run(
            quickstart(run.__name__),
            tmp_path,
            RUNWIRE_TRACKING_URI=address,
            RUNWIRE_SPOOL_DIR=str(tmp_path / "spools"),
            HOME=str(home),
        )
        with Client(address, spool_dir=tmp_path / "mine") as client:
            wine = client.get_experiment_by_name("wine")
            assert wine is not None
            (found,) = client.search_runs([wine.experiment_id])
    # A data frame may have no room for the name.
    assert "first" in told or found.info.run_id in told
    assert (found.info.run_name, found.info.status) == ("first", "FINISHED")
    assert found.data.params == {"alpha": "0.1", "l1_ratio": "0.5"}
    rmse = found.data.metric_summaries["rmse"]
    assert (rmse.count, rmse.first, rmse.value, rmse.step) == (100, 1.0, 0.01, 99)
