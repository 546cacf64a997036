"""MLflow's own clients, for Python and for Java, measured against MLflow's server."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.bench import peers
from tests.bench.client_figures import Figures

HERE: Final = Path(__file__).resolve().parent
_CALLS: Final = 200
_BATCHES: Final = 20


class MlflowFailed(Exception):
    """A client can not be installed, or failed."""


def mlflow_python(address: str, folder: Path, scale: float) -> list[Figures]:
    """Measures the client for Python: with calls that wait, and with its asynchronous ones."""
    peer = next(peer for peer in peers.PEERS if peer.name == "MLflow")
    python = peers.install(peer) / "python"
    found = _figures([str(python), str(HERE / "client.py")], address, scale)
    return [
        _row("MLflow, Python", found["waiting"]),
        _row("MLflow, Python, `synchronous=False`", found["asynchronous"]),
    ]


def mlflow_java(address: str, folder: Path, scale: float) -> list[Figures]:
    """Measures the client for Java."""
    jars = java_class_path(folder)
    if not jars:
        raise MlflowFailed("Maven does not find it")
    command = ["java", "-cp", os.pathsep.join(map(str, jars)), str(HERE / "MlflowFigures.java")]
    return [_row("MLflow, Java", _figures(command, address, scale))]


def _row(name: str, found: dict[str, float]) -> Figures:
    return Figures(name, [found["call_us"]], [found["calls_per_s"]], [found["bulk_per_s"]])


def _figures(command: list[str], address: str, scale: float) -> dict[str, Any]:
    amounts = [str(max(20, int(_CALLS * scale))), str(max(1, int(_BATCHES * scale)))]
    done = subprocess.run(
        [*command, f"http://{address}", *amounts], capture_output=True, text=True, timeout=240, check=False
    )
    if done.returncode != 0:
        raise MlflowFailed(done.stderr[-1000:])
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


@functools.cache
def java_class_path(folder: Path) -> tuple[Path, ...]:
    """Has Maven fetch MLflow's client for Java, and names its jars; none where that fails.

    Args:
        folder: A folder to work in.
    """
    work = folder / "mlflow-java"
    work.mkdir(exist_ok=True)
    shutil.copy(HERE / "pom.xml", work)
    goals = ["-q", "-B", "-ntp", "dependency:build-classpath", "-Dmdep.outputFile=class-path"]
    for offline in (["-o"], []):
        command = ["mvn", *offline, *goals]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return tuple(map(Path, (work / "class-path").read_text().strip().split(os.pathsep)))
    return ()
