package dev.runwire.bench;

import com.google.gson.Gson;
import dev.runwire.client.OnSpoolFull;
import dev.runwire.client.Retry;
import dev.runwire.client.RunLogger;
import dev.runwire.client.RunSpec;
import dev.runwire.client.RunwireClient;
import dev.runwire.client.RunwireException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Measures the Java client against a server, and prints the figures as one JSON object.
 *
 * <p>All are medians of several rounds in one process, after rounds that warm it up.
 */
public final class Figures {
  private static final int ROUNDS = 9;
  private static final int CALLS = 20_000;
  private static final int POINTS = 1_000_000;
  private static final int SERIES = 4_000_000;

  private final String address;
  private final Path folder;
  private final Map<String, Double> found = new LinkedHashMap<>();

  private Figures(String address, Path folder) {
    this.address = address;
    this.folder = folder;
  }

  /**
   * Measures.
   *
   * @param arguments the server's address
   * @throws IOException there is no room for spools
   */
  public static void main(String[] arguments) throws IOException {
    Figures figures = new Figures(arguments[0], Files.createTempDirectory("runwire-figures"));
    figures.logCall();
    figures.throughput();
    figures.memory();
    System.out.println(new Gson().toJson(figures.found));
  }

  private RunwireClient client() {
    return RunwireClient.builder().address(address).spoolDir(folder).build();
  }

  private static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return sorted[sorted.length / 2];
  }

  /** Nanoseconds of a call that logs a point, while the buffers have room. */
  private void logCall() {
    try (RunwireClient client = client()) {
      RunLogger logger = client.logger(client.createRun(new RunSpec()).runId());
      String[] keys = {"loss", "accuracy", "rate", "gradient"};
      double[] calls = new double[5 * ROUNDS];
      for (int round = 0; round < 2 * calls.length; round++) {
        long start = System.nanoTime();
        for (int i = 0; i < CALLS; i++) {
          logger.logMetric(keys[i & 3], i, i);
        }
        double each = (double) (System.nanoTime() - start) / CALLS;
        client.flush();
        if (round >= calls.length) {
          calls[round - calls.length] = each;
        }
      }
      found.put("log_metric_ns", median(calls));
    }
  }

  /** Points a second from the first call to the last acknowledgement. */
  private void throughput() {
    try (RunwireClient client = client()) {
      double[] single = new double[ROUNDS];
      double[] bulk = new double[ROUNDS];
      double[] values = new double[SERIES];
      Arrays.setAll(values, Math::sin);
      for (int round = -2; round < ROUNDS; round++) {
        RunLogger logger = client.logger(client.createRun(new RunSpec()).runId());
        long start = System.nanoTime();
        for (int i = 0; i < POINTS; i++) {
          logger.logMetric("loss", i, i);
        }
        client.flush(Duration.ofMinutes(2));
        final double one = POINTS / ((System.nanoTime() - start) / 1e9);
        start = System.nanoTime();
        logger.logSeries("series", values);
        client.flush(Duration.ofMinutes(2));
        double many = SERIES / ((System.nanoTime() - start) / 1e9);
        if (round >= 0) {
          single[round] = one;
          bulk[round] = many;
        }
      }
      found.put("log_metric_points_per_s", median(single));
      found.put("log_series_points_per_s", median(bulk));
    }
  }

  /** Heap that a client holds after a million points while the server is away, in MB. */
  private void memory() {
    RunwireClient client =
        RunwireClient.builder()
            .address("runwire://127.0.0.1:1")
            .spoolDir(folder.resolve("away"))
            .onSpoolFull(OnSpoolFull.BLOCK)
            .retry(new Retry().connectTimeout(Duration.ofMillis(100)))
            .build();
    double before = heap();
    RunLogger logger = client.logger(client.beginRun(new RunSpec().experimentId("0")));
    for (int i = 0; i < POINTS; i++) {
      logger.logMetric("loss", i, i);
    }
    found.put("memory_while_away_mb", heap() - before);
    try {
      client.close(Duration.ofMillis(200));
    } catch (RunwireException away) {
      found.put("spooled_while_away_mb", spooled());
    }
  }

  private static double heap() {
    System.gc();
    Runtime runtime = Runtime.getRuntime();
    return (runtime.totalMemory() - runtime.freeMemory()) / 1e6;
  }

  private double spooled() {
    try (java.util.stream.Stream<Path> files = Files.walk(folder.resolve("away"))) {
      return files.filter(Files::isRegularFile).mapToLong(path -> path.toFile().length()).sum()
          / 1e6;
    } catch (IOException gone) {
      return 0;
    }
  }
}
