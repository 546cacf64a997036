package dev.runwire.client;

/** The canonical gRPC status codes of failures. */
public enum StatusCode {
  /** Other transactions kept getting in the way; nothing was stored. */
  ABORTED,
  /** A name or an id is taken. */
  ALREADY_EXISTS,
  /** The call was cancelled. */
  CANCELLED,
  /** Stored data is damaged. */
  DATA_LOSS,
  /** No answer came within the call's time. The call may or may not have been applied. */
  DEADLINE_EXCEEDED,
  /** The experiment, run or param is not in a state that allows the call. */
  FAILED_PRECONDITION,
  /** A bug or a damaged database; the server's log has the story. */
  INTERNAL,
  /** A field breaks a rule; {@link RunwireException#violations} names each. */
  INVALID_ARGUMENT,
  /** There is no such experiment, run or tag. */
  NOT_FOUND,
  /** A position lies outside of what exists. */
  OUT_OF_RANGE,
  /** The caller may not do this. */
  PERMISSION_DENIED,
  /** A message is too large, or a disk is full. */
  RESOURCE_EXHAUSTED,
  /** The token is missing or wrong. */
  UNAUTHENTICATED,
  /**
   * The server or its database can not serve right now. The call may or may not have been applied.
   */
  UNAVAILABLE,
  /** The server does not know the method; it may be older than the client. */
  UNIMPLEMENTED,
  /** The server failed without saying how. */
  UNKNOWN
}
