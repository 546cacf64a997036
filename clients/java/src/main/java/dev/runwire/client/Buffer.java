package dev.runwire.client;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Where callers leave what they log, until a thread empties it.
 *
 * <p>{@link #point} is what a training loop pays. The memory of what waits here is bounded; who
 * logs faster than it is emptied waits.
 */
final class Buffer {
  private static final int MOST_ITEMS = 100_000;
  private static final long MOST_BYTES = 32L * 1024 * 1024;
  private static final int MOST_KNOWN = 300_000;
  private static final int MOST_ROW_KEYS = 200_000;
  private static final long LINGER = TimeUnit.MILLISECONDS.toNanos(50);

  private final Runnable onFirst;
  private final Map<String, Keys> runs = new ConcurrentHashMap<>();
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition room = lock.newCondition();
  private volatile Ring ring;
  private volatile int most = MOST_ITEMS;
  private volatile boolean idle;
  private volatile boolean hurried;
  private volatile Thread emptying;
  private volatile long bytes;
  private RuntimeException refusal;
  private Milestone last;

  /**
   * Makes an empty buffer.
   *
   * @param onFirst called before the first item is added
   */
  Buffer(Runnable onFirst) {
    this.onFirst = onFirst;
  }

  /** The keys of one run that were seen before, and so are known to keep the rules. */
  static final class Keys {
    final String runId;
    private final Map<String, KeySet> single = new ConcurrentHashMap<>();
    private final Map<List<String>, KeySet> rows = new ConcurrentHashMap<>();

    Keys(String runId) {
      this.runId = runId;
    }

    KeySet single(String key) {
      KeySet found = single.get(Objects.requireNonNull(key, "key"));
      return found != null ? found : admit(key);
    }

    private KeySet admit(String key) {
      Rules.key(key, "blocks[0].keys[0]");
      if (single.size() >= MOST_KNOWN) {
        single.clear();
      }
      return single.computeIfAbsent(key, text -> new KeySet(runId, List.of(text)));
    }

    KeySet row(List<String> keys) {
      KeySet found = rows.get(keys);
      if (found != null) {
        return found;
      }
      if (keys.size() > MOST_ROW_KEYS) {
        throw new IllegalArgumentException(
            "logMetrics takes at most " + MOST_ROW_KEYS + " metrics, and got " + keys.size());
      }
      keys.forEach(key -> Rules.key(key, "blocks[0].keys[0]"));
      if ((long) rows.size() * Math.max(1, keys.size()) >= MOST_KNOWN) {
        rows.clear();
      }
      return rows.computeIfAbsent(List.copyOf(keys), names -> new KeySet(runId, names));
    }
  }

  /** Finds the known keys of a run, whose id is checked when it is new here. */
  Keys keys(String runId) {
    Keys found = runs.get(Objects.requireNonNull(runId, "runId"));
    if (found != null) {
      return found;
    }
    if (runs.size() >= MOST_KNOWN) {
      runs.clear();
    }
    return runs.computeIfAbsent(Rules.runId(runId), Keys::new);
  }

  /** Forgets the keys of a run that is over. */
  void forget(String runId) {
    runs.remove(runId);
  }

  void point(KeySet series, double value, long step, long time) {
    Ring to = ring;
    if (to == null) {
      to = open();
    }
    if (to.size() >= most) {
      waitForPlace();
    }
    to.add(series, value, step, time);
    if (idle) {
      wake();
    }
  }

  void row(Row row, long step, long time) {
    add(row, row.weight(), step, time);
  }

  void record(LogRecord record) {
    add(record, record.data.length, 0, 0);
  }

  /** Adds a record even where there is no room, for who does not wait. */
  void recordAtOnce(LogRecord record) {
    Ring to = ring;
    if (to == null) {
      to = open();
    }
    lock.lock();
    try {
      bytes += record.data.length;
    } finally {
      lock.unlock();
    }
    to.add(record, 0, 0, 0);
    if (idle) {
      wake();
    }
  }

  private void add(Object item, long weight, long step, long time) {
    Ring to = ring;
    if (to == null) {
      to = open();
    }
    weigh(weight);
    try {
      if (to.size() >= most) {
        waitForPlace();
      }
    } catch (RuntimeException refused) {
      release(weight);
      throw refused;
    }
    to.add(item, 0, step, time);
    if (idle) {
      wake();
    }
  }

  /** Marks the place that has been reached, and has all before it go on its way at once. */
  Milestone mark() {
    lock.lock();
    try {
      if (last != null) {
        return last;
      }
      Milestone mark = new Milestone();
      ring.add(mark, 0, 0, 0);
      hurry();
      return mark;
    } finally {
      lock.unlock();
    }
  }

  /** Takes nothing more, for good, and marks the place behind all that was taken. */
  Milestone close() {
    lock.lock();
    try {
      refuse(Link.closed());
      last = new Milestone();
      if (ring != null) {
        ring.close(last);
        hurry();
      }
      return last;
    } finally {
      lock.unlock();
    }
  }

  /** Has what empties the buffer started, though nothing is logged yet. */
  void startNow() {
    if (ring == null) {
      open();
    }
  }

  private Ring open() {
    lock.lock();
    try {
      if (refusal != null) {
        throw again(refusal);
      }
      if (ring == null) {
        ring = new Ring();
        idle = true;
        onFirst.run();
      }
      return ring;
    } finally {
      lock.unlock();
    }
  }

  /** Takes room for something heavy; waits for it. */
  private void weigh(long weight) {
    if (weight == 0) {
      return;
    }
    lock.lock();
    try {
      while (bytes + weight > MOST_BYTES && bytes > 0) {
        stand();
      }
      bytes += weight;
    } finally {
      lock.unlock();
    }
  }

  private void waitForPlace() {
    lock.lock();
    try {
      while (ring.size() >= most) {
        stand();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Waits for room, the lock held. */
  private void stand() {
    if (refusal != null) {
      throw again(refusal);
    }
    hurried = true;
    wake();
    try {
      room.await(100, TimeUnit.MILLISECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new CancelledException(
          new Failure("the thread was interrupted while it waited for room").cause(interrupted));
    }
  }

  /** Makes an error of this call of one that many calls get. */
  private static RuntimeException again(RuntimeException refusal) {
    return refusal instanceof RunwireException
        ? ((RunwireException) refusal)
            .retold(refusal.getMessage())
            .of(((RunwireException) refusal).code())
        : Link.closed();
  }

  /** Has all further calls throw an error, until it is null; no more once the buffer is closed. */
  void refuse(RuntimeException error) {
    lock.lock();
    try {
      if (last == null) {
        refusal = error;
        most = error == null ? MOST_ITEMS : 0;
        room.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  private void wake() {
    idle = false;
    LockSupport.unpark(emptying);
  }

  /** Has the buffer emptied at once. */
  void hurry() {
    hurried = true;
    wake();
  }

  /** Counts what waits here. */
  long size() {
    Ring from = ring;
    return from == null || from.isEmpty() ? 0 : Math.max(1, from.size());
  }

  /** Says which thread empties the buffer. */
  void emptiedBy(Thread thread) {
    emptying = thread;
  }

  /**
   * Sleeps until there is something, and a little longer, so that it comes in heaps.
   *
   * @param timeout most nanoseconds
   * @return whether there is something
   */
  boolean await(long timeout) {
    if (ring.isEmpty()) {
      idle = true;
      // Who added before it saw that must not wait for the next one.
      long deadline = System.nanoTime() + timeout;
      while (idle && ring.isEmpty() && deadline - System.nanoTime() > 0) {
        LockSupport.parkNanos(this, deadline - System.nanoTime());
      }
      idle = false;
    }
    if (!ring.isEmpty()) {
      long deadline = System.nanoTime() + LINGER;
      while (!hurried && deadline - System.nanoTime() > 0) {
        LockSupport.parkNanos(this, deadline - System.nanoTime());
      }
    }
    hurried = false;
    return !ring.isEmpty();
  }

  void drain(Ring.Taker taker) {
    ring.drain(taker);
  }

  /** Says that what was taken out is in frames, or forgotten. */
  void release(long weight) {
    lock.lock();
    try {
      bytes -= weight;
      room.signalAll();
    } finally {
      lock.unlock();
    }
  }
}
