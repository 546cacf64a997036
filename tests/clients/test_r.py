"""The client for R: R's own check, which runs its tests and examples and makes its vignettes, and how it installs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.clients.outside import CLIENTS, environment, succeed

PACKAGE = CLIENTS / "r"

# No index of packages is asked for, which would be a warning where there is no network.
_PROFILE = 'options(repos = c(CRAN = "file:///none"))\n'
# Notes that may be there, by the name of the check, and why.
_NOTES = {
    "CRAN incoming feasibility": "the package is new",
    "installed package size": "compiled code with debugging information is large",
    "for future file timestamps": "no clock of the network's is asked",
}


@pytest.mark.xdist_group("r")
def test_check_has_no_errors_and_no_warnings(tmp_path: Path) -> None:
    library = Path(succeed([PACKAGE / "tests" / "library"], tmp_path, timeout=600).strip())
    profile = tmp_path / "profile"
    profile.write_text(_PROFILE)
    more = {"R_PROFILE_USER": str(profile), "_R_CHECK_CRAN_INCOMING_": "false", "_R_CHECK_SYSTEM_CLOCK_": "0"}
    more |= {"RUNWIRE_VECTORS": str(CLIENTS / "vectors"), "R_LIBS": str(library)}
    # Vignettes are made with a build of their own, which nobody keeps.
    quick = tmp_path / "quick"
    quick.write_text("CXX17FLAGS = -O0 -g0\n")
    succeed(["R", "CMD", "build", PACKAGE], tmp_path, timeout=600, **more, R_MAKEVARS_USER=str(quick), MAKEFLAGS="-j2")
    package = next(tmp_path.glob("runwire_*.tar.gz"))
    installed = [f"--library={library}", f"--install=check:{library / 'install.log'}"]
    succeed(["R", "CMD", "check", "--as-cran", "--no-manual", *installed, package.name], tmp_path, timeout=1200, **more)
    log = (tmp_path / "runwire.Rcheck" / "00check.log").read_text(errors="replace")
    status = re.search(r"^Status: (.*)$", log, re.MULTILINE)
    assert status, log[-4000:]
    assert "ERROR" not in status[1], log[-8000:]
    assert "WARNING" not in status[1], log[-8000:]
    noted = re.findall(r"^\* checking (.*?) \.\.\. (?:\[.*\] )?NOTE", log, re.MULTILINE)
    assert set(noted) <= set(_NOTES), log[-8000:]


def test_without_grpc_the_installation_says_in_one_line_what_to_install(tmp_path: Path) -> None:
    # What pkg-config says where the libraries are not there.
    done = subprocess.run(
        ["./configure"],
        cwd=PACKAGE,
        env={**environment(), "PKG_CONFIG": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = (done.stdout + done.stderr).splitlines()
    assert "apt-get install libgrpc++-dev" in line
