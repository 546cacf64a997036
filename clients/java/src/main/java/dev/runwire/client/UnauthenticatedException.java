package dev.runwire.client;

/** The token is missing or wrong. */
public final class UnauthenticatedException extends RunwireException {
  private static final long serialVersionUID = 1L;

  UnauthenticatedException(Failure failure) {
    super(StatusCode.UNAUTHENTICATED, failure);
  }
}
