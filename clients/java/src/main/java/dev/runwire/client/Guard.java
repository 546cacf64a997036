package dev.runwire.client;

import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/** Guards lanes and writers; signalled whenever something changes. */
final class Guard {
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();

  void lock() {
    lock.lock();
  }

  void unlock() {
    lock.unlock();
  }

  void signal() {
    changed.signalAll();
  }

  /** Waits for a change, for own threads, which nobody interrupts. */
  void await(long nanoseconds) {
    try {
      changed.awaitNanos(nanoseconds);
    } catch (InterruptedException stray) {
      // The state is looked at anew either way.
      return;
    }
  }

  /** Waits for a change, for callers, whose interruption ends the wait. */
  void awaitInterruptibly(long nanoseconds) throws InterruptedException {
    changed.awaitNanos(nanoseconds);
  }
}
