package dev.runwire.client;

/** The caller may not do this. */
public final class PermissionDeniedException extends RunwireException {
  private static final long serialVersionUID = 1L;

  PermissionDeniedException(Failure failure) {
    super(StatusCode.PERMISSION_DENIED, failure);
  }
}
