package dev.runwire.client;

import java.util.Arrays;
import java.util.Objects;

/**
 * The points of one metric of one run, by (step, timestamp, arrival), column by column. Values are
 * bit by bit what was logged.
 *
 * <p>{@link #steps}, {@link #timestamps} and {@link #values} copy their columns: call them once,
 * not in a loop over points, for which there are {@link #step}, {@link #timestamp} and {@link
 * #value}.
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
   * Copies the steps.
   *
   * @return the step of each point
   */
  public long[] steps() {
    return steps.clone();
  }

  /**
   * Tells the step of a point.
   *
   * @param point the point, from 0 to {@link #size} - 1
   * @return its step
   * @throws IndexOutOfBoundsException there is no such point
   */
  public long step(int point) {
    return steps[point];
  }

  /**
   * Copies the times, unix milliseconds.
   *
   * @return the time of each point, unix milliseconds
   */
  public long[] timestamps() {
    return timestamps.clone();
  }

  /**
   * Tells the time of a point, unix milliseconds.
   *
   * @param point the point, from 0 to {@link #size} - 1
   * @return its time, unix milliseconds
   * @throws IndexOutOfBoundsException there is no such point
   */
  public long timestamp(int point) {
    return timestamps[point];
  }

  /**
   * Copies the values.
   *
   * @return the value of each point
   */
  public double[] values() {
    return values.clone();
  }

  /**
   * Tells the value of a point.
   *
   * @param point the point, from 0 to {@link #size} - 1
   * @return its value
   * @throws IndexOutOfBoundsException there is no such point
   */
  public double value(int point) {
    return values[point];
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
    return "MetricHistory[runId=" + runId + ", key=" + key + ", " + size() + " points]";
  }
}
