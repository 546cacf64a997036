package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAccumulator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NumbersTest {
  private static void isNoDouble(Number value) {
    String told =
        assertThrows(IllegalArgumentException.class, () -> Values.number("m", value)).getMessage();
    assertTrue(told.startsWith("metric 'm': ") && told.endsWith(value.toString()), told);
  }

  @Test
  void numbersThatNoDoubleHoldsAreRefused() {
    long large = 1L << 53;
    isNoDouble(large + 1);
    isNoDouble(-large - 1);
    isNoDouble(Long.MAX_VALUE);
    isNoDouble(new AtomicLong(large + 1));
    isNoDouble(new LongAccumulator(Long::sum, large + 1));
    isNoDouble(BigInteger.TWO.pow(53).add(BigInteger.ONE));
    isNoDouble(BigInteger.TWO.pow(1024));
    isNoDouble(new BigDecimal("1e400"));
    isNoDouble(new BigDecimal("-1e400"));
    Number[] taken = {
      large, large + 2, Long.MIN_VALUE, BigInteger.TWO.pow(1000), new BigDecimal("0.1"), 7, 0.5f
    };
    double[] found = new double[taken.length];
    for (int i = 0; i < taken.length; i++) {
      found[i] = Values.number("m", taken[i]);
    }
    assertArrayEquals(
        new double[] {0x1p53, 0x1p53 + 2, -0x1p63, 0x1p1000, 0.1, 7, 0.5}, found, 0.0);
  }

  @Test
  void aLineThatHasSuchANumberIsRefused(@TempDir Path folder) {
    try (RunwireClient client =
        RunwireClient.builder().mode(Mode.OFFLINE).spoolDir(folder).build()) {
      RunLogger logger = client.logger("1".repeat(32));
      Map<String, Number> metrics = Map.of("m", Long.MAX_VALUE, "n", 1);
      assertThrows(IllegalArgumentException.class, () -> logger.logMetrics(metrics));
    }
  }
}
