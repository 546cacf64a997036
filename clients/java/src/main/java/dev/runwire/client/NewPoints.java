package dev.runwire.client;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Some new points of one run, in their order of arrival: each key has a value at each step. Each
 * call copies what it returns.
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
   * Copies the steps.
   *
   * @return the step of each point
   */
  public long[] steps() {
    return steps.clone();
  }

  /**
   * Copies the times.
   *
   * @return the time of each point, unix milliseconds
   */
  public long[] timestamps() {
    return timestamps.clone();
  }

  /**
   * Copies the values.
   *
   * @return for each key a column of as many values as there are steps
   */
  public Map<String, double[]> values() {
    Map<String, double[]> copies = new LinkedHashMap<>();
    values.forEach((key, column) -> copies.put(key, column.clone()));
    return copies;
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
        && sameValues(that);
  }

  private boolean sameValues(NewPoints that) {
    return values.keySet().equals(that.values.keySet())
        && values.keySet().stream()
            .allMatch(key -> Arrays.equals(values.get(key), that.values.get(key)));
  }

  @Override
  public int hashCode() {
    return Objects.hash(
        runId, Arrays.hashCode(steps), Arrays.hashCode(timestamps), values.keySet());
  }

  @Override
  public String toString() {
    return "NewPoints[runId=" + runId + ", " + steps.length + " steps of " + values.keySet() + "]";
  }
}
