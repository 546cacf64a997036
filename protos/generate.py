"""Generates what is made from the protos; `--check` fails when that would change a file.

That is python_client/runwire/v1, and in clients/r the descriptors and the functions of raw calls.

Run by the interpreter of an environment that holds `protos/requirements.txt` and nothing else
(`make generate` makes it). The generator is old on purpose: output of grpcio-tools 1.62.3 (protoc
25.1) runs on protobuf 4.25 to 7.x and on grpcio from 1.62.3, output of a newer one does not.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import grpc_tools
import r_functions
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
PACKAGE = Path("runwire/v1")
TARGET = PROTOS.parent / "python_client"
R_PACKAGE = PROTOS.parent / "clients" / "r"
DESCRIBED = "described.binpb"


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
        f"--descriptor_set_out={out / DESCRIBED}",
        "--include_imports",
        "--include_source_info",
        *files,
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")


def made(out: Path) -> dict[Path, bytes]:
    """Lists what was generated below `out`, by where it belongs."""
    found = {TARGET / PACKAGE / p.name: p.read_bytes() for p in (out / PACKAGE).iterdir()}
    for path, data in r_functions.files((out / DESCRIBED).read_bytes()).items():
        found[R_PACKAGE / path] = data
    return found


def differences(fresh: dict[Path, bytes]) -> list[Path]:
    """Names the files that differ between what was generated and what is committed."""
    places = [*(TARGET / PACKAGE).glob("*_pb2*"), *(R_PACKAGE / path for path in r_functions.PATHS)]
    kept = {p: p.read_bytes() for p in places if p.exists()}
    return sorted(p for p in fresh.keys() | kept.keys() if fresh.get(p) != kept.get(p))


def main() -> None:
    """Entry point."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = made(Path(folder))
    changed = differences(fresh)
    if "--check" in sys.argv[1:]:
        if changed:
            names = ", ".join(path.name for path in changed)
            raise SystemExit(f"generated code is out of step: {names} (run: make generate)")
        return
    for path in changed:
        if path in fresh:
            path.write_bytes(fresh[path])
        else:
            path.unlink()
    print(f"{len(changed)} files changed")


if __name__ == "__main__":
    main()
