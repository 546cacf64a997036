package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class RetryTest {
  private static void isRefused(String setting, Executable made) {
    String told = assertThrows(IllegalArgumentException.class, made).getMessage();
    assertTrue(told.startsWith(setting + " must be "), told);
  }

  @Test
  void howCallsAreRepeatedIsChecked() {
    Retry retry = new Retry();
    for (Duration wrong : List.of(Duration.ZERO, Duration.ofSeconds(-1))) {
      isRefused("initial", () -> retry.initial(wrong));
      isRefused("maximum", () -> retry.maximum(wrong));
      isRefused("connectTimeout", () -> retry.connectTimeout(wrong));
    }
    for (double wrong : new double[] {0.99, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
      isRefused("multiplier", () -> retry.multiplier(wrong));
    }
    isRefused("maxAttempts", () -> retry.maxAttempts(-3));
    Retry forever = retry.initial(Duration.ofDays(400_000)).maximum(Duration.ofDays(400_000));
    assertTrue(Attempts.drawn(forever, 1000) > 0);
    Retry brief = retry.initial(Duration.ofNanos(1)).maximum(Duration.ofNanos(1));
    assertEquals(1_000_000, Attempts.drawn(brief, 1));
  }

  /** Says whether a call is repeated whose first attempt failed at a time, both in nanoseconds. */
  private static boolean isRepeated(long timeout, long failed) {
    Retry brief = new Retry().initial(Duration.ofNanos(1)).maximum(Duration.ofNanos(1));
    Settings given = new Settings(RunwireClient.builder().address("host").retry(brief));
    RunwireException error = new AbortedException(new Failure("other transactions"));
    return new Attempts(given, timeout, 0, true).pause(error, failed) != Attempts.NONE;
  }

  @Test
  void noRepeatBeginsWithoutTimeForItsAnswer() {
    assertTrue(isRepeated(30_000_000_000L, 29_898_000_000L));
    assertFalse(isRepeated(30_000_000_000L, 29_899_000_000L));
    assertTrue(isRepeated(500_000_000L, 448_000_000L));
    assertFalse(isRepeated(500_000_000L, 449_000_000L));
  }
}
