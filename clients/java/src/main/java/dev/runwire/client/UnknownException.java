package dev.runwire.client;

/** The server failed without saying how. */
public final class UnknownException extends RunwireException {
  private static final long serialVersionUID = 1L;

  UnknownException(Failure failure) {
    super(StatusCode.UNKNOWN, failure);
  }
}
