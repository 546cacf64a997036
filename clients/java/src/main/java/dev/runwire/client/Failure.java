package dev.runwire.client;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What an exception is made from. */
final class Failure {
  final String message;
  String reason = "";
  Map<String, String> metadata = new LinkedHashMap<>();
  List<Violation> violations = List.of();
  Duration retryDelay;
  Throwable cause;

  Failure(String message) {
    this.message = message;
  }

  Failure reason(String given) {
    reason = given;
    return this;
  }

  Failure metadata(Map<String, String> given) {
    metadata = new LinkedHashMap<>(given);
    return this;
  }

  Failure fact(String name, String value) {
    metadata.put(name, value);
    return this;
  }

  Failure violation(String field, String description) {
    violations = List.of(new Violation(field, description));
    return this;
  }

  Failure cause(Throwable given) {
    cause = given;
    return this;
  }

  /** Makes the exception of a status code. */
  RunwireException of(StatusCode code) {
    switch (code) {
      case ABORTED:
        return new AbortedException(this);
      case ALREADY_EXISTS:
        return new AlreadyExistsException(this);
      case CANCELLED:
        return new CancelledException(this);
      case DATA_LOSS:
        return new DataLossException(this);
      case DEADLINE_EXCEEDED:
        return new DeadlineExceededException(this);
      case FAILED_PRECONDITION:
        return new FailedPreconditionException(this);
      case INTERNAL:
        return new InternalException(this);
      case INVALID_ARGUMENT:
        return new InvalidArgumentException(this);
      case NOT_FOUND:
        return new NotFoundException(this);
      case OUT_OF_RANGE:
        return new OutOfRangeException(this);
      case PERMISSION_DENIED:
        return new PermissionDeniedException(this);
      case RESOURCE_EXHAUSTED:
        return new ResourceExhaustedException(this);
      case UNAUTHENTICATED:
        return new UnauthenticatedException(this);
      case UNAVAILABLE:
        return new UnavailableException(this);
      case UNIMPLEMENTED:
        return new UnimplementedException(this);
      default:
        return new UnknownException(this);
    }
  }
}
