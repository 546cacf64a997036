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
  private final Folding folding;
  private final Map<String, Begin> begins = new ConcurrentHashMap<>();
  private final Set<String> beating = ConcurrentHashMap.newKeySet();
  private volatile Delivery delivery;
  private volatile boolean started;
  private volatile boolean closing;
  private long beat;

  Pipeline(Settings given, Link link) {
    this.given = given;
    this.link = link;
    this.buffer = new Buffer(this::start);
    this.lanes = new Lanes(given, guard, buffer, this::pulse);
    Cutter cutter = new Cutter(lanes, begins);
    this.folding = new Folding(given, guard, buffer, lanes, cutter, this::pulse);
  }

  private void start() {
    started = true;
    beat = System.nanoTime() - HEARTBEAT;
    if (!given.offline()) {
      delivery = new Delivery(given, link, guard);
      lanes.carryBy(delivery::carry);
      delivery.start();
    }
    folding.start();
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
    ended(record.runId);
  }

  /** Adds the end of a run even where there is no room, which may never come. */
  void kill(LogRecord record) {
    buffer.recordAtOnce(record);
    ended(record.runId);
  }

  private void ended(String runId) {
    beating.remove(runId);
    buffer.forget(runId);
  }

  /** Takes in that a run was ended by a call. */
  void endedThere(String runId) {
    ended(runId);
    begins.remove(runId);
  }

  /** Waits until all that was logged is on the server's disk; offline, on this machine's. */
  void flush(long timeout) {
    deliver(timeout);
    raise();
  }

  /** Waits as {@link #flush} does, and leaves it to that to tell of rejections. */
  void deliver(long timeout) {
    if (!isDirty()) {
      return;
    }
    try {
      await(buffer.mark(), timeout, false);
    } catch (InterruptedException interrupted) {
      String then = given.offline() ? "it is written to the disk" : "the delivery goes on";
      throw interrupted(interrupted, then + " all the same", "");
    }
  }

  private RunwireException interrupted(InterruptedException cause, String then, String spool) {
    Thread.currentThread().interrupt();
    Failure failure =
        new Failure("the thread was interrupted while it waited for the delivery; " + then)
            .cause(cause);
    return new CancelledException(spool.isEmpty() ? failure : failure.fact("spool", spool));
  }

  /** Says whether anything is not delivered. */
  boolean isDirty() {
    return isDirty(0);
  }

  /** Says so apart from so many marks; looked at in the order in which it moves on. */
  private boolean isDirty(long marks) {
    if (!started) {
      return false;
    }
    if (buffer.size() > marks || folding.isBusy()) {
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

  private void await(Milestone mark, long timeout, boolean progress) throws InterruptedException {
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
      IOException unsynced = folding.unsynced();
      if (unsynced != null) {
        String why = "the spool " + lanes.spool().place() + " can not be synced: " + unsynced;
        throw new InternalException(new Failure(why).cause(unsynced));
      }
    } finally {
      guard.unlock();
    }
  }

  /** Says whether there is no hope that anything moves on; null if there is. */
  private RunwireException givenUp(long start, long now) {
    if (closing) {
      // By another thread, in whose time it was not delivered.
      return new CancelledException(new Failure("the client was closed meanwhile"));
    }
    if (folding.broken() != null) {
      return folding.broken();
    }
    if (!given.offline()) {
      return delivery.givenUp(start, now);
    }
    String stuck = lanes.stuck();
    return stuck.isEmpty() ? null : new ResourceExhaustedException(new Failure(stuck));
  }

  private RunwireException undelivered(RunwireException error, long waited) {
    Delivery carrying = delivery;
    RunwireException cause = error != null || carrying == null ? error : carrying.contact().away();
    return Losses.undelivered(cause, given.address.text, waited, rest(cause), place());
  }

  /** Where what is not delivered lies; the guard is held. */
  private String place() {
    Lane lane = lanes.current();
    return lane == null ? given.spoolRoot.toString() : lane.frames.place();
  }

  /** Says what is not delivered, clauses; the guard is held. */
  private List<String> rest(RunwireException cause) {
    List<String> clauses = new ArrayList<>();
    Lane lane = lanes.current();
    long frames = lane == null ? 0 : lane.writer.pending();
    if (frames > 0) {
      clauses.add(Losses.waiting(frames, place()));
    }
    String stuck = lanes.stuck();
    if (!stuck.isEmpty()) {
      boolean told = cause != null && cause.getMessage().equals(stuck);
      clauses.add("What was logged last is in memory only" + (told ? "" : ": " + stuck));
    }
    return clauses;
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

  /** Takes nothing more, delivers what was logged, and ends; to be called once. */
  void close(long timeout, boolean progress) {
    Milestone mark = buffer.close();
    InterruptedException interrupted = null;
    try {
      if (isDirty(1)) {
        await(mark, timeout, progress);
      }
      raise();
    } catch (InterruptedException stop) {
      // What follows does not wait for the server.
      interrupted = stop;
    } finally {
      end();
    }
    if (interrupted != null) {
      throw left(interrupted);
    }
  }

  /** Makes the error of a close that was interrupted, once it is known what is left. */
  private RunwireException left(InterruptedException interrupted) {
    guard.lock();
    try {
      Lane lane = lanes.current();
      boolean all = buffer.size() == 0 && (lane == null || lane.writer.pending() == 0);
      String then = all ? "all of it is delivered" : String.join(". ", rest(null));
      return interrupted(interrupted, then, all ? "" : place());
    } finally {
      guard.unlock();
    }
  }

  private void end() {
    guard.lock();
    try {
      lanes.close();
      closing = true;
      folding.close();
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
    folding.join(END_MILLISECONDS);
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
