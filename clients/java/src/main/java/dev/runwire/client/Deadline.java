package dev.runwire.client;

/** When a call has to be over: all its parts share it, the wait for what was logged included. */
final class Deadline {
  private final long end;

  private Deadline(long end) {
    this.end = end;
  }

  /** Starts the time of a call. */
  static Deadline in(long nanoseconds) {
    return new Deadline(System.nanoTime() + nanoseconds);
  }

  /** Returns the nanoseconds that are left; not more than 0 once it is over. */
  long left() {
    return end - System.nanoTime();
  }
}
