package dev.runwire.client;

import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** From what callers have to what the wire takes. */
final class Values {
  private Values() {}

  /** Turns the values of params or tags into text. */
  static Map<String, String> texts(String what, Map<String, ?> given) {
    Map<String, String> found = new LinkedHashMap<>();
    Objects.requireNonNull(given, what)
        .forEach((key, value) -> found.put(Objects.requireNonNull(key, what), text(key, value)));
    return found;
  }

  /** Turns the value of a param or tag into text. */
  static String text(String key, Object value) {
    return String.valueOf(Objects.requireNonNull(value, () -> "the value of " + key + " is null"));
  }

  /** Turns a time into unix milliseconds, downwards. */
  static long milliseconds(String field, Instant time) {
    try {
      return time.toEpochMilli();
    } catch (ArithmeticException beyond) {
      throw Rules.invalid(field, "must be a time from 1970 to 9999");
    }
  }

  /** Turns a duration into nanoseconds; one that is too long for them is forever. */
  static long nanoseconds(String what, Duration given) {
    if (given.isNegative() || given.isZero()) {
      throw new IllegalArgumentException(what + " must be more than 0, and is " + given);
    }
    // Half, so that a time with it added is none of the past.
    return given.compareTo(Duration.ofNanos(Long.MAX_VALUE / 2)) > 0
        ? Long.MAX_VALUE / 2
        : given.toNanos();
  }

  static double seconds(long nanoseconds) {
    return nanoseconds / 1e9;
  }
}
