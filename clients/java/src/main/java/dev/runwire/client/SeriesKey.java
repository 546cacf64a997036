package dev.runwire.client;

import java.util.Objects;

/** One metric of one run. */
public final class SeriesKey {
  private final String runId;
  private final String key;

  SeriesKey(String runId, String key) {
    this.runId = Objects.requireNonNull(runId, "runId");
    this.key = Objects.requireNonNull(key, "key");
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
   * Names a series.
   *
   * @param runId the run
   * @param key the metric
   * @return the name
   */
  public static SeriesKey of(String runId, String key) {
    return new SeriesKey(runId, key);
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof SeriesKey)) {
      return false;
    }
    SeriesKey that = (SeriesKey) other;
    return runId.equals(that.runId) && key.equals(that.key);
  }

  @Override
  public int hashCode() {
    return Objects.hash(runId, key);
  }

  @Override
  public String toString() {
    return "SeriesKey[runId=" + runId + ", key=" + key + "]";
  }
}
