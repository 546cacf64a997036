package dev.runwire.client;

/** Stored data is damaged. */
public final class DataLossException extends RunwireException {
  private static final long serialVersionUID = 1L;

  DataLossException(Failure failure) {
    super(StatusCode.DATA_LOSS, failure);
  }
}
