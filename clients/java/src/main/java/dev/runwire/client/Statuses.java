package dev.runwire.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Turns how a call of gRPC failed into an exception. */
final class Statuses {
  private static final String DOMAIN = "runwire";
  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  private Statuses() {}

  static RunwireException toException(Throwable error) {
    if (error instanceof RunwireException) {
      return (RunwireException) error;
    }
    return toException(Status.fromThrowable(error), Status.trailersFromThrowable(error));
  }

  static RunwireException toException(Status status, Metadata trailers) {
    Failure failure = new Failure(text(status)).cause(status.getCause());
    if (trailers != null) {
      try {
        byte[] details = trailers.get(DETAILS);
        if (details != null) {
          read(com.google.rpc.Status.parseFrom(details), failure);
        }
      } catch (InvalidProtocolBufferException garbled) {
        // A proxy on the way may have made them: the code alone still says what happened.
        failure = new Failure(text(status)).cause(status.getCause());
      }
    }
    if (status.getCode() == Status.Code.UNAVAILABLE && failure.reason.isEmpty()) {
      // No Runwire server said this: gRPC did, having no connection, or a proxy on the way.
      return new ServerUnavailableException(failure);
    }
    return failure.of(code(status.getCode()));
  }

  private static StatusCode code(Status.Code code) {
    try {
      return StatusCode.valueOf(code.name());
    } catch (IllegalArgumentException none) {
      return StatusCode.UNKNOWN;
    }
  }

  private static String text(Status status) {
    StringBuilder text = new StringBuilder();
    if (status.getDescription() != null) {
      text.append(status.getDescription());
    }
    // The sentences of gRPC for Java are general, and what happened is in the cause.
    for (Throwable cause = status.getCause(); cause != null; cause = cause.getCause()) {
      if (cause.getMessage() != null && text.indexOf(cause.getMessage()) < 0) {
        text.append(text.length() == 0 ? "" : ": ").append(cause.getMessage());
      }
    }
    return text.length() == 0 ? status.getCode().name() : text.toString();
  }

  private static void read(com.google.rpc.Status rich, Failure failure)
      throws InvalidProtocolBufferException {
    for (Any detail : rich.getDetailsList()) {
      if (detail.is(ErrorInfo.class)) {
        ErrorInfo info = detail.unpack(ErrorInfo.class);
        if (info.getDomain().equals(DOMAIN)) {
          failure.reason(info.getReason()).metadata(info.getMetadataMap());
        }
      } else if (detail.is(BadRequest.class)) {
        List<Violation> found = new ArrayList<>();
        for (BadRequest.FieldViolation one :
            detail.unpack(BadRequest.class).getFieldViolationsList()) {
          found.add(new Violation(one.getField(), one.getDescription()));
        }
        failure.violations = found;
      } else if (detail.is(RetryInfo.class)) {
        com.google.protobuf.Duration delay = detail.unpack(RetryInfo.class).getRetryDelay();
        failure.retryDelay = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
      }
    }
  }
}
