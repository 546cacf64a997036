package dev.runwire.client;

/** A message is too large, or a disk is full. */
public final class ResourceExhaustedException extends RunwireException {
  private static final long serialVersionUID = 1L;

  ResourceExhaustedException(Failure failure) {
    super(StatusCode.RESOURCE_EXHAUSTED, failure);
  }
}
