package dev.runwire.client;

/** The server does not know the method; it may be older than the client. */
public final class UnimplementedException extends RunwireException {
  private static final long serialVersionUID = 1L;

  UnimplementedException(Failure failure) {
    super(StatusCode.UNIMPLEMENTED, failure);
  }
}
