"""The generated code is what the generator makes of the protos."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_regenerating_changes_nothing() -> None:
    command = [ROOT / ".venvs/generate/bin/python", ROOT / "protos/generate.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_protos_pass_buf_lint() -> None:
    command = [ROOT / ".venv/bin/buf", "lint", ROOT / "protos"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_proto_names_its_java_package() -> None:
    for proto in (ROOT / "protos/runwire/v1").glob("*.proto"):
        text = proto.read_text()
        for option in (
            "java_multiple_files = true",
            'java_package = "dev.runwire.v1"',
            "java_outer_classname",
        ):
            assert option in text, (proto.name, option)


def test_generated_modules_bring_neither_grpc_nor_the_fluent_layer() -> None:
    script = (
        "import sys, runwire.v1.run_pb2\n"
        "assert 'grpc' not in sys.modules and 'runwire.tracking' not in sys.modules, sys.modules.keys()"
    )
    subprocess.run([ROOT / ".venv/bin/python", "-c", script], check=True)
