package dev.runwire.client;

/** A name or an id is taken. */
public final class AlreadyExistsException extends RunwireException {
  private static final long serialVersionUID = 1L;

  AlreadyExistsException(Failure failure) {
    super(StatusCode.ALREADY_EXISTS, failure);
  }
}
