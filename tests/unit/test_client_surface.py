"""What `import runwire` offers, and what it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import runwire
from runwire.aio import AsyncClient
from runwire.client import Client

PACKAGE = Path(runwire.__file__).parent


def loaded(statement: str) -> set[str]:
    """Returns the modules that a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout.split()
    )


def test_all_is_sorted_and_true() -> None:
    assert runwire.__all__ == sorted(runwire.__all__)
    for name in runwire.__all__:
        assert getattr(runwire, name) is not None
    assert set(runwire._HOME) | {"__version__", "errors"} == set(runwire.__all__)
    assert set(runwire.__all__) <= set(dir(runwire))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="log_artefact"):
        runwire.log_artefact  # noqa: B018


def test_the_generated_code_is_cheap_to_import() -> None:
    modules = loaded("import runwire.v1")
    assert not {name for name in modules if name.split(".")[0] in ("grpc", "google", "numpy")}
    assert "runwire.tracking" not in modules
    assert "grpc" not in loaded("from runwire.v1 import run_pb2")


def test_errors_need_no_import_of_their_own() -> None:
    assert "grpc" not in loaded("import runwire; runwire.errors.NotFound")


def test_the_client_needs_grpc_and_protobuf_only() -> None:
    modules = {name.partition(".")[0] for name in loaded("import runwire; runwire.Client; runwire.start_run")}
    assert not modules & {"numpy", "pandas", "click", "rich", "runwire_server"}


def test_the_async_client_has_the_methods_of_the_sync_one() -> None:
    def shape(kind: type) -> dict[str, str]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {
            name: str(inspect.signature(method)).replace("AsyncMetricWatch", "MetricWatch")
            for name, method in methods
            if not name.startswith("_")
        }

    assert shape(AsyncClient) == shape(Client)
    # A watch is iterated over, not awaited.
    for name in shape(AsyncClient).keys() - {"watch_metrics"}:
        assert inspect.iscoroutinefunction(getattr(AsyncClient, name))


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.name)
def test_modules_keep_their_size(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
