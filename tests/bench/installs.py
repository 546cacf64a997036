"""How long it takes a user to install the client for R, which is compiled then.

python -m tests.bench.installs
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.drivers import ROOT

_PACKAGE = ROOT / "clients" / "r"
_LEFT_OUT = shutil.ignore_patterns("library", "*.o", "*.so", "grpc.found")


@dataclass(frozen=True)
class Installation:
    """How long an installation took.

    Attributes:
        name: What was installed, and how.
        wall_s: From its start to its end, seconds.
        cpu_s: What it took of processors, seconds: the better figure on a machine that others use too.
    """

    name: str
    wall_s: float
    cpu_s: float


def r_package(folder: Path) -> Installation:
    """Installs the package as `R CMD INSTALL` does by itself, with the distribution's flags.

    Args:
        folder: A folder for what is built.
    """
    copy, library, none = folder / "r-source" / "runwire", folder / "r-library", folder / "Makevars"
    shutil.copytree(_PACKAGE, copy, ignore=_LEFT_OUT)
    library.mkdir()
    # Nor the user's own flags.
    none.touch()
    kept = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "R_LIBS")}
    began, before = time.monotonic(), _processors()
    subprocess.run(
        ["R", "CMD", "INSTALL", f"--library={library}", copy],
        env={**kept, "R_MAKEVARS_USER": str(none)},
        capture_output=True,
        check=True,
    )
    return Installation("R CMD INSTALL, Debian's flags", time.monotonic() - began, _processors() - before)


def _processors() -> float:
    """Returns the seconds of processors that processes took that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bench-installs-") as name:
        print(r_package(Path(name)))
