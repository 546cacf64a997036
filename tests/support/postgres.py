"""A PostgreSQL of the tests' own: Debian's binaries, a temporary folder, a socket and no port."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path

import asyncpg


def binaries() -> Path:
    """Returns the folder of initdb and postgres; raises if PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise RuntimeError("PostgreSQL is not installed (make test installs it)")
    return found[-1].parent


class Postgres:
    """One instance; `start` and `kill` may alternate."""

    def __init__(self) -> None:
        # Short, since socket paths end at 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="rwpg", dir="/tmp"))
        # PostgreSQL refuses to run as root. Another program changes the user: if Popen does, it forks with
        # gRPC's handlers, by which the child may die before it has begun.
        root = os.getuid() == 0
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if root else []
        if root:
            shutil.chown(self.folder, "postgres", "postgres")
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: subprocess.Popen[bytes] | None = None
        self._run(
            "initdb",
            "-D",
            str(self.folder / "data"),
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        )

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(binaries() / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/")

    def start(self) -> None:
        """Starts it, and waits until it takes connections."""
        arguments = ["-D", str(self.folder / "data"), "-k", str(self.folder), "-c", "listen_addresses="]
        self._process = subprocess.Popen(
            [*self._as, str(binaries() / "postgres"), *arguments, "-c", "max_connections=200"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )
        assert self._process.stderr
        said = []
        for line in self._process.stderr:
            said.append(line.decode(errors="replace"))
            if b"ready to accept connections" in line:
                break
        else:
            raise RuntimeError(f"PostgreSQL did not start: {''.join(said)}")
        # Somebody must read on, or it blocks on a full pipe.
        self._reader = subprocess.Popen(["cat"], stdin=self._process.stderr, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        # Its backends lead sessions of their own, and a new start fails while one of them is left.
        pid, *backends = self._stopped()
        ends = [os.pidfd_open(backend) for backend in backends]
        for victim in (pid, *backends):
            os.kill(victim, signal.SIGKILL)
        self._reap()
        for end in ends:
            select.select([end], [], [])
            os.close(end)

    def _stopped(self) -> list[int]:
        """Stops the process that makes the others; returns its number and theirs, which are all there are."""
        assert self._process
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)
        # Until then it may still make some, and reap some.
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def stop_immediately(self) -> None:
        """Ends it as `pg_ctl stop -m immediate` does: its processes quit without a word to the disk."""
        assert self._process
        self._process.send_signal(signal.SIGQUIT)
        self._reap()

    def _reap(self) -> None:
        assert self._process
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()
        if self._reader:
            self._reader.wait()
        self._process = self._reader = None

    def hang(self) -> None:
        """Has all of it stand still, with its connections open."""
        for backend in self._stopped()[1:]:
            os.kill(backend, signal.SIGSTOP)

    def go_on(self) -> None:
        """Takes `hang` back."""
        pid, *backends = self._stopped()
        for each in (*backends, pid):
            os.kill(each, signal.SIGCONT)

    def close(self) -> None:
        """Ends it, and removes its folder."""
        if self._process:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """Returns the URL of a database."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    async def create_database(self) -> str:
        """Makes an empty database, and returns its URL."""
        name = f"t{uuid.uuid4().hex}"
        connection = await asyncpg.connect(host=str(self.folder), user="postgres", database="postgres")
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        return self.url(name)
