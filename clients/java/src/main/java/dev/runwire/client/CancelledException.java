package dev.runwire.client;

/** The call was cancelled. */
public final class CancelledException extends RunwireException {
  private static final long serialVersionUID = 1L;

  CancelledException(Failure failure) {
    super(StatusCode.CANCELLED, failure);
  }
}
