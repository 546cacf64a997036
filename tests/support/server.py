"""A real server process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

# One that does not end, or says nothing, for so many seconds hangs: a machine may stand still for a while.
PATIENCE = 120


class ServerProcess:
    """`runwire server` as a child; `start` and `kill` or `stop` may alternate.

    Attributes:
        address: `host:port` while it runs, or `unix:path`; the port stays the same over restarts.
        log: Its standard error so far.
        arguments: Further arguments of the next start.
        environment: Further variables of the next start.
    """

    def __init__(
        self,
        data_dir: Path,
        *arguments: str,
        prefix: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.arguments = arguments
        self.prefix = prefix
        self.address = ""
        self.environment = environment or {}
        self._port = 0
        self._log = data_dir.with_name(data_dir.name + ".log")
        self.process: subprocess.Popen[str] | None = None

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def pid(self) -> int:
        return int(self.ready["pid"])

    @property
    def ready(self) -> dict[str, Any]:
        """What it wrote when it was ready."""
        text = self.data_dir.with_name(self.data_dir.name + ".ready").read_text()
        return dict(json.loads(text))

    def start(self) -> ServerProcess:
        """Starts it, and waits for its ready line."""
        ready_file = self.data_dir.with_name(self.data_dir.name + ".ready")
        command = [
            *self.prefix,
            sys.executable,
            "-m",
            "runwire_server",
            "--data-dir",
            str(self.data_dir),
            "--grpc-port",
            str(self._port),
            "--ready-file",
            str(ready_file),
            *self.arguments,
        ]
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        assert self.process.stdout
        line = self.process.stdout.readline()
        found = re.search(r"ready at (?:runwires?://)?(\S+)", line)
        if not found:
            self.process.wait()
            raise RuntimeError(f"the server did not start: {line}{self.log}")
        self.address = found.group(1)
        if not self.address.startswith("unix:"):
            self._port = int(self.address.rsplit(":", 1)[1])
        return self

    def kill(self) -> None:
        """Ends it as kill -9 does."""
        assert self.process
        # It may have died by itself.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._reap()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Asks it to stop, and returns its exit code."""
        assert self.process
        os.kill(self.pid, number)
        return self._reap()

    def freeze(self) -> None:
        """Lets it hang, its connections open, until `thaw`."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """Lets it go on."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGCONT)

    def runs(self) -> bool:
        """Tells whether it has not ended by itself."""
        assert self.process
        return self.process.poll() is None

    def wait(self, timeout: float = PATIENCE) -> int:
        """Waits until it ends by itself, and returns its exit code."""
        return self._reap(timeout)

    def _reap(self, timeout: float = PATIENCE) -> int:
        assert self.process
        code = self.process.wait(timeout)
        if self.process.stdout:
            self.process.stdout.close()
        self.process = None
        return code

    def __enter__(self) -> ServerProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process:
            self.kill()
