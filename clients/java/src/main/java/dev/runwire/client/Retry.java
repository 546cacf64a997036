package dev.runwire.client;

import java.time.Duration;

/**
 * How failed calls are repeated. Each method returns a copy.
 *
 * <p>A call is repeated, with the same request id, when the server or its database can not be
 * reached, when other transactions got in its way, and when a full disk asks for patience. Pauses
 * grow from {@link #initial} by {@link #multiplier} up to {@link #maximum}, each drawn at random
 * between 0 and that; a delay that the server asks for comes on top. All attempts share the call's
 * deadline.
 */
public final class Retry {
  private final Duration initial;
  private final double multiplier;
  private final Duration maximum;
  private final int maxAttempts;
  private final Duration connectTimeout;

  /** Makes one in which nothing is given. */
  public Retry() {
    this(Duration.ofMillis(100), 2.0, Duration.ofSeconds(2), 0, Duration.ofSeconds(3));
  }

  private Retry(
      Duration initial,
      double multiplier,
      Duration maximum,
      int maxAttempts,
      Duration connectTimeout) {
    this.initial = initial;
    this.multiplier = multiplier;
    this.maximum = maximum;
    this.maxAttempts = maxAttempts;
    this.connectTimeout = connectTimeout;
  }

  /**
   * Gives the longest first pause; 0.1 seconds by default.
   *
   * @param initial the longest first pause
   * @return a copy with it
   * @throws IllegalArgumentException it is not more than 0
   */
  public Retry initial(Duration initial) {
    return new Retry(checked("initial", initial), multiplier, maximum, maxAttempts, connectTimeout);
  }

  /**
   * Gives the growth of the pause from one attempt to the next; 2 by default.
   *
   * @param multiplier what a longest pause is times the one before
   * @return a copy with it
   * @throws IllegalArgumentException it is less than 1, or no number
   */
  public Retry multiplier(double multiplier) {
    if (!(multiplier >= 1) || Double.isInfinite(multiplier)) {
      throw new IllegalArgumentException("multiplier must be 1 or more, and is " + multiplier);
    }
    return new Retry(initial, multiplier, maximum, maxAttempts, connectTimeout);
  }

  /**
   * Gives the longest pause; 2 seconds by default.
   *
   * @param maximum the longest pause
   * @return a copy with it
   * @throws IllegalArgumentException it is not more than 0
   */
  public Retry maximum(Duration maximum) {
    return new Retry(initial, multiplier, checked("maximum", maximum), maxAttempts, connectTimeout);
  }

  /**
   * Gives the most attempts of a call, the first one included; by default as many as its deadline
   * has room for.
   *
   * @param maxAttempts 1 for no repeats; 0 for no bound
   * @return a copy with it
   * @throws IllegalArgumentException it is less than 0
   */
  public Retry maxAttempts(int maxAttempts) {
    if (maxAttempts < 0) {
      throw new IllegalArgumentException("maxAttempts must be 0 or more, and is " + maxAttempts);
    }
    return new Retry(initial, multiplier, maximum, maxAttempts, connectTimeout);
  }

  /**
   * Gives the time after which a client that never reached its server gives up; 3 seconds by
   * default. One that did reach it waits for its return until the call's deadline.
   *
   * @param connectTimeout the time after which a client that never reached its server gives up
   * @return a copy with it
   * @throws IllegalArgumentException it is not more than 0
   */
  public Retry connectTimeout(Duration connectTimeout) {
    return new Retry(
        initial, multiplier, maximum, maxAttempts, checked("connectTimeout", connectTimeout));
  }

  private static Duration checked(String what, Duration given) {
    Values.nanoseconds(what, given);
    return given;
  }

  Duration initial() {
    return initial;
  }

  double multiplier() {
    return multiplier;
  }

  Duration maximum() {
    return maximum;
  }

  int maxAttempts() {
    return maxAttempts;
  }

  Duration connectTimeout() {
    return connectTimeout;
  }
}
