package dev.runwire.client;

/** Other transactions kept getting in the way; nothing was stored. */
public final class AbortedException extends RunwireException {
  private static final long serialVersionUID = 1L;

  AbortedException(Failure failure) {
    super(StatusCode.ABORTED, failure);
  }
}
