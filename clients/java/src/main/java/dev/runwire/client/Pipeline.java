package dev.runwire.client;

import dev.runwire.v1.Rejection;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/**
 * All that a client logs, on its way: from the buffer through frames and the spool to the server.
 *
 * <p>Three parties: callers add to the buffer; the folding thread empties it into frames and writes
 * these to the spool; the delivery thread carries them to the server and trims the spool. The
 * threads start with the first thing that is logged. Without a server there is no delivery thread.
 */
final class Pipeline {
  private static final long HEARTBEAT = TimeUnit.SECONDS.toNanos(30);
  private static final long PROGRESS = TimeUnit.SECONDS.toNanos(2);
  private static final long LOOK = TimeUnit.MILLISECONDS.toNanos(500);
  private static final long END_MILLISECONDS = 5000;

  private final Settings given;
  private final Link link;
  private final Guard guard = new Guard();
  private final Buffer buffer;
  private final Lanes lanes;
  private final Cutter cutter;
  private final Groups groups = new Groups();
  private final Map<String, Begin> begins = new ConcurrentHashMap<>();
  private final Set<String> beating = ConcurrentHashMap.newKeySet();
  private final Leftovers leftovers;
  private volatile Thread thread;
  private volatile Delivery delivery;
  private volatile boolean started;
  private volatile boolean closing;
  private volatile boolean busy;
  // Why the folding ended for good, and why the spool is not on the disk; both under the guard.
  private InternalException broken;
  private IOException unsynced;
  private long weight;
  private long beat;

  Pipeline(Settings given, Link link) {
    this.given = given;
    this.link = link;
    this.buffer = new Buffer(this::start);
    this.lanes = new Lanes(given, guard, buffer, this::pulse);
    this.cutter = new Cutter(lanes, begins);
    this.leftovers = new Leftovers(given.spoolRoot);
  }

  private synchronized void start() {
    if (started || closing) {
      return;
    }
    started = true;
    beat = System.nanoTime() - HEARTBEAT;
    if (!given.offline()) {
      delivery = new Delivery(given, link, guard);
      lanes.carryBy(delivery::carry);
      delivery.start();
    }
    thread = new Thread(this::run, "runwire-folding");
    thread.setDaemon(true);
    buffer.emptiedBy(thread);
    thread.start();
  }

  private void run() {
    try {
      while (!closing) {
        if (buffer.await(Lanes.PULSE)) {
          // Before the buffer looks empty.
          busy = true;
          fold();
          busy = false;
          if (!given.offline()) {
            leftovers.offer();
          }
        }
        pulse();
      }
      // Who closes may not have waited: what came in before outlives the process in the spool.
      busy = true;
      fold();
      busy = false;
    } catch (Lanes.ClosingException closed) {
      // What is in memory and found no room is told by who closes.
      return;
    } catch (RuntimeException | Error failed) {
      breakOff(failed);
    }
  }

  /** Ends the folding for good, and lets nobody believe that it goes on. */
  private void breakOff(Throwable failed) {
    guard.lock();
    try {
      broken =
          new InternalException(
              new Failure("the client failed, and takes nothing more: " + failed).cause(failed));
      if (!closing) {
        buffer.refuse(broken);
      }
      guard.signal();
    } finally {
      guard.unlock();
    }
  }

  private void fold() {
    Fold fold = new Fold(groups, cutter::add);
    weight = 0;
    try {
      buffer.drain((item, value, step, time) -> take(fold, item, value, step, time));
      fold.finish();
      cutter.cut();
    } finally {
      buffer.release(weight);
    }
  }

  private void take(Fold fold, Object item, double value, long step, long time) {
    if (item instanceof KeySet) {
      fold.point((KeySet) item, value, step, time);
    } else if (item instanceof Row) {
      weight += ((Row) item).weight();
      fold.row((Row) item, step, time);
    } else if (item instanceof LogRecord) {
      weight += ((LogRecord) item).data.length;
      fold.record((LogRecord) item);
    } else {
      fold.finish();
      cutter.cut();
      reached((Milestone) item);
    }
  }

