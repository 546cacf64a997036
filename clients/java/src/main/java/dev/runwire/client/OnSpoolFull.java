package dev.runwire.client;

/** What a call that logs does while the spool is full. */
public enum OnSpoolFull {
  /** It waits until there is room. */
  BLOCK,
  /** It throws {@link ResourceExhaustedException}. */
  ERROR
}
