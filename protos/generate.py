"""Generates python_client/runwire/v1 from the protos; `--check` fails when that would change a file.

Run by the interpreter of an environment that holds `protos/requirements.txt` and nothing else
(`make generate` makes it). The generator is old on purpose: output of grpcio-tools 1.62.3 (protoc
25.1) runs on protobuf 4.25 to 7.x and on grpcio from 1.62.3, output of a newer one does not.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
PACKAGE = Path("runwire/v1")
TARGET = PROTOS.parent / "python_client"


def generate(out: Path) -> None:
    """Writes the generated modules below `out`; raises SystemExit if protoc fails."""
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    files = sorted(str(p.relative_to(PROTOS)) for p in (PROTOS / PACKAGE).glob("*.proto"))
    bin_dir = Path(sys.executable).parent
    arguments = [
        "protoc",
        f"--proto_path={PROTOS}",
        f"--proto_path={well_known}",
        f"--plugin=protoc-gen-mypy={bin_dir}/protoc-gen-mypy",
        f"--plugin=protoc-gen-mypy_grpc={bin_dir}/protoc-gen-mypy_grpc",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        *files,
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")


def differences(out: Path) -> list[str]:
    """Names the files that differ between `out` and the committed ones."""
    fresh = {p.name: p.read_bytes() for p in (out / PACKAGE).iterdir()}
    kept = {p.name: p.read_bytes() for p in (TARGET / PACKAGE).glob("*_pb2*")}
    return sorted(n for n in fresh.keys() | kept.keys() if fresh.get(n) != kept.get(n))


def main() -> None:
    """Entry point."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        generate(out)
        changed = differences(out)
        if "--check" in sys.argv[1:]:
            if changed:
                raise SystemExit(f"generated code is out of step: {', '.join(changed)} (run: make generate)")
            return
        for name in changed:
            source, target = out / PACKAGE / name, TARGET / PACKAGE / name
            if source.exists():
                target.write_bytes(source.read_bytes())
            else:
                target.unlink()
        print(f"{len(changed)} files changed")


if __name__ == "__main__":
    main()
