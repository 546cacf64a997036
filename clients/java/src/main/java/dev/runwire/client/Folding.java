package dev.runwire.client;

import java.io.IOException;

/** The thread that empties the buffer into frames, and has these written to the spool. */
final class Folding {
  private final Settings given;
  private final Guard guard;
  private final Buffer buffer;
  private final Lanes lanes;
  private final Cutter cutter;
  private final Runnable pulse;
  private final Groups groups = new Groups();
  private final Leftovers leftovers;
  private final Thread thread;
  private volatile boolean closing;
  private volatile boolean busy;
  // Why it ended for good, and why the spool is not on the disk; both under the guard.
  private InternalException broken;
  private IOException unsynced;
  // Of what is being taken out, its thread's own.
  private long weight;
  private Milestone mark;

  /**
   * Makes the thread; {@link #start} starts it.
   *
   * @param pulse called about every second
   */
  Folding(Settings given, Guard guard, Buffer buffer, Lanes lanes, Cutter cutter, Runnable pulse) {
    this.given = given;
    this.guard = guard;
    this.buffer = buffer;
    this.lanes = lanes;
    this.cutter = cutter;
    this.pulse = pulse;
    this.leftovers = new Leftovers(given.spoolRoot);
    this.thread = Threads.daemon(this::run, "runwire-folding");
  }

  void start() {
    buffer.emptiedBy(thread);
    thread.start();
  }

  /** Whether something is taken out of the buffer and not all of it is in frames. */
  boolean isBusy() {
    return busy;
  }

  /** Why it ended for good, or null; the guard is held. */
  InternalException broken() {
    return broken;
  }

  /** Why what was to be synced is not, or null; the guard is held. */
  IOException unsynced() {
    return unsynced;
  }

  /** Has it end behind what is in the buffer; the guard is held. */
  void close() {
    closing = true;
  }

  void join(long milliseconds) {
    Threads.join(thread, milliseconds);
  }

  private void run() {
    try {
      while (!closing) {
        if (buffer.await(Lanes.PULSE)) {
          foldAll();
          if (!given.offline()) {
            leftovers.offer();
          }
        }
        pulse.run();
      }
      // Who closes may not have waited: what came in before outlives the process in the spool.
      foldAll();
    } catch (Lanes.ClosingException closed) {
      // What is in memory and found no room is told by who closes.
      return;
    } catch (RuntimeException | Error failed) {
      breakOff(failed);
    }
  }

  /** Ends for good, and lets nobody believe that it goes on. */
  private void breakOff(Throwable failed) {
    guard.lock();
    try {
      broken =
          new InternalException(
              new Failure("the client failed, and takes nothing more: " + failed).cause(failed));
      buffer.refuse(broken);
      guard.signal();
    } finally {
      guard.unlock();
    }
  }

  private void foldAll() {
    do {
      foldToMark();
      if (mark != null) {
        reached();
      }
    } while (mark != null);
  }

  /**
   * Empties the buffer as far as the next mark: who learns that it is reached finds nothing left.
   */
  private void foldToMark() {
    Fold fold = new Fold(groups, cutter::add);
    weight = 0;
    mark = null;
    try {
      buffer.drain((item, value, step, time) -> take(fold, item, value, step, time));
      fold.finish();
      cutter.cut();
    } finally {
      buffer.release(weight);
    }
    busy = false;
  }

  private boolean take(Fold fold, Object item, double value, long step, long time) {
    if (item instanceof Milestone) {
      mark = (Milestone) item;
      return false;
    }
    if (!busy) {
      // Before the buffer looks empty; once, as writing it costs more than looking.
      busy = true;
    }
    if (item instanceof KeySet) {
      fold.point((KeySet) item, value, step, time);
    } else if (item instanceof Row) {
      weight += ((Row) item).weight();
      fold.row((Row) item, step, time);
    } else {
      weight += ((LogRecord) item).data.length;
      fold.record((LogRecord) item);
    }
    return true;
  }

  private void reached() {
    guard.lock();
    try {
      Lane lane = lanes.current();
      if (given.offline() && lane != null) {
        sync();
      }
      mark.lane = lane;
      mark.sequence = lane == null ? 0 : lane.writer.cut().sequence;
      mark.folded = true;
      guard.signal();
    } finally {
      guard.unlock();
    }
  }

  private void sync() {
    try {
      lanes.spool().sync();
      unsynced = null;
    } catch (IOException failed) {
      // For who waits: what is not synced now is tried again by the next who does.
      unsynced = failed;
    }
  }
}
