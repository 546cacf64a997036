package dev.runwire.client;

import dev.runwire.v1.Rejection;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What flush, finish and close throw when something that was logged did not arrive. */
final class Losses {
  private static final int SHOWN = 5;

  private Losses() {}

  private static StatusCode code(String reason) {
    switch (reason) {
      case "EXPERIMENT_NOT_FOUND":
      case "RUN_NOT_FOUND":
        return StatusCode.NOT_FOUND;
      case "INVALID_FIELD":
      case "MALFORMED_MESSAGE":
        return StatusCode.INVALID_ARGUMENT;
      case "LIMIT_EXCEEDED":
      case "MESSAGE_TOO_LARGE":
        return StatusCode.RESOURCE_EXHAUSTED;
      case "RUN_EXISTS":
        return StatusCode.ALREADY_EXISTS;
      case "INTERNAL":
        return StatusCode.INTERNAL;
      default:
        return StatusCode.FAILED_PRECONDITION;
    }
  }

  /**
   * Makes the error of what is lost, or waits for a person: of the class of the first, which is
   * what the call of the same meaning would throw.
   */
  static RunwireException lost(List<Rejection> rejections, List<Lane> ended) {
    List<String> sentences = new ArrayList<>();
    ended.forEach(lane -> sentences.add(told(lane)));
    rejections.forEach(rejection -> sentences.add(told(rejection)));
    int more = sentences.size() - SHOWN;
    String message =
        String.join("; ", sentences.subList(0, Math.min(SHOWN, sentences.size())))
            + (more > 0 ? "; and " + more + " more" : "");
    if (!ended.isEmpty()) {
      RunwireException first = ended.get(0).over;
      return new FailedPreconditionException(
          new Failure(message)
              .reason(first.reason())
              .metadata(first.metadata())
              .fact("spool", ended.get(0).frames.place())
              .cause(first));
    }
    Rejection top = rejections.get(0);
    Failure failure = new Failure(message).reason(top.getReason()).metadata(top.getMetadataMap());
    if (!top.getRunId().isEmpty()) {
      failure.fact("run_id", top.getRunId());
    }
    String field = failure.metadata.get("field");
    if (field != null) {
      failure.violation(field, top.getMessage());
    }
    return failure.of(code(top.getReason()));
  }

  private static String told(Rejection rejection) {
    long records = rejection.getRecords();
    long points = rejection.getPoints();
    String what = counted(records, "record");
    if (points > 0) {
      what += " with " + counted(points, "metric point");
    }
    String run = rejection.getRunId().isEmpty() ? "" : " of run " + rejection.getRunId();
    return "the server rejected "
        + what
        + run
        + ": "
        + rejection.getMessage()
        + " ("
        + rejection.getReason()
        + ")";
  }

  private static String told(Lane lane) {
    String place = lane.frames.place();
    long frames = lane.frames.undelivered();
    boolean one = frames == 1;
    return counted(frames, "frame")
        + (one ? " is" : " are")
        + " not delivered: "
        + lane.over.getMessage()
        + " ("
        + lane.over.reason()
        + "). "
        + (one ? "It is" : "They are")
        + " kept in "
        + place
        + "; `runwire sync --as-new-writer "
        + place
        + "` delivers "
        + (one ? "it" : "them");
  }

  /** Says how many there are of something whose plural takes an s. */
  static String counted(long count, String one) {
    return count + " " + one + (count == 1 ? "" : "s");
  }

  /** Says where frames wait, a clause. */
  static String waiting(long frames, String place) {
    boolean one = frames == 1;
    return counted(frames, "frame")
        + (one ? " waits in " : " wait in ")
        + place
        + "; `runwire sync "
        + place
        + "` delivers "
        + (one ? "it" : "them")
        + " later";
  }

  /**
   * Makes the error of what could not be delivered in time.
   *
   * @param cause how the last attempt failed; null if there was none
   * @param waited nanoseconds
   * @param rest where the rest lies and how it gets on, clauses
   */
  static RunwireException undelivered(
      RunwireException cause, String address, long waited, List<String> rest, String spool) {
    double seconds = Values.seconds(waited);
    String where = String.join(". ", rest);
    if (cause instanceof ServerUnavailableException) {
      String text = cause.getMessage().replaceAll("\\s+", " ");
      String message =
          String.format(
              Locale.ROOT,
              "no Runwire server answers at %s (%.1f s). Start one with `runwire server`, or name"
                  + " another with RUNWIRE_TRACKING_URI%s. gRPC says: %s",
              address,
              seconds,
              behind(". ", where),
              text);
      return new ServerUnavailableException(
          new Failure(message).fact("address", address).fact("spool", spool).cause(cause));
    }
    if (cause != null) {
      return cause
          .retold(cause.getMessage() + behind(". ", where))
          .fact("spool", spool)
          .cause(cause)
          .of(cause.code());
    }
    String message =
        String.format(
            Locale.ROOT,
            "not everything was delivered to %s within %.1f s%s",
            address,
            seconds,
            behind("; ", where));
    return new DeadlineExceededException(
        new Failure(message).fact("address", address).fact("spool", spool));
  }

  private static String behind(String mark, String clause) {
    return clause.isEmpty() ? "" : mark + clause;
  }
}
