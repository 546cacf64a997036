"""All that a client logs, on its way: from the buffer through frames and the spool to the server.

Three parties: callers append to the buffer; the folding thread empties it into frames and writes these to
the spool; the delivery thread carries them to the server and trims the spool. The threads start with the
first thing that is logged. Without a server (offline mode) there is no delivery thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from runwire import _failures, errors
from runwire._buffer import Buffer, Item, Mark, weight_of
from runwire._channel import Settings, seconds
from runwire._cutter import Begin, Closing, Cutter
from runwire._delivery import Delivery
from runwire._folding import Fold, Groups, Record
from runwire._lanes import PULSE, Lanes
from runwire._leftovers import offer
from runwire._places import Options
from runwire._process import at_exit, not_at_exit, seconds_into_exit
from runwire._stderr import say
from runwire._threads import join
from runwire._waiting import Waiting
from runwire.entities import Run

_HEARTBEAT: Final = 30.0
# How often a coroutine looks for room.
_LOOK: Final = 0.02
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
        self._waiting = Waiting(given, options, self._guard, self._lanes)
        self.begins: dict[str, Begin] = {}
        self._starting = threading.Lock()
        self._started = False
        self._closing = False
        self._busy = False
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
                self._delivery = self._waiting.delivery = Delivery(self._given, self._guard)
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
        try:
            while not self._closing:
                if self.buffer.wait(PULSE):
                    # Before the buffer looks empty.
                    self._busy = True
                    self._fold(self.buffer.drain())
                    self._busy = False
                    self._offer()
                self._pulse()
            # Who closes may not have waited: what came in before outlives the process in the spool.
            self._fold(self.buffer.drain())
        except Closing:
            # What found no room is told by who closes.
            return
        except Exception as error:
            self._break(error)

    def _break(self, error: Exception) -> None:
        """Ends the folding for good, and lets nobody believe that it goes on."""
        broken = errors.InternalError(f"the client failed, and takes nothing more: {error!r}")
        broken.__cause__ = error
        with self._guard:
            self._waiting.broken = broken
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
                if item is taken[-1]:
                    # Who hears that it is reached finds nothing left.
                    self._busy = False
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

    async def add(self, record: Record) -> None:
        """Adds a record as `record` does, and waits on the event loop."""
        (await self.room(len(record.data))).record(record)

    async def room(self, weight: int) -> Buffer:
        """Waits on the event loop, and on no thread, until the buffer takes something.

        Args:
            weight: The bytes of it, by `weight_of`; 0 for a point.

        Returns:
            The buffer, to which it is to be added at once.
        """
        # Room is made by a thread, which knows of no loop.
        while self.buffer.is_full(weight):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)
        return self.buffer

    def record(self, record: Record) -> None:
        """Adds a record that is ready."""
        self.buffer.record(record)

    def begin(self, begin: Begin) -> None:
        """Takes in how a run begins that is named by what is added next; heartbeats are sent from now on."""
        self.begins[begin.message.run.run_id] = begin
        self.keep_alive(begin.message.run.run_id)

    def updated(self, run: Run) -> None:
        """Forgets a run that a call has ended: what is logged for it later finds it on the server."""
        if run.info.end_time is not None:
            self.begins.pop(run.info.run_id, None)
            self.beating.pop(run.info.run_id, None)

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
            self._waiting.wait(self.buffer.mark(), time.monotonic(), given, progress=False)

    @property
    def dirty(self) -> bool:
        """Whether there is anything that is not delivered; looked at in the order in which it moves on."""
        if self.buffer.items or self._busy:
            return True
        lane = self._lanes.lane
        return lane is not None and (self.offline or (lane.over is None and lane.writer.pending > 0))

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
        start = time.monotonic()
        # First, so that nothing is taken any more that nobody waits for.
        self.buffer.close()
        try:
            given = self._given.timeout if timeout is None else seconds(timeout)
            while self._started and self.dirty:
                # Again for what a thread was just about to add.
                self._waiting.wait(self.buffer.mark(), start, given, progress=progress)
                if self.offline and not self.buffer.items:
                    break
            self._raise()
        finally:
            self._end()

    def _end(self) -> None:
        not_at_exit(self.close_at_exit)
        with self._guard:
            self._closing = self._lanes.closing = True
            self._guard.notify_all()
        if self._started:
            self.buffer.hurry()
        if self._delivery is not None:
            self._delivery.stop(5.0)
        if self._thread is not None and self._thread is not threading.current_thread():
            join(self._thread, 5.0)
        with self._guard:
            self._waiting.ended = True
            self._guard.notify_all()
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
        not_at_exit(self.close_at_exit)
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
