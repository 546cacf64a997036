package dev.runwire.client;

/** The server and a writer hold two histories. */
final class Disagreement extends Exception {
  private static final long serialVersionUID = 1L;

  private final String reason;

  Disagreement(String reason, String message) {
    super(message);
    this.reason = reason;
  }

  FailedPreconditionException told() {
    return new FailedPreconditionException(new Failure(getMessage()).reason(reason).cause(this));
  }
}
