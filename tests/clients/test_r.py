"""The client for R: R's own check, which runs its tests, examples and vignettes; and how it installs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.clients.outside import CLIENTS, ROOT, environment, succeed

PACKAGE = CLIENTS / "r"

# An index of packages without any: none is asked for, which would be a warning where there is no network.
_PROFILE = 'options(repos = c(CRAN = "file://{folder}"))\n'
# What `R CMD build` does for vignettes, but that it would compile the package once more for that.
_VIGNETTES = """
tools::buildVignettes(dir = ".", tangle = TRUE)
made <- tools::pkgVignettes(dir = ".", output = TRUE, source = TRUE)
results <- c(made$outputs, unlist(made$sources))
dir.create("inst/doc")
stopifnot(file.copy(c(made$docs, results), "inst/doc"), file.remove(results))
dir.create("build")
saveRDS(tools:::.build_vignette_index(made), "build/vignette.rds")
"""
_LEFT_OUT = shutil.ignore_patterns("library", "*.o", "*.so", "grpc.found")
# Notes that may be there, by the name of the check, and why.
_NOTES = {
    "installed package size": "gRPC's templates make compiled code large",
    "compiled code": "it was compiled before, and its objects are not there",
}


def check_log(folder: Path, library: Path) -> str:
    """Builds the package and checks it as it is installed, without asking the network; returns the log."""
    index = folder / "none" / "src" / "contrib"
    index.mkdir(parents=True)
    (index / "PACKAGES").touch()
    (folder / "profile").write_text(_PROFILE.format(folder=folder / "none"))
    more = {
        "R_PROFILE_USER": str(folder / "profile"),
        "R_LIBS": str(library),
        "RUNWIRE_VECTORS": str(CLIENTS / "vectors"),
        "RUNWIRE_CERTIFICATES": str(ROOT / "tests" / "client"),
        "_R_CHECK_CRAN_INCOMING_": "false",
        "_R_CHECK_SYSTEM_CLOCK_": "0",
    }
    copy = folder / "runwire"
    shutil.copytree(PACKAGE, copy, ignore=_LEFT_OUT)
    (folder / "vignettes.R").write_text(_VIGNETTES)
    succeed(["Rscript", folder / "vignettes.R"], copy, timeout=900, **more)
    succeed(["R", "CMD", "build", "--no-build-vignettes", copy], folder, timeout=900, **more)
    package = next(folder.glob("runwire_*.tar.gz"))
    options = [
        "--as-cran",
        "--no-manual",
        f"--library={library}",
        f"--install=check:{library / 'install.log'}",
    ]
    succeed(["R", "CMD", "check", *options, package.name], folder, timeout=3600, **more)
    return (folder / "runwire.Rcheck" / "00check.log").read_text(errors="replace")


def documents(package: Path) -> dict[str, str]:
    """Returns the texts of a package that are made of its comments, by their names."""
    return {path.name: path.read_text() for path in (package / "NAMESPACE", *package.glob("man/*.Rd"))}


@pytest.mark.xdist_group("r")
@pytest.mark.timeout(7_500)
def test_check_has_no_errors_and_no_warnings(tmp_path: Path) -> None:
    library = Path(succeed([PACKAGE / "tests" / "library"], tmp_path, timeout=1800).strip())
    log = check_log(tmp_path, library)
    status = re.search(r"^Status: (.*)$", log, re.MULTILINE)
    assert status, log[-4000:]
    assert "ERROR" not in status[1], log[-8000:]
    assert "WARNING" not in status[1], log[-8000:]
    noted = re.findall(r"^\* checking (.*?) \.\.\. (?:\[.*\] )?NOTE", log, re.MULTILINE)
    assert set(noted) <= set(_NOTES), log[-8000:]
    told = (tmp_path / "runwire.Rcheck" / "tests" / "testthat.Rout").read_text(errors="replace")
    assert "FAIL 0 | WARN 0 | SKIP 0 |" in told, told[-4000:]


@pytest.mark.xdist_group("r")
@pytest.mark.timeout(3_000)
def test_tests_without_a_server_and_without_the_vectors_leave_out_what_needs_them(tmp_path: Path) -> None:
    library = succeed([PACKAGE / "tests" / "library"], tmp_path, timeout=1800).strip()
    # Outside of the repository nothing is found beside the tests.
    tests = shutil.copytree(PACKAGE / "tests" / "testthat", tmp_path / "tests" / "testthat")
    run = "testthat::test_dir('.', package = 'runwire', reporter = 'check', load_package = 'installed')"
    told = succeed(["Rscript", "-e", run], tests, timeout=900, R_LIBS=library, RUNWIRE_SERVER_COMMAND="")
    counted = re.search(r"FAIL (\d+) \| WARN (\d+) \| SKIP (\d+) \| PASS (\d+)", told)
    assert counted, told[-4000:]
    failed, warned, skipped, passed = map(int, counted.groups())
    assert (failed, warned) == (0, 0), told[-8000:]
    assert skipped > 0, told[-4000:]
    assert passed > 0, told[-4000:]


@pytest.mark.xdist_group("r")
@pytest.mark.timeout(3_000)
def test_the_documents_and_the_namespace_are_what_roxygen_makes_of_the_comments(tmp_path: Path) -> None:
    library = succeed([PACKAGE / "tests" / "library"], tmp_path, timeout=1800).strip()
    copy = tmp_path / "runwire"
    shutil.copytree(PACKAGE, copy, ignore=_LEFT_OUT)
    made = ["Rscript", "-e", f"roxygen2::roxygenise('{copy}', load_code = 'installed')"]
    succeed(made, tmp_path, timeout=900, R_LIBS=library)
    assert documents(copy) == documents(PACKAGE)


def test_no_document_has_markdown_that_was_not_understood() -> None:
    texts = documents(PACKAGE)
    # A fence that breaks off leaves what follows as it was written.
    left = {name for name, text in texts.items() if re.search(r"\[(runwire|rpc)_|```", text)}
    assert left == set()
    package = texts["runwire-package.Rd"]
    parts = re.findall(r"^\\(description|details|section\{\w+\}|examples)\{", package, re.MULTILINE)
    assert parts == ["description", "details", "section{Environment}", "section{Numbers}", "examples"]
    details = package[package.index("\\details{") : package.index("\\section{Environment}")]
    assert details.startswith("\\details{\nWhat is logged returns at once")
    assert "runwire_with_run({" in package[package.index("\\examples{") :]


def test_without_grpc_the_installation_says_in_one_line_what_to_install(tmp_path: Path) -> None:
    copy = tmp_path / "runwire"
    shutil.copytree(PACKAGE, copy, ignore=_LEFT_OUT)
    # What says where libraries are knows of none.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "pkg-config").write_text("#!/bin/sh\nexit 1\n")
    (tools / "pkg-config").chmod(0o755)
    (tmp_path / "library").mkdir()
    done = subprocess.run(
        ["R", "CMD", "INSTALL", f"--library={tmp_path / 'library'}", copy],
        env={**environment(), "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    said = [line for line in (done.stdout + done.stderr).splitlines() if "runwire needs" in line]
    assert said == [
        "runwire needs gRPC for C++: apt-get install libgrpc++-dev libprotobuf-dev zlib1g-dev pkg-config"
    ]
