package dev.runwire.client;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.locks.LockSupport;

/**
 * A queue of points that any thread adds to without a lock, and one thread empties: columns in a
 * ring, so that adding makes no objects.
 *
 * <p>A thread claims a place by one atomic addition, writes the columns there, and publishes them
 * by writing what they belong to. The emptying thread takes places in their order, and stops at the
 * first that is claimed and not published.
 */
final class Ring {
  static final int CAPACITY = 1 << 17;

  private static final int MASK = CAPACITY - 1;
  // More than there are ever items: what the tail of a closed ring is too large by.
  private static final long CLOSED = 1L << 62;
  private static final VarHandle SLOT = MethodHandles.arrayElementVarHandle(Object[].class);
  private static final VarHandle COUNT = MethodHandles.arrayElementVarHandle(long[].class);
  // Far apart, so that those who add and the one who empties do not share a cache line.
  private static final int TAIL = 16;
  private static final int HEAD = 48;

  private final long[] counts = new long[64];
  private final Object[] items = new Object[CAPACITY];
  private final double[] values = new double[CAPACITY];
  private final long[] steps = new long[CAPACITY];
  private final long[] times = new long[CAPACITY];
  private volatile long end;

  /** Adds an item; the caller has seen that there is about room. */
  void add(Object item, double value, long step, long time) {
    long place = (long) COUNT.getAndAdd(counts, TAIL, 1L);
    if (place >= CLOSED) {
      throw Link.closed();
    }
    put(place, item, value, step, time);
  }

  /** Adds the last item: whatever is added stands before it, and all else is refused. */
  void close(Object item) {
    long place;
    do {
      place = (long) COUNT.getVolatile(counts, TAIL);
      end = place + 1;
    } while (!COUNT.compareAndSet(counts, TAIL, place, place + 1 + CLOSED));
    put(place, item, 0, 0, 0);
  }

  private void put(long place, Object item, double value, long step, long time) {
    while (place - (long) COUNT.getAcquire(counts, HEAD) >= CAPACITY) {
      LockSupport.parkNanos(1_000_000);
    }
    int i = (int) place & MASK;
    values[i] = value;
    steps[i] = step;
    times[i] = time;
    SLOT.setRelease(items, i, item);
  }

  /** Counts what is claimed and not taken; about, for who adds. */
  long size() {
    return end((long) COUNT.getOpaque(counts, TAIL)) - (long) COUNT.getOpaque(counts, HEAD);
  }

  /** Says whether nothing is claimed; for the emptying thread, in order with other volatiles. */
  boolean isEmpty() {
    return end((long) COUNT.getVolatile(counts, TAIL)) == (long) COUNT.getVolatile(counts, HEAD);
  }

  private long end(long tail) {
    return tail < CLOSED ? tail : end;
  }

  /** Takes the items out one by one. */
  interface Taker {
    /** Takes an item with its columns, and says whether to go on. */
    boolean take(Object item, double value, long step, long time);
  }

  /** Hands on what is there now, or a part of it, for the one emptying thread. */
  void drain(Taker taker) {
    long head = (long) COUNT.getOpaque(counts, HEAD);
    long until = end((long) COUNT.getVolatile(counts, TAIL));
    boolean more = true;
    for (; more && head < until; head++) {
      int i = (int) head & MASK;
      Object item = published(i, head);
      items[i] = null;
      more = taker.take(item, values[i], steps[i], times[i]);
      if ((head & 1023) == 0) {
        COUNT.setRelease(counts, HEAD, head + 1);
      }
    }
    COUNT.setVolatile(counts, HEAD, head);
  }

  private Object published(int i, long head) {
    Object item = SLOT.getAcquire(items, i);
    for (int spins = 1; item == null; spins++) {
      // Claimed: its thread is about to publish it, or waits for the places before it.
      Thread.onSpinWait();
      if ((spins & 1023) == 0) {
        COUNT.setRelease(counts, HEAD, head);
        LockSupport.parkNanos(50_000);
      }
      item = SLOT.getAcquire(items, i);
    }
    return item;
  }
}
