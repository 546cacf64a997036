package dev.runwire.client;

/** Which lifecycle stages a search looks at. */
public enum LifecycleView {
  /** Active only. */
  ACTIVE_ONLY,
  /** Deleted only. */
  DELETED_ONLY,
  /** Both. */
  ALL
}
