"""What the fluent layer remembers: the client, the experiment, and each thread's stack of runs."""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
import threading
from types import TracebackType
from typing import Any, Final

from runwire import _unasked, errors
from runwire._channel import DEFAULT_ADDRESS, parse_address
from runwire._process import at_fork, at_termination
from runwire._records import final_status
from runwire.client import Client
from runwire.entities import Experiment, Run, RunStatus


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
        # The client of each open run. It stays with it when the session moves.
        self._open: dict[str, Client] = {}
        self._environment_run_used = False
        self.experiment_id: str | None = None
        self.experiment_name: str | None = None
        at_fork(self._forked)

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
        """Goes to another server; the experiment is forgotten, being one of the old server's.

        Runs that are open go on where they are.
        """
        resolved = _resolved(address)
        with self._lock:
            old, self._client = self._client, None
            self._address = self._named = address
            self._resolved = resolved
            self.experiment_id = self.experiment_name = None
            if old is not None:
                self._leave(old)

    def client(self) -> Client:
        """Returns the client, made at the first use and when the address or the mode changes."""
        with self._lock:
            address, found = self.address, self._client
            if found is not None:
                here = found.address == parse_address(address).text
                if here and found.mode == self.mode:
                    return found
                self._client = None
                self._leave(found)
                if not here:
                    # It is one of the old server's.
                    self.experiment_id = self.experiment_name = None
            # Not by default: a spool of offline runs is for whatever server it is delivered to.
            named = self._address or os.environ.get("RUNWIRE_TRACKING_URI")
            made = self._client = Client(address if named else None, mode=self.mode)
            made._pipeline.at_exit_first(self._at_exit)
            return made

    @property
    def mode(self) -> str:
        """The environment's mode."""
        return os.environ.get("RUNWIRE_MODE") or "online"

    def _leave(self, client: Client) -> None:
        """Closes a client that is not the session's any more, unless runs are open that have it."""
        with self._lock:
            needed = client is self._client or client in self._open.values()
        if not needed:
            client.close()

    def client_of(self, run_id: str) -> Client:
        """Returns the client of a run; for one that is not open here the session's.

        That is taken as it is: each call that logs asks, and the address is too dear to look at.
        """
        return self._open.get(run_id) or self._client or self.client()

    def starting_client(self) -> Client:
        """Returns the client of a new run: that of the current run, inside which it is, or the session's."""
        return self.client_of(self.stack[-1].info.run_id) if self.stack else self.client()

    def clients(self) -> list[Client]:
        """Returns the clients with which something may have been logged."""
        with self._lock:
            return list(dict.fromkeys((self.client(), *self._open.values())))

    def _forked(self) -> None:
        """In a forked child: leaves it to the parent to end the runs that are open."""
        self._lock = threading.RLock()
        self._open = {}

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

    def environment_run_again(self) -> None:
        """Has RUNWIRE_RUN_ID hold for the next run: this one was not started."""
        self._environment_run_used = False

    def push(self, run: Run, client: Client) -> ActiveRun:
        """Makes a run of a client this thread's current one."""
        active = ActiveRun(run.info, run.data, run.inputs)
        self._local.stack.append(active)
        self._local.last = run.info.run_id
        with self._lock:
            self._open[run.info.run_id] = client
        at_termination(self._terminated)
        return active

    def end_current(self, status: str) -> None:
        """Ends this thread's current run, if there is one."""
        if not self._local.stack:
            return
        # Before the run is off the stack: who mistypes the status can end it still.
        final_status(status)
        # Off the stack first: a run that can not be ended must not swallow what is logged next.
        run_id = self._local.stack.pop().info.run_id
        self._local.last = run_id
        with self._lock:
            client = self._open.pop(run_id, None) or self.client()
        try:
            client.set_terminated(run_id, status)
        finally:
            self._leave(client)

    def end_through(self, run_id: str, status: str) -> None:
        """Ends a run with those that were started inside it; one that is closed already stays so."""
        if any(run.info.run_id == run_id for run in self._local.stack):
            try:
                self.end_current(status)
            finally:
                # Also where one inside can not be ended.
                self.end_through(run_id, status)

    def _at_exit(self) -> None:
        """Ends the runs that are still open; the client delivers that with the rest."""
        self._end_open(RunStatus.FINISHED)

    def _end_open(self, status: str) -> None:
        with self._lock:
            runs, self._open = list(self._open.items()), {}
        for run_id, client in reversed(runs):
            _unasked.end(client, run_id, status)

    def _terminated(self) -> None:
        """Ends the runs that are open as KILLED; their clients deliver that with the rest."""
        self._end_open(RunStatus.KILLED)


# Module-level state, because a fluent layer has to remember what the last call meant.
SESSION: Final = Session()


def source_tags() -> dict[str, Any]:
    """Says who runs what, by the tag names of MLflow."""
    source = sys.argv[0] if sys.argv and sys.argv[0] else sys.executable
    # A path may hold bytes that are no text.
    tags = {"mlflow.source.name": os.fsencode(source).decode(errors="replace")}
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
