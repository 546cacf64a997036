"""What the fluent layer remembers: the client, the experiment, and each thread's stack of runs."""

from __future__ import annotations

import atexit
import contextlib
import getpass
import os
import sys
import threading
import time
from types import TracebackType
from typing import Any, Final

from runwire import errors
from runwire._channel import DEFAULT_ADDRESS, parse_address
from runwire.client import Client
from runwire.entities import Experiment, Run, RunStatus

# How long ending the open runs may hold up the interpreter's exit, seconds.
_EXIT_SECONDS: Final = 2.0


class ActiveRun(Run):
    """A run that this thread logs to; as a context manager it ends the run."""

    def __enter__(self) -> ActiveRun:
        """Returns the run."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the run: FINISHED, KILLED on Ctrl-C, FAILED on any other exception.

        Runs that were started inside and are still open end with it. If the run can not be ended while
        an exception is on its way, that is added to the exception as a note, and does not replace it.
        """
        try:
            SESSION.end_through(self.info.run_id, _status_after(error))
        except errors.RunwireError as failure:
            if error is None:
                raise
            error.add_note(f"runwire could not end the run {self.info.run_id}: {failure}")


def _status_after(error: BaseException | None) -> RunStatus:
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return RunStatus.FINISHED
    return RunStatus.KILLED if isinstance(error, KeyboardInterrupt) else RunStatus.FAILED


def _resolved(address: str) -> str:
    found = parse_address(address)
    return address if found.folder is None else str(found.folder)


class _Local(threading.local):
    """Each thread's own part."""

    def __init__(self) -> None:
        self.stack: list[ActiveRun] = []
        self.last: str | None = None


class Session:
    """The fluent layer's state: client and experiment are the process's, runs are each thread's."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._local = _Local()
        self._address: str | None = None
        self._named = self._resolved = ""
        self._client: Client | None = None
        self._pid = os.getpid()
        self._open: dict[str, None] = {}
        self._environment_run_used = False
        self._exit_hooked = False
        self.experiment_id: str | None = None

    @property
    def address(self) -> str:
        """The server's address: set, or the environment's, or the default.

        A folder is the one that it was when it was first named, wherever the process goes then.
        """
        named = self._address or os.environ.get("RUNWIRE_TRACKING_URI") or DEFAULT_ADDRESS
        if named != self._named:
            self._named, self._resolved = named, _resolved(named)
        return self._resolved

    def move(self, address: str) -> None:
        """Goes to another server; the experiment is forgotten, being one of the old server's."""
        resolved = _resolved(address)
        with self._lock:
            if self._client is not None and self._pid == os.getpid():
                self._client.close()
            self._client = None
            self._address = self._named = address
            self._resolved = resolved
            self.experiment_id = None

    def client(self) -> Client:
        """Returns the client, made at the first use in each process.

        A forked child must not touch the channel that it inherits: gRPC's threads are not in it. It makes
        its own client, and leaves it to the parent to end the runs that were open.
        """
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._client = None
                self._open = {}
            if self._client is None or self._client.address != parse_address(self.address).text:
                self._client = Client(self.address)
            return self._client

    @property
    def stack(self) -> list[ActiveRun]:
        """This thread's open runs, the current one last."""
        return self._local.stack

    @property
    def last(self) -> str | None:
        """Id of the run that this thread used last."""
        return self._local.last

    def environment_run(self) -> str | None:
        """Returns RUNWIRE_RUN_ID once: the next run that is started is another one."""
        with self._lock:
            if self._environment_run_used:
                return None
            found = os.environ.get("RUNWIRE_RUN_ID") or None
            self._environment_run_used = found is not None
            return found

    def push(self, run: Run) -> ActiveRun:
        """Makes a run this thread's current one."""
        active = ActiveRun(run.info, run.data, run.inputs)
        self._local.stack.append(active)
        self._local.last = run.info.run_id
        with self._lock:
            self._open[run.info.run_id] = None
            if not self._exit_hooked:
                self._exit_hooked = True
                atexit.register(self._at_exit)
        return active

    def end_current(self, status: str) -> None:
        """Ends this thread's current run, if there is one."""
        if not self._local.stack:
            return
        # Off the stack first: a run that can not be ended must not swallow what is logged next.
        run_id = self._local.stack.pop().info.run_id
        self._local.last = run_id
        with self._lock:
            self._open.pop(run_id, None)
        self.client().finish_run(run_id, status)

    def end_through(self, run_id: str, status: str) -> None:
        """Ends a run with those that were started inside it; one that is closed already stays so."""
        while any(run.info.run_id == run_id for run in self._local.stack):
            self.end_current(status)

    def _at_exit(self) -> None:
        """Ends the runs that are still open, and never holds up the exit for long."""
        with self._lock:
            if self._pid != os.getpid() or not self._open:
                return
            runs, self._open = list(self._open), {}
        deadline = time.monotonic() + _EXIT_SECONDS
        for run_id in reversed(runs):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            try:
                self.client().finish_run(run_id, RunStatus.FINISHED, timeout=left)
            except (errors.RunwireError, ValueError, OSError) as error:
                print(f"runwire: the run {run_id} is left open: {error}", file=sys.stderr)


# The one module-level state of the client: a fluent layer has to remember what the last call meant.
SESSION: Final = Session()


def source_tags() -> dict[str, Any]:
    """Says who runs what, by the tag names of MLflow."""
    tags = {"mlflow.source.name": sys.argv[0] if sys.argv and sys.argv[0] else sys.executable}
    tags["mlflow.source.type"] = "LOCAL"
    # A user id without a name, as in many containers.
    with contextlib.suppress(OSError, KeyError, ImportError):
        tags["mlflow.user"] = getpass.getuser()
    return tags


def get_or_create_experiment(client: Client, name: str) -> Experiment:
    """Returns the experiment of a name, created if there is none."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return found
    try:
        return client.get_experiment(client.create_experiment(name))
    except errors.AlreadyExists as error:
        # Another process of the same job was faster.
        return client.get_experiment(error.metadata["experiment_id"])
