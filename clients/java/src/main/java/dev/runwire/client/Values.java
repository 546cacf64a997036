package dev.runwire.client;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAccumulator;
import java.util.concurrent.atomic.LongAdder;

/** From what callers have to what the wire takes. */
final class Values {
  private Values() {}

  /** Copies what callers gave, none of which may be missing. */
  static <T> List<T> list(String what, Collection<? extends T> given) {
    List<T> found = new ArrayList<>();
    for (T one : Objects.requireNonNull(given, what)) {
      found.add(Objects.requireNonNull(one, () -> what + "[" + found.size() + "]"));
    }
    return List.copyOf(found);
  }

  /** Turns the values of params or tags into text. */
  static Map<String, String> texts(String what, Map<String, ?> given) {
    Map<String, String> found = new LinkedHashMap<>();
    Objects.requireNonNull(given, what)
        .forEach((key, value) -> found.put(Objects.requireNonNull(key, what), text(key, value)));
    return found;
  }

  /** Turns the value of a param or tag into text. */
  static String text(String key, Object value) {
    Objects.requireNonNull(value, () -> "the value of " + key + " is null");
    if (value.getClass().isArray()) {
      throw new IllegalArgumentException(
          "the value of " + key + " is an array, which has no text of its own");
    }
    return value.toString();
  }

  /** Makes a param or tag of its own, with its value as text. */
  static Map<String, String> one(String key, Object value) {
    return Map.of(Objects.requireNonNull(key, "key"), text(key, value));
  }

  /** Turns a metric's value into a double, which holds it as it is, or as nearly as doubles do. */
  static double number(String key, Number value) {
    Objects.requireNonNull(value, () -> "the value of " + key + " is null");
    double found = value.doubleValue();
    if (value instanceof Long
        || value instanceof AtomicLong
        || value instanceof LongAdder
        || value instanceof LongAccumulator) {
      checkExact(key, BigInteger.valueOf(value.longValue()), found);
    } else if (value instanceof BigInteger) {
      checkExact(key, (BigInteger) value, found);
    } else if (value instanceof BigDecimal && Double.isInfinite(found)) {
      throw new IllegalArgumentException(
          "metric '" + key + "': the value is too large for a double: " + value);
    }
    return found;
  }

  private static void checkExact(String key, BigInteger value, double found) {
    // Those of 53 bits are, and most are so small.
    if (value.bitLength() > 53
        && (Double.isInfinite(found) || !new BigDecimal(found).toBigInteger().equals(value))) {
      throw new IllegalArgumentException(
          "metric '" + key + "': no double holds the value exactly: " + value);
    }
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
    if (Objects.requireNonNull(given, what).isNegative() || given.isZero()) {
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
