package dev.runwire.client;

/**
 * The server or its database can not serve right now. The call may or may not have been applied.
 */
public class UnavailableException extends RunwireException {
  private static final long serialVersionUID = 1L;

  UnavailableException(Failure failure) {
    super(StatusCode.UNAVAILABLE, failure);
  }
}
