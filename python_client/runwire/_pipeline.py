"""All that a client logs, on its way: from the buffer through frames and the spool to the server.

Three parties: callers append to the buffer; the folding thread empties it into frames and writes these to
the spool; the delivery thread carries them to the server and trims the spool. The threads start with the
first thing that is logged. Without a server (offline mode) there is no delivery thread.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from runwire import _failures, errors
from runwire._buffer import Buffer, Item, Mark, closed, weight_of
from runwire._channel import Settings, seconds
from runwire._cutter import Begin, Closing, Cutter
from runwire._delivery import Delivery, Lane
from runwire._folding import Fold, Groups, Record
from runwire._lanes import PULSE, Lanes
from runwire._leftovers import offer
from runwire._places import Options
from runwire._process import at_exit, not_at_exit, seconds_into_exit
from runwire._stderr import say

_HEARTBEAT: Final = 30.0
_PROGRESS: Final = 2.0
# What was logged last is on its way to the spool still as the process exits.
_LEAST_AT_EXIT: Final = 1.0


class Pipeline:
    """The way of one client's records.

    Attributes:
        buffer: Where callers put them.
        begins: How the runs that were begun here began.
        beating: The runs to send heartbeats for.
    """

    def __init__(self, given: Settings, options: Options, *, offered: bool = False) -> None:
        """Makes the pipeline; its threads start with the first record.

        Args:
            given: The client's settings.
            options: How to keep what is logged.
            offered: Whether the user was told already of what earlier processes left.
        """
        self._given = given
        self._options = options
        self._guard = threading.Condition(threading.Lock())
        self.buffer = Buffer()
        self._lanes = Lanes(given, options, self._guard, self.buffer, self._pulse)
        self.begins: dict[str, Begin] = {}
        self._starting = threading.Lock()
        self._started = False
        self._closing = False
        self._busy = False
        self._broken: errors.RunwireError | None = None
        self._hooked = False
        # A forked child leaves it to its parent.
        self._offered = offered
        self._before_exit: Callable[[], None] | None = None
        self._delivery: Delivery | None = None
        self._cutter = Cutter(self._lanes, self.begins)
        self._groups = Groups()
        self._thread: threading.Thread | None = None
        self._beat = 0.0
        self.beating: dict[str, None] = {}
        # The buffer wakes a thread that is not there yet: the first record starts it.
        self.buffer.idle = True
        self.buffer.on_wake = self._start

    @property
    def offline(self) -> bool:
        """Whether there is no server."""
        return self._options.offline

    def _start(self) -> None:
        with self._starting:
            if self._started:
                return
            self._started = True
            self.buffer.on_wake = None
            self._hook()
            if not self.offline:
                self._delivery = Delivery(self._given, self._guard)
                self._lanes.carry_by(self._delivery.carry)
                self._delivery.start()
            self._thread = threading.Thread(target=self._run, name="runwire-folding", daemon=True)
            self._thread.start()

    def _hook(self) -> None:
        if not self._hooked:
            self._hooked = True
            at_exit(self.close_at_exit)

    def at_exit_first(self, call: Callable[[], None]) -> None:
        """Has something called at the exit of the process, before what was logged is delivered.

        Args:
            call: What may log more.
        """
        self._before_exit = call
        with self._starting:
            self._hook()

    def _run(self) -> None:
        while not self._closing:
            if self.buffer.wait(PULSE):
                # Before the buffer looks empty.
                self._busy = True
                try:
                    self._fold(self.buffer.drain())
                except Closing:
                    return
                except Exception as error:
                    self._break(error)
                    return
                self._busy = False
                self._offer()
            self._pulse()

    def _break(self, error: Exception) -> None:
        """Ends the folding for good, and lets nobody believe that it goes on."""
        broken = errors.InternalError(f"the client failed, and takes nothing more: {error!r}")
        broken.__cause__ = error
        with self._guard:
            self._broken = broken
            if not self._closing:
                self.buffer.refuse(broken)
            self._guard.notify_all()

    def _fold(self, taken: list[Item]) -> None:
        fold = Fold(self._groups, self._cutter.add)
        weight = 0
        last: Any = None
        columns: Any = None
        for item in taken:
            if item.__class__ is tuple:
                run_id = item[0]
                if run_id is not last:
                    columns, last = fold.columns(run_id), run_id
                key = item[1]
                if key.__class__ is tuple:
                    weight += weight_of(len(key))
                columns[key].append(item)
            elif isinstance(item, Record):
                weight += len(item.data)
                fold.record(item)
                last = None
            elif isinstance(item, Mark):
                fold.finish()
                last = None
                self._cutter.cut()
                with self._guard:
                    item.lane, item.folded = self._lanes.lane, True
                    item.sequence = self._lanes.lane.writer.cut.sequence if self._lanes.lane else 0
                    self._guard.notify_all()
        fold.finish()
        self._cutter.cut()
        self.buffer.release(weight)

    def _offer(self) -> None:
        """Tells once of what earlier processes left."""
        if self._offered or self.offline:
            return
        self._offered = True
        with contextlib.suppress(OSError):
            told = offer(self._options.root)
            if told:
                say(told)

    def _pulse(self) -> None:
        if self._delivery is None:
            return
        self._delivery.watch()
        now = time.monotonic()
        if self.beating and now - self._beat >= _HEARTBEAT:
            self._beat = now
            self._delivery.heartbeat(list(self.beating))

    def record(self, record: Record) -> None:
        """Adds a record that is ready."""
        self.buffer.record(record)

    def begin(self, begin: Begin, records: list[Record]) -> None:
        """Adds the beginning of a run, for which heartbeats are sent from now on."""
        self.begins[begin.message.run.run_id] = begin
        self.keep_alive(begin.message.run.run_id)
        for record in records:
            self.buffer.record(record)

    def keep_alive(self, run_id: str) -> None:
        """Sends heartbeats for a run until it is finished."""
        self.beating[run_id] = None
        if not self.offline:
            self._start()

    def finish(self, record: Record) -> None:
        """Adds the end of a run."""
        self.buffer.record(record)
        self.beating.pop(record.run_id, None)

    def flush(self, timeout: float | None) -> None:
        """Waits until all that was logged is on the server's disk; offline, on this machine's.

        Args:
            timeout: Most seconds; None for the client's.

        Raises:
            RunwireError: Something is not delivered, or was rejected.
        """
        self.deliver(timeout)
        self._raise()

    def deliver(self, timeout: float | None) -> None:
        """Waits as `flush` does, and leaves it to that to tell of rejections.

        Args:
            timeout: Most seconds; None for the client's.

        Raises:
            RunwireError: Something is not delivered.
        """
        if self._started and self.dirty:
            given = self._given.timeout if timeout is None else seconds(timeout)
            self._wait(self.buffer.mark(), time.monotonic(), given, progress=False)

    @property
    def dirty(self) -> bool:
        """Whether there is anything that is not delivered; looked at in the order in which it moves on."""
        if self.buffer.items or self._busy:
            return True
        lane = self._lanes.lane
        return lane is not None and (self.offline or (lane.over is None and lane.writer.pending > 0))

    def _wait(self, mark: Mark, start: float, timeout: float, *, progress: bool) -> None:
        told = start + _PROGRESS
        with self._guard:
            while not self._done(mark):
                now = time.monotonic()
                left = start + timeout - now
                error = self._given_up(start, now)
                if error is not None or left <= 0:
                    raise self._undelivered(error, now - start)
                if progress and now >= told:
                    told = now + _PROGRESS
                    self._say_progress(left)
                self._guard.wait(min(left, 0.5))

    def _done(self, mark: Mark) -> bool:
        if not mark.folded:
            return False
        lane: Lane | None = mark.lane
        if lane is None or lane.over is not None or lane.writer.acked.sequence >= mark.sequence:
            return True
        if self.offline:
            lane.spool.sync()
            return True
        return False

    def _given_up(self, start: float, now: float) -> errors.RunwireError | None:
        """Says whether there is no hope for the server."""
        delivery = self._delivery
        if self._closing:
            # By another thread, in whose time it was not delivered.
            return errors.Cancelled("the client was closed meanwhile")
        if self._broken is not None or delivery is None:
            return self._broken
        if delivery.refusal is not None:
            return delivery.refusal
        never = not delivery.reached and isinstance(delivery.away, errors.ServerUnavailable)
        if self._given.address.folder is not None:
            # One that does not answer yet is being started, or replaced.
            never = isinstance(delivery.away, errors.LocalServerFailed)
        enough = start + self._given.retry.connect_timeout
        if not never or now <= enough:
            return None
        if delivery.failed_at > enough:
            return delivery.away
        # One last attempt: the server may have come since the one before, whose pause may be long.
        delivery.hurry()
        return None

    def _undelivered(self, error: errors.RunwireError | None, waited: float) -> errors.RunwireError:
        delivery = self._delivery
        cause = error or (delivery.away if delivery else None)
        lane = self._lanes.lane
        where = lane.spool.folder if lane else self._options.root
        frames = lane.writer.pending if lane else 0
        memory = len(self.buffer.items)
        return _failures.undelivered(
            cause, self._given.address.text, waited, frames, memory, where, self._lanes.stuck
        )

    def _say_progress(self, left: float) -> None:
        lane = self._lanes.lane
        size = lane.spool.size if lane else 0
        say(f"delivering {size / 1e6:.1f} MB to {self._given.address.text}; giving up in {left:.0f} s")

    def _raise(self) -> None:
        """Raises what went wrong for good, once."""
        delivery = self._delivery
        if delivery is None:
            return
        with self._guard:
            rejections, delivery.rejections = delivery.rejections, []
            ended, delivery.ended = delivery.ended, []
            if rejections and self._lanes.lane is not None:
                self._lanes.lane.spool.notes.told()
        for lane in ended:
            # Nothing is written to it any more, and `runwire sync` may have it.
            lane.spool.close()
        if ended or rejections:
            raise _failures.lost(rejections, ended)

    def close(self, timeout: float | None, *, progress: bool = False) -> None:
        """Delivers what was logged, and ends.

        Args:
            timeout: Most seconds; None for the client's.
            progress: Whether to say on stderr how it goes when it takes long.

        Raises:
            RunwireError: Something is not delivered, or was rejected.
        """
        if self._closing:
            return
        try:
            if self._started and self.dirty:
                given = self._given.timeout if timeout is None else seconds(timeout)
                self._wait(self.buffer.mark(), time.monotonic(), given, progress=progress)
            self._raise()
        finally:
            self._end()

    def _end(self) -> None:
        not_at_exit(self.close_at_exit)
        with self._guard:
            self._closing = self._lanes.closing = True
            self.buffer.refuse(closed())
            self._guard.notify_all()
        self.buffer.hurry()
        if self._delivery is not None:
            self._delivery.stop(5.0)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)
        if self._lanes.lane is not None:
            self._lanes.lane.spool.close()

    def check_online(self, method: str) -> None:
        """Raises where there is no server to ask.

        Args:
            method: What is asked for.

        Raises:
            FailedPrecondition: The mode is offline.
        """
        if self.offline:
            raise errors.FailedPrecondition(
                f"{method} needs a server, and this client is offline (RUNWIRE_MODE); what it logs lies in "
                f"{self._options.root} until `runwire sync` delivers it"
            )

    def before_fork(self) -> None:
        """Comes to a place where no lock that a child needs is held by a thread that it will not have."""
        if self._delivery is not None:
            self._delivery.before_fork()

    def after_fork(self) -> None:
        """Goes on in the parent."""
        if self._delivery is not None:
            self._delivery.after_fork()

    def disown(self) -> None:
        """Has a forked child forget the parent's spool; the parent delivers what is in it."""
        self._closing = self._lanes.closing = True
        if self._lanes.lane is not None:
            self._lanes.lane.spool.release()

    def close_at_exit(self, timeout: float | None = None) -> None:
        """Delivers what was logged as the process ends, and says on stderr what could not be.

        Args:
            timeout: Most seconds; None for what is left of the time that an exit may take, which all
                clients of the process share.
        """
        if self._closing:
            return
        if timeout is None:
            patience = self._options.shutdown_timeout
            timeout = max(patience - seconds_into_exit(), min(patience, _LEAST_AT_EXIT))
        try:
            if self._before_exit is not None:
                self._before_exit()
            self.close(timeout, progress=True)
        except (errors.RunwireError, OSError) as error:
            say(str(error))
