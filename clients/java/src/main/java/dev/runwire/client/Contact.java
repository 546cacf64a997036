package dev.runwire.client;

import java.util.concurrent.TimeUnit;

/** How a server answers to what carries frames to it, as far as is known; under its guard. */
final class Contact {
  // Being away for less is not worth a word to the user.
  private static final long PATIENCE = TimeUnit.SECONDS.toNanos(5);

  private final Settings given;
  private boolean reached;
  private int failures;
  // When the attempt began that failed last.
  private long tried;
  private boolean hurried;
  private long awaySince;
  private boolean told;
  private RunwireException away;
  private RunwireException refusal;

  Contact(Settings given) {
    this.given = given;
  }

  /** Whether the server has ever welcomed this client. */
  boolean isReached() {
    return reached;
  }

  /** How the last stream failed, while it is not mended, or null. */
  RunwireException away() {
    return away;
  }

  /** An error that a repeat will not heal, as a wrong token, or null. */
  RunwireException refusal() {
    return refusal;
  }

  /** Takes in that the server has welcomed a writer. */
  void welcomed() {
    reached = true;
    away = null;
    refusal = null;
    if (told) {
      told = false;
      Notices.tell(given.address.text + " is back; sending what waited");
    }
  }

  /** Takes in that the server has acknowledged something. */
  void acknowledged() {
    failures = 0;
  }

  /**
   * Takes in that a stream failed.
   *
   * @param began when it was begun to open it
   * @param place where what is logged waits
   * @return the nanoseconds to pause
   */
  long failed(RunwireException error, long began, String place) {
    failures++;
    tried = began;
    hurried = false;
    away = error;
    refusal = isRefusal(error) ? error : null;
    if (error instanceof ServerUnavailableException) {
      sayAway(place);
    }
    long asked = error.retryDelay().map(delay -> delay.toNanos()).orElse(0L);
    return Attempts.drawn(given.retry, failures) + asked;
  }

  private static boolean isRefusal(RunwireException error) {
    return error instanceof UnauthenticatedException
        || error instanceof PermissionDeniedException
        || error instanceof UnimplementedException
        || error instanceof InvalidArgumentException;
  }

  private void sayAway(String place) {
    long now = System.nanoTime();
    if (failures == 1) {
      awaySince = now;
    } else if (!told && now - awaySince > PATIENCE) {
      told = true;
      Notices.tell(
          "no answer from "
              + given.address.text
              + "; what is logged waits in "
              + place
              + " and is sent when the server is back");
    }
  }

  /** Whether the pause before the next stream is over for who waits. */
  boolean isHurried() {
    return hurried;
  }

  /**
   * Says whether there is no hope for who has waited since a time; how it fails, or null. To be
   * asked again and again: it may have found that the pause before the next stream is too long.
   */
  RunwireException givenUp(long start, long now) {
    if (refusal != null) {
      return refusal;
    }
    long enough = start + Values.nanoseconds("connectTimeout", given.retry.connectTimeout());
    // None is away as long as the first attempt is under way: it has the same window for itself.
    if (reached || now - enough <= 0 || !(away instanceof ServerUnavailableException)) {
      return null;
    }
    if (tried - enough > 0) {
      return away;
    }
    // One last attempt: the server may have come since the one before, whose pause may be long, or
    // which failed only because all stood still.
    hurried = true;
    return null;
  }
}
