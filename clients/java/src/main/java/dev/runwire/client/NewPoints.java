package dev.runwire.client;

import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Some new points of one run, in their order of arrival: each key has a value at each step. The
 * arrays are the caller's: they are not copied.
 */
public final class NewPoints {
  private final String runId;
  private final long[] steps;
  private final long[] timestamps;
  private final Map<String, double[]> values;

  NewPoints(String runId, long[] steps, long[] timestamps, Map<String, double[]> values) {
    this.runId = Objects.requireNonNull(runId, "runId");
    this.steps = steps;
    this.timestamps = timestamps;
    this.values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
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
   * Tells the steps.
   *
   * @return the steps
   */
  public long[] steps() {
    return steps;
  }

  /**
   * Tells as many times, unix milliseconds.
   *
   * @return as many times, unix milliseconds
   */
  public long[] timestamps() {
    return timestamps;
  }

  /**
   * Tells for each key a column of as many values.
   *
   * @return for each key a column of as many values
   */
  public Map<String, double[]> values() {
    return values;
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof NewPoints)) {
      return false;
    }
    NewPoints that = (NewPoints) other;
    return runId.equals(that.runId)
        && Arrays.equals(steps, that.steps)
        && Arrays.equals(timestamps, that.timestamps)
        && values.equals(that.values);
  }

  @Override
  public int hashCode() {
    return Objects.hash(runId, Arrays.hashCode(steps), Arrays.hashCode(timestamps), values);
  }

  @Override
  public String toString() {
    return "NewPoints[runId="
        + runId
        + ", steps="
        + Arrays.toString(steps)
        + ", timestamps="
        + Arrays.toString(timestamps)
        + ", values="
        + values
        + "]";
  }
}
