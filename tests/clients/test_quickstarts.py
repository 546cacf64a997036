"""The programs of the READMEs, run as they stand there."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.clients.outside import CLIENTS, ROOT, succeed
from tests.support.server import ServerProcess

from runwire import Client

# The server of the clients' own READMEs.
_ADDRESS = "runwire://127.0.0.1:50051"


def quickstart(language: str) -> str:
    """Finds the first program of a language below the README's heading."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return program(language, text[text.index("## Quickstart") :])


def program(language: str, text: str, needs: str = "") -> str:
    """Finds the first block of a language that has some text in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    found = [block for block in blocks if needs in block]
    assert found, f"there is no program in {language}"
    return str(found[0])


def python(source: str, folder: Path, **more: str) -> str:
    """Runs a program in Python."""
    (folder / "quickstart.py").write_text(source)
    return succeed([sys.executable, "quickstart.py"], folder, timeout=600, **more)


def java(source: str, folder: Path, **more: str) -> str:
    """Runs a program in Java, from its source."""
    (folder / "Quickstart.java").write_text(source)
    path = succeed([CLIENTS / "java" / "conformance", "--class-path"], CLIENTS, timeout=1200).strip()
    return succeed(["java", "-cp", path, "Quickstart.java"], folder, timeout=600, **more)


def scala(source: str, folder: Path, **more: str) -> str:
    """Compiles a program in Scala and runs it."""
    (folder / "Quickstart.scala").write_text(source)
    named = re.search(r"^object (\w+)", source, re.MULTILINE)
    assert named, source
    path = succeed([CLIENTS / "scala" / "conformance", "--class-path"], CLIENTS, timeout=1200).strip()
    compiler = succeed([CLIENTS / "scala" / "conformance", "--compiler"], CLIENTS, timeout=1200).strip()
    # The compiler is done before it pays to compile its own code well.
    main = ["java", "-XX:TieredStopAtLevel=1", "-cp", compiler, "scala.tools.nsc.Main", "-classpath", path]
    succeed([*main, "-d", folder, "Quickstart.scala"], folder, timeout=600)
    return succeed(["java", "-cp", f"{path}:{folder}", named[1]], folder, timeout=600, **more)


def r(source: str, folder: Path, **more: str) -> str:
    """Runs a program in R, with the package in the checkout's own library."""
    library = succeed([CLIENTS / "r" / "tests" / "library"], folder, timeout=1800).strip()
    (folder / "quickstart.R").write_text(source)
    return succeed(["Rscript", "quickstart.R"], folder, timeout=600, R_LIBS=library, **more)


def marked(run: Callable[..., str], tools: str) -> object:
    return pytest.param(run, id=run.__name__, marks=pytest.mark.xdist_group(tools))


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[Client, dict[str, str]]]:
    """Runs a server within the block, which gets a client of it and the variables for programs."""
    home = folder / "home"
    home.mkdir()
    with ServerProcess(folder / "data") as server:
        address = f"runwire://{server.address}"
        named = {
            "RUNWIRE_TRACKING_URI": address,
            "RUNWIRE_SPOOL_DIR": str(folder / "spools"),
            "HOME": str(home),
        }
        with Client(address, spool_dir=folder / "mine") as client:
            yield client, named


@pytest.mark.timeout(4_000)
@pytest.mark.parametrize(
    "run", [marked(python, "python"), marked(java, "jvm"), marked(scala, "jvm"), marked(r, "r")]
)
def test_the_quickstart_does_what_it_says(run: Callable[..., str], tmp_path: Path) -> None:
    with serving(tmp_path) as (client, named):
        told = run(quickstart(run.__name__), tmp_path, **named)
        wine = client.get_experiment_by_name("wine")
        assert wine is not None
        (found,) = client.search_runs([wine.experiment_id])
    # A data frame may have no room for the name.
    assert "first" in told or found.info.run_id in told
    assert (found.info.run_name, found.info.status) == ("first", "FINISHED")
    assert found.data.params == {"alpha": "0.1", "l1_ratio": "0.5"}
    rmse = found.data.metric_summaries["rmse"]
    assert (rmse.count, rmse.first, rmse.value, rmse.step) == (100, 1.0, 0.01, 99)


@pytest.mark.timeout(4_000)
@pytest.mark.parametrize("run", [marked(java, "jvm"), marked(scala, "jvm"), marked(r, "r")])
def test_the_program_of_a_client_s_readme_does_what_it_says(run: Callable[..., str], tmp_path: Path) -> None:
    text = (CLIENTS / run.__name__ / "README.md").read_text(encoding="utf-8")
    source = program(run.__name__, text, _ADDRESS)
    with serving(tmp_path) as (client, named):
        run(source.replace(_ADDRESS, named.pop("RUNWIRE_TRACKING_URI")), tmp_path, **named)
        (found,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert (found.info.run_name, found.info.status) == ("first", "FINISHED")
    if run is r:
        assert found.data.params == {"formula": "mpg ~ wt"}
        assert found.data.metric_summaries["r2"].value == pytest.approx(0.7528328)
    else:
        assert found.data.params == {"alpha": "0.1"}
        loss = found.data.metric_summaries["loss"]
        assert (loss.count, loss.first, loss.value, loss.step) == (100, 1.0, 0.01, 99)
