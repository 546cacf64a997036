package dev.runwire.client;

import java.util.Arrays;
import java.util.Objects;

/**
 * The points of one metric of one run, by (step, timestamp, arrival), column by column. Values are
 * bit by bit what was logged. The arrays are the caller's: they are not copied.
 */
public final class MetricHistory {
  private final String runId;
  private final String key;
  private final long[] steps;
  private final long[] timestamps;
  private final double[] values;

  MetricHistory(String runId, String key, long[] steps, long[] timestamps, double[] values) {
    this.runId = Objects.requireNonNull(runId, "runId");
    this.key = Objects.requireNonNull(key, "key");
    this.steps = steps;
    this.timestamps = timestamps;
    this.values = values;
  }

  /**
   * Tells the run.
   *
   * @return the run
   */
  public String runId() {
    return runId;
  }

  /**
   * Tells the metric.
   *
   * @return the metric
   */
  public String key() {
    return key;
  }

  /**
   * Tells the steps.
   *
   * @return the steps
   */
  public long[] steps() {
    return steps;
  }

  /**
   * Tells the times, unix milliseconds.
   *
   * @return the times, unix milliseconds
   */
  public long[] timestamps() {
    return timestamps;
  }

  /**
   * Tells the values.
   *
   * @return the values
   */
  public double[] values() {
    return values;
  }

  /**
   * Counts the points.
   *
   * @return how many there are
   */
  public int size() {
    return values.length;
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof MetricHistory)) {
      return false;
    }
    MetricHistory that = (MetricHistory) other;
    return runId.equals(that.runId)
        && key.equals(that.key)
        && Arrays.equals(steps, that.steps)
        && Arrays.equals(timestamps, that.timestamps)
        && Arrays.equals(values, that.values);
  }

  @Override
  public int hashCode() {
    return Objects.hash(
        runId, key, Arrays.hashCode(steps), Arrays.hashCode(timestamps), Arrays.hashCode(values));
  }

  /** Tells whose points these are and how many, of which there may be millions. */
  @Override
  public String toString() {
    return "MetricHistory[runId=" + runId + ", key=" + key + ", size=" + size() + "]";
  }
}
