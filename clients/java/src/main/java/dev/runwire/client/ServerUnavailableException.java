package dev.runwire.client;

/** Nothing answers at the address, or the connection broke and did not come back. */
public final class ServerUnavailableException extends UnavailableException {
  private static final long serialVersionUID = 1L;

  ServerUnavailableException(Failure failure) {
    super(failure);
  }
}
