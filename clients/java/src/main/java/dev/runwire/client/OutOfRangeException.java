package dev.runwire.client;

/** A position lies outside of what exists. */
public final class OutOfRangeException extends RunwireException {
  private static final long serialVersionUID = 1L;

  OutOfRangeException(Failure failure) {
    super(StatusCode.OUT_OF_RANGE, failure);
  }
}
