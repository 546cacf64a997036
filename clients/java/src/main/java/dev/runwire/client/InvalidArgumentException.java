package dev.runwire.client;

/** A field breaks a rule; {@link #violations} names each. */
public final class InvalidArgumentException extends RunwireException {
  private static final long serialVersionUID = 1L;

  InvalidArgumentException(Failure failure) {
    super(StatusCode.INVALID_ARGUMENT, failure);
  }
}
