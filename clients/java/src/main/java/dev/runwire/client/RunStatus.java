package dev.runwire.client;

/** What a run is doing. */
public enum RunStatus {
  /** It runs. */
  RUNNING,
  /** It waits for its turn. */
  SCHEDULED,
  /** It ended well. */
  FINISHED,
  /** It ended with an error. */
  FAILED,
  /** It was ended from outside. */
  KILLED,
  /**
   * It sent heartbeats once, and then was silent for two minutes. The next write makes it RUNNING
   * again.
   */
  LOST,
  /** Not asked for, or newer than this client. */
  UNKNOWN
}
