package dev.runwire.client;

/** Whether a client has a server. */
public enum Mode {
  /** What is logged is delivered as it comes. */
  ONLINE,
  /** No server is asked: what is logged waits in a folder, for {@code runwire sync} to deliver. */
  OFFLINE
}
