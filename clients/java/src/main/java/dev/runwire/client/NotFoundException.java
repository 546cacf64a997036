package dev.runwire.client;

/** There is no such experiment, run or tag. */
public final class NotFoundException extends RunwireException {
  private static final long serialVersionUID = 1L;

  NotFoundException(Failure failure) {
    super(StatusCode.NOT_FOUND, failure);
  }
}
