package dev.runwire.client;

/** The experiment, run or param is not in a state that allows the call. */
public final class FailedPreconditionException extends RunwireException {
  private static final long serialVersionUID = 1L;

  FailedPreconditionException(Failure failure) {
    super(StatusCode.FAILED_PRECONDITION, failure);
  }
}
