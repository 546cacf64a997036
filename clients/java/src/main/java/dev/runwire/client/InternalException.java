package dev.runwire.client;

/** A bug or a damaged database; the server's log has the story. */
public final class InternalException extends RunwireException {
  private static final long serialVersionUID = 1L;

  InternalException(Failure failure) {
    super(StatusCode.INTERNAL, failure);
  }
}
