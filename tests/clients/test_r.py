"""The client for R: R's own check, which builds it, runs its tests and examples and makes its vignettes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.clients.outside import CLIENTS, succeed

pytestmark = pytest.mark.xdist_group("r")

# No index of packages is asked for, which would be a warning where there is no network.
_PROFILE = 'options(repos = c(CRAN = "file:///none"))\n'


def test_check_has_no_errors_and_no_warnings(tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.write_text(_PROFILE)
    more = {"R_PROFILE_USER": str(profile), "_R_CHECK_CRAN_INCOMING_": "false", "_R_CHECK_SYSTEM_CLOCK_": "0"}
    more["RUNWIRE_VECTORS"] = str(CLIENTS / "vectors")
    succeed(["R", "CMD", "build", CLIENTS / "r"], tmp_path, timeout=600, **more)
    package = next(tmp_path.glob("runwire_*.tar.gz"))
    succeed(["R", "CMD", "check", "--as-cran", "--no-manual", package.name], tmp_path, timeout=1200, **more)
    log = (tmp_path / "runwire.Rcheck" / "00check.log").read_text(errors="replace")
    status = re.search(r"^Status: (.*)$", log, re.MULTILINE)
    assert status, log[-4000:]
    assert "ERROR" not in status[1], log[-8000:]
    assert "WARNING" not in status[1], log[-8000:]
