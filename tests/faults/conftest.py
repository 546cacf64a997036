"""What some of these tests may do on this machine."""

from __future__ import annotations

import subprocess

import pytest
from tests.faults.mounts import mounted


@pytest.fixture(scope="module")
def may_mount(tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Whether this process may mount file systems; not even every root may."""
    try:
        with mounted(tmp_path_factory.mktemp("mount") / "data", "1m"):
            return True
    except subprocess.CalledProcessError:
        return False
