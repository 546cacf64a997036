package dev.runwire.client;

/** Whether a run or an experiment is in use. */
public enum LifecycleStage {
  /** In use. */
  ACTIVE,
  /** Deleted softly: readable, not writable, restorable until purged. */
  DELETED,
  /** Not asked for, or newer than this client. */
  UNKNOWN
}
