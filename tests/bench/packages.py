"""How large what users install is."""

from __future__ import annotations

import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.mlflow_clients import java_class_path
from tests.conformance.drivers import ROOT, languages

_CLIENTS: Final = ROOT / "clients"
_JARS: Final = (
    ("runwire-client", "java/target/runwire-client-[0-9]*.jar", "Java, without gRPC and protobuf"),
    (
        "runwire-client-shaded",
        "java-shaded/target/runwire-client-shaded-[0-9]*.jar",
        "Java, and all it needs",
    ),
    ("runwire-scala_2.13", "scala/2.13/target/runwire-scala*[0-9].jar", "Scala, on top of runwire-client"),
)

_BESIDE: Final = ("-tests", "-sources", "-javadoc")


@dataclass(frozen=True)
class Size:
    """How large a package is.

    Attributes:
        name: Its name.
        bytes: Its size.
        what: What is in it.
    """

    name: str
    bytes: int
    what: str


def sizes(folder: Path) -> list[Size]:
    """Builds the packages and measures them; also MLflow's for Java where Maven has it.

    Args:
        folder: A folder for what is built.
    """
    found = [Size("runwire, Python", _python(folder), "the client alone, as compressed in a wheel")]
    if "java" in languages():
        found += _jars()
    if "r" in languages():
        found.append(Size("runwire, R", _r(folder), "source package, without vignettes"))
    jars = java_class_path(folder)
    if jars:
        found.append(Size("mlflow-client", sum(jar.stat().st_size for jar in jars), "Java, and all it needs"))
    return found


def _python(folder: Path) -> int:
    package = ROOT / "python_client" / "runwire"
    made = folder / "runwire.zip"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in sorted(package.rglob("*.py*")):
            if path.suffix != ".pyc":
                wheel.write(path, path.relative_to(package.parent))
    return made.stat().st_size


def _jars() -> list[Size]:
    goals = ["-q", "-B", "-ntp", "-pl", "java,java-shaded,scala/2.13", "-am", "-DskipTests", "package"]
    # Without the network where all is there already.
    if subprocess.run(["mvn", "-o", *goals], cwd=_CLIENTS, capture_output=True, check=False).returncode:
        subprocess.run(["mvn", *goals], cwd=_CLIENTS, check=True)
    found = []
    for name, pattern, what in _JARS:
        (jar,) = (path for path in _CLIENTS.glob(pattern) if not path.stem.endswith(_BESIDE))
        found.append(Size(name, jar.stat().st_size, what))
    return found


def _r(folder: Path) -> int:
    build = ["R", "CMD", "build", "--no-build-vignettes", str(_CLIENTS / "r")]
    subprocess.run(build, cwd=folder, capture_output=True, check=True)
    return next(folder.glob("runwire_*.tar.gz")).stat().st_size
