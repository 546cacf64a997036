"""Drivers as processes: started, asked, ended."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
# Variables of the runner's own that would change what a client does.
_NOT_PASSED: Final = ("RUNWIRE_", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
# More than the clients' own, which say better what they wait for.
PATIENCE: Final = 180.0
# What clients have for a call and for their first connection: far more than a machine stands still for.
CLIENTS: Final = 120.0
_ENDING: Final = 60.0
_BUILD_PATIENCE: Final = 1_200.0


def languages() -> dict[str, dict[str, Any]]:
    """Reads how drivers are started, by language."""
    return dict(json.loads((HERE / "drivers.json").read_text(encoding="utf-8")))


def _command(parts: list[str]) -> list[str]:
    program, *rest = [part.replace("{python}", sys.executable) for part in parts]
    return [str(ROOT / program), *rest]


def build(language: str) -> None:
    """Builds what a driver needs.

    Raises:
        RuntimeError: It can not be built.
    """
    command = languages()[language].get("build")
    if command is None:
        return
    done = subprocess.run(
        _command(command), cwd=ROOT, capture_output=True, text=True, timeout=_BUILD_PATIENCE, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{language}: {' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")


class DriverFailed(Exception):
    """A driver that ended, hung, or said what is no answer."""


class Driver:
    """A driver.

    Attributes:
        language: Its language.
        pid: The process that holds its clients.
    """

    def __init__(self, language: str, folder: Path, environment: dict[str, str | None] | None = None) -> None:
        """Starts it, and waits for its first line.

        Args:
            language: The language.
            folder: Its home, where it runs and where its spools go.
            environment: More variables; None takes one away.
        """
        self.language = language
        folder.mkdir(parents=True, exist_ok=True)
        passed = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_PASSED)}
        given: dict[str, str | None] = {
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "RUNWIRE_SPOOL_DIR": str(folder / "spools"),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            **(environment or {}),
        }
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            _command(languages()[language]["command"]),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            env={**passed, **{name: value for name, value in given.items() if value is not None}},
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        assert self._process.stdin
        assert self._process.stdout
        self._in: TextIO = self._process.stdin
        self._out: TextIO = self._process.stdout
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._number = 0
        self._due = 0
        self.pid = self._first_line()

    def _first_line(self) -> int:
        """Waits until it is there, and returns the process that holds its clients."""
        try:
            return int(self._line(PATIENCE)["pid"])
        except BaseException:
            self.stop()
            raise

    def _read(self) -> None:
        for line in self._out:
            self._lines.put(line)
        self._lines.put(None)

    def _line(self, timeout: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise DriverFailed(
                f"the {self.language} driver did not answer in {timeout} s\n{self.stderr}"
            ) from None
        if line is None:
            raise DriverFailed(f"the {self.language} driver ended\n{self.stderr}")
        try:
            return dict(json.loads(line))
        except ValueError:
            raise DriverFailed(f"the {self.language} driver said {line!r}\n{self.stderr}") from None

    @property
    def stderr(self) -> str:
        """What it wrote to standard error so far."""
        # By its own place in the file, which the process shares.
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), size, 0).decode("utf-8", "replace")

    def send(self, op: str, args: dict[str, Any]) -> None:
        """Sends a request, whose answer is then due."""
        self._number += 1
        self._due += 1
        try:
            self._in.write(json.dumps({"id": self._number, "op": op, "args": args}) + "\n")
            self._in.flush()
        except OSError:
            raise DriverFailed(f"the {self.language} driver is gone\n{self.stderr}") from None

    def receive(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Waits for the next answer."""
        answer = self._line(timeout)
        self._due -= 1
        if answer.get("id") != self._number - self._due:
            raise DriverFailed(f"the {self.language} driver answered out of turn: {answer}")
        return answer

    def waits(self, seconds: float) -> bool:
        """Tells whether no answer comes for so long."""
        try:
            self._lines.put(self._lines.get(timeout=seconds))
        except queue.Empty:
            return True
        return False

    def ask(self, op: str, args: dict[str, Any], timeout: float = PATIENCE) -> dict[str, Any]:
        """Sends a request and waits for its answer."""
        self.send(op, args)
        return self.receive(timeout)

    def threads_and_files(self) -> tuple[int, int]:
        """Counts the threads and the open files of the process that holds the clients."""
        return len(os.listdir(f"/proc/{self.pid}/task")), len(os.listdir(f"/proc/{self.pid}/fd"))

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends a signal to the process that holds the clients."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """Has that process stand still meanwhile."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        """Ends its input."""
        with contextlib.suppress(OSError):
            self._in.close()

    def wait(self, timeout: float = PATIENCE) -> int:
        """Waits for its end, and returns its exit code."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise DriverFailed(
                f"the {self.language} driver did not end in {timeout} s\n{self.stderr}"
            ) from None

    def stop(self) -> None:
        """Ends it, whatever state it is in."""
        self.end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING)
        # What it started may live on and hold its output open.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_ENDING)
        self._reader.join(_ENDING)
        self._stderr.close()
        # Closing waits for who reads.
        if self._reader.is_alive():
            raise DriverFailed(f"something that the {self.language} driver started holds its output")
        self._out.close()
