"""The generated code is what the generator makes of the protos."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_regenerating_changes_nothing() -> None:
    command = [ROOT / ".venvs/generate/bin/python", ROOT / "protos/generate.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_protos_pass_buf_lint() -> None:
    command = [ROOT / ".venv/bin/buf", "lint", ROOT / "protos"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def broken_promises(protos: Path) -> str:
    """Names what protos have that breaks the image of those that were promised."""
    command = [ROOT / ".venv/bin/buf", "breaking", protos, "--against", ROOT / "protos/image.binpb"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert (done.returncode == 0) == (done.stdout == "")
    return done.stdout


def test_protos_break_nothing_that_was_promised() -> None:
    assert broken_promises(ROOT / "protos") == ""


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("run.proto", "  string run_id = 1;\n", "", "was deleted"),
        ("metric.proto", "sfixed64 min_step = 3;", "int64 min_step = 3;", "changed type"),
        ("error.proto", "ERROR_REASON_RUN_DELETED = 13;", "ERROR_REASON_RUN_GONE = 13;", "changed name"),
        ("server.proto", "  rpc Purge(PurgeRequest) returns (PurgeResponse);", "", "was deleted"),
        ("frame.proto", "dev.runwire.v1", "dev.runwire.v9", "java_package"),
    ],
)
def test_the_image_holds_what_was_promised(
    tmp_path: Path, file: str, before: str, after: str, said: str
) -> None:
    protos = shutil.copytree(ROOT / "protos", tmp_path / "protos")
    changed = protos / "runwire/v1" / file
    text = changed.read_text()
    assert before in text
    changed.write_text(text.replace(before, after, 1))
    assert said in broken_promises(protos)


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
