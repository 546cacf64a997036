package dev.runwire.client;

/** A place in what was logged, for who waits until all before it is delivered; under the guard. */
final class Milestone {
  /** The writer that took over what stood before; null as long as it did not, or was nothing. */
  Lane lane;

  /** The writer's frame that holds the last of it. */
  long sequence;

  /** Whether all before it is in frames. */
  boolean folded;

  /** Says whether all before it is on the server's disk, or offline on this machine's. */
  boolean isDone(boolean offline) {
    return folded
        && (lane == null
            || offline
            || lane.over != null
            || lane.writer.acked().sequence >= sequence);
  }
}
