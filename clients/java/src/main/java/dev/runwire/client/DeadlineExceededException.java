package dev.runwire.client;

/** No answer came within the call's time. The call may or may not have been applied. */
public final class DeadlineExceededException extends RunwireException {
  private static final long serialVersionUID = 1L;

  DeadlineExceededException(Failure failure) {
    super(StatusCode.DEADLINE_EXCEEDED, failure);
  }
}
