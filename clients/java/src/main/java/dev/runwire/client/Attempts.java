package dev.runwire.client;

import io.grpc.Context;
import java.util.Locale;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * The attempts of one call: how long the next may take, and whether there is one.
 *
 * <p>No clock here: times are nanoseconds of a monotonic clock, and given.
 */
final class Attempts {
  /** Says that there is no further attempt. */
  static final long NONE = -1;

  // However short the pauses are meant to be, a server that is away is not called in a circle.
  private static final long LEAST = TimeUnit.MILLISECONDS.toNanos(1);

  // What the last repeat has for its answer; a tenth of a call's time if that is less. One without
  // would be done by the server and heard of by nobody, and its DEADLINE_EXCEEDED would hide what
  // the server said before.
  private static final long ROOM = TimeUnit.MILLISECONDS.toNanos(100);

  private static final String START =
      "Start one with `runwire server`, or name another with RUNWIRE_TRACKING_URI.";

  private final Settings given;
  private final long start;
  private final long deadline;
  private final long latest;
  private boolean reached;
  private int count;
  // Whether the window in which a server has to be reached is over when the next attempt begins.
  private boolean last;

  Attempts(Settings given, long timeout, long now, boolean reached) {
    this.given = given;
    this.start = now;
    this.deadline = now + timeout;
    this.latest = deadline - Math.min(ROOM, timeout / 10);
    this.reached = reached;
  }

  /** Returns the nanoseconds that the next attempt may take. */
  long remaining(long now) {
    return deadline - now;
  }

  /** Returns the nanoseconds that connecting may take; 0 if a connection stood before. */
  long connecting(long now) {
    long window = Values.nanoseconds("connectTimeout", given.retry.connectTimeout());
    // All of it for each attempt: the last one, at its end or behind it, needs its time too.
    return reached ? 0 : Math.max(1, Math.min(window, deadline - now));
  }

  /** Decides what follows a failed attempt: nanoseconds to wait before the next, or NONE. */
  long pause(RunwireException error, long now) {
    count++;
    Retry retry = given.retry;
    if (!isRepeatable(error) || count == retry.maxAttempts()) {
      return NONE;
    }
    long asked = error.retryDelay().map(delay -> delay.toNanos()).orElse(0L);
    long pause = drawn(retry, count) + asked;
    if (error instanceof ServerUnavailableException && !reached) {
      long window = Values.nanoseconds("connectTimeout", retry.connectTimeout());
      if (last || now >= latest) {
        return NONE;
      }
      // One last attempt at the end of the window, or behind it: this one may have found no server
      // only because all stood still.
      long left = Math.max(0, Math.min(start + window, latest) - now);
      last = pause >= left;
      return Math.min(pause, left);
    }
    reached = true;
    return now + pause < latest ? pause : NONE;
  }

  /** Makes the error to throw once there is no further attempt. */
  RunwireException last(RunwireException error, long now) {
    boolean joined = given.address.folder != null;
    double lasted = Values.seconds(now - start);
    if (error instanceof DeadlineExceededException && !Sender.isAnswer(error)) {
      String hint = reached || joined ? "" : " " + START;
      return new DeadlineExceededException(
          told(error, "no answer from %s in %.1f s.%s", given.address.text, lasted, hint));
    }
    if (!(error instanceof ServerUnavailableException) || joined) {
      return error;
    }
    return new ServerUnavailableException(
        told(
            error,
            "no Runwire server answers at %s (%s in %.1f s). %s gRPC says: %s",
            given.address.text,
            Losses.counted(count, "attempt"),
            lasted,
            START,
            error.getMessage().replaceAll("\\s+", " ")));
  }

  private Failure told(RunwireException cause, String format, Object... facts) {
    return new Failure(String.format(Locale.ROOT, format, facts))
        .fact("address", given.address.text)
        .cause(cause);
  }

  /** Bounds the pause behind an attempt, nanoseconds. */
  private static double backoff(Retry retry, int attempt) {
    // The exponent is bounded because a long deadline with short pauses would overflow a double.
    double grown =
        Values.nanoseconds("initial", retry.initial())
            * Math.pow(retry.multiplier(), Math.min(attempt - 1, 64));
    return Math.min(Values.nanoseconds("maximum", retry.maximum()), grown);
  }

  /** Draws the pause behind an attempt, nanoseconds. */
  static long drawn(Retry retry, int attempt) {
    double part = ThreadLocalRandom.current().nextDouble();
    return Math.max(LEAST, (long) (part * backoff(retry, attempt)));
  }

  private static boolean isRepeatable(RunwireException error) {
    if (error instanceof ResourceExhaustedException) {
      // A full disk may be cleared; a message that is too large stays so, and has no delay.
      return error.retryDelay().isPresent();
    }
    // Nothing of these was stored, or a repeat under the same request id gets the first answer.
    // CANCELLED is what a server that closes says of calls in flight; and gRPC of all calls on
    // behalf of one that its caller gave up.
    return error instanceof UnavailableException
        || error instanceof AbortedException
        || (error instanceof CancelledException && !Context.current().isCancelled());
  }
}