  private void reached(Milestone mark) {
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

  private void pulse() {
    Delivery carrying = delivery;
    if (carrying == null) {
      return;
    }
    carrying.watch();
    long now = System.nanoTime();
    if (!beating.isEmpty() && now - beat >= HEARTBEAT) {
      beat = now;
      carrying.heartbeat(new ArrayList<>(beating));
    }
  }

  Buffer buffer() {
    return buffer;
  }

  /** Adds a record that is ready. */
  void record(LogRecord record) {
    buffer.record(record);
  }

  /** Adds the beginning of a run, for which heartbeats are sent from now on. */
  void begin(Begin begin, List<LogRecord> records) {
    begins.put(begin.message.getRun().getRunId(), begin);
    keepAlive(begin.message.getRun().getRunId());
    records.forEach(buffer::record);
  }

  /** Notes how a run began that the server has already. */
  void created(Begin begin) {
    begins.put(begin.message.getRun().getRunId(), begin);
  }

  /** Tells how a run began that was begun or created here; null for others. */
  Begin begun(String runId) {
    return begins.get(runId);
  }

  /** Sends heartbeats for a run until it is finished. */
  void keepAlive(String runId) {
    beating.add(runId);
    if (!given.offline()) {
      buffer.startNow();
    }
  }

  /** Adds the end of a run. */
  void finish(LogRecord record) {
    buffer.record(record);
    beating.remove(record.runId);
    buffer.forget(record.runId);
  }

  /** Waits until all that was logged is on the server's disk; offline, on this machine's. */
  void flush(long timeout) {
    deliver(timeout);
    raise();
  }

  /** Waits as {@link #flush} does, and leaves it to that to tell of rejections. */
  void deliver(long timeout) {
    if (isDirty()) {
      await(buffer.mark(), timeout, false);
    }
  }

  /** Says whether anything is not delivered; looked at in the order in which it moves on. */
  boolean isDirty() {
    if (!started || closing) {
      return false;
    }
    if (buffer.size() > 0 || busy) {
      return true;
    }
    guard.lock();
    try {
      Lane lane = lanes.current();
      return lane != null && (given.offline() || (lane.over == null && lane.writer.pending() > 0));
    } finally {
      guard.unlock();
    }
  }

  private void await(Milestone mark, long timeout, boolean progress) {
    long start = System.nanoTime();
    long told = start + PROGRESS;
    guard.lock();
    try {
      while (!mark.isDone(given.offline())) {
        long now = System.nanoTime();
        long left = start + timeout - now;
        RunwireException error = givenUp(start, now);
        if (error != null || left <= 0) {
          throw undelivered(error, now - start);
        }
        if (progress && now - told >= 0) {
          told = now + PROGRESS;
          sayProgress(left);
        }
        guard.awaitInterruptibly(Math.min(left, LOOK));
      }
      if (unsynced != null) {
        String why = "the spool " + lanes.spool().place() + " can not be synced: " + unsynced;
        throw new InternalException(new Failure(why).cause(unsynced));
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new CancelledException(
          new Failure(
                  "the thread was interrupted while it waited for the delivery; what is logged"
                      + " is delivered all the same")
              .cause(interrupted));
    } finally {
      guard.unlock();
    }
  }

  /** Says whether there is no hope for the server; null if there is. */
  private RunwireException givenUp(long start, long now) {
    Delivery carrying = delivery;
    if (broken != null || carrying == null) {
      return broken;
    }
    if (carrying.refusal() != null) {
      return carrying.refusal();
    }
    long window = Values.nanoseconds("connectTimeout", given.retry.connectTimeout());
    if (carrying.isReached() || now - start <= window) {
      return null;
    }
    // None as long as the first attempt is under way: it has the same window for itself.
    return carrying.away() instanceof ServerUnavailableException ? carrying.away() : null;
  }

  private RunwireException undelivered(RunwireException error, long waited) {
    Delivery carrying = delivery;
    RunwireException cause = error != null || carrying == null ? error : carrying.away();
    Lane lane = lanes.current();
    String place = lane == null ? given.spoolRoot.toString() : lane.frames.place();
    long frames = lane == null ? 0 : lane.writer.pending();
    String where =
        frames + " frames wait in " + place + "; `runwire sync " + place + "` delivers them later";
    long memory = buffer.size();
    if (memory > 0 && !lanes.stuck().isEmpty()) {
      where += ". " + memory + " records are in memory only: " + lanes.stuck();
    }
    return Losses.undelivered(cause, given.address.text, waited, where, place);
  }

  private void sayProgress(long left) {
    Spool spool = lanes.spool();
    Notices.tell(
        String.format(
            java.util.Locale.ROOT,
            "delivering %.1f MB to %s; giving up in %.0f s",
            spool == null ? 0.0 : spool.size() / 1e6,
            given.address.text,
            Values.seconds(left)));
  }

  /** Throws what went wrong for good, once. */
  private void raise() {
    Delivery carrying = delivery;
    if (carrying == null) {
      return;
    }
    List<Rejection> rejections;
    List<Lane> ended;
    guard.lock();
    try {
      rejections = carrying.takeRejections();
      ended = carrying.takeEnded();
      if (!rejections.isEmpty() && lanes.spool() != null) {
        lanes.spool().told();
      }
      if (ended.isEmpty() && rejections.isEmpty()) {
        return;
      }
      RunwireException lost = Losses.lost(rejections, ended);
      for (Lane lane : ended) {
        // Nothing is written to it any more, and `runwire sync` may have it.
        ((Spool) lane.frames).close();
      }
      throw lost;
    } catch (IOException failed) {
      throw new IllegalStateException("the spool can not be looked after: " + failed, failed);
    } finally {
      guard.unlock();
    }
  }

  /** Delivers what was logged, and ends; to be called once. */
  void close(long timeout, boolean progress) {
    synchronized (this) {
      closing = !started;
    }
    try {
      if (isDirty()) {
        await(buffer.mark(), timeout, progress);
      }
      raise();
    } finally {
      end();
    }
  }

  private void end() {
    guard.lock();
    try {
      // Under the guard, so that nobody who finds room takes it back.
      lanes.close();
      buffer.refuse(Link.closed());
      closing = true;
      guard.signal();
    } finally {
      guard.unlock();
    }
    if (!started) {
      return;
    }
    buffer.hurry();
    if (delivery != null) {
      delivery.stop(END_MILLISECONDS);
    }
    Delivery.join(thread, END_MILLISECONDS);
    guard.lock();
    try {
      if (lanes.spool() != null) {
        lanes.spool().close();
      }
    } catch (IOException failed) {
      Notices.tell("the spool " + lanes.spool().place() + " can not be closed: " + failed);
    } finally {
      guard.unlock();
    }
  }

  /** Throws where there is no server to ask. */
  void checkOnline(String method) {
    if (given.offline()) {
      throw new FailedPreconditionException(
          new Failure(
              method
                  + " needs a server, and this client is offline; what it logs lies in "
                  + given.spoolRoot
                  + " until `runwire sync` delivers it"));
    }
    if (closing) {
      throw Link.closed();
    }
  }
}
