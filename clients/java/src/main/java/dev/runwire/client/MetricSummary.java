package dev.runwire.client;

import java.util.Objects;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * What a run keeps of one metric at hand. Latest and first are by (step, timestamp, arrival). NaN
 * is counted, and is never the minimum or the maximum.
 */
public final class MetricSummary {
  private final String key;
  private final double value;
  private final long step;
  private final long timestamp;
  private final long count;
  private final long nanCount;
  private final OptionalDouble min;
  private final OptionalLong minStep;
  private final OptionalDouble max;
  private final OptionalLong maxStep;
  private final double first;
  private final long firstStep;
  private final long firstTimestamp;

  MetricSummary(
      String key,
      double value,
      long step,
      long timestamp,
      long count,
      long nanCount,
      OptionalDouble min,
      OptionalLong minStep,
      OptionalDouble max,
      OptionalLong maxStep,
      double first,
      long firstStep,
      long firstTimestamp) {
    this.key = Objects.requireNonNull(key, "key");
    this.value = value;
    this.step = step;
    this.timestamp = timestamp;
    this.count = count;
    this.nanCount = nanCount;
    this.min = Objects.requireNonNull(min, "min");
    this.minStep = Objects.requireNonNull(minStep, "minStep");
    this.max = Objects.requireNonNull(max, "max");
    this.maxStep = Objects.requireNonNull(maxStep, "maxStep");
    this.first = first;
    this.firstStep = firstStep;
    this.firstTimestamp = firstTimestamp;
  }

  /**
   * Tells the metric's key.
   *
   * @return the metric's key
   */
  public String key() {
    return key;
  }

  /**
   * Tells the latest value.
   *
   * @return the latest value
   */
  public double value() {
    return value;
  }

  /**
   * Tells the latest point's step.
   *
   * @return the latest point's step
   */
  public long step() {
    return step;
  }

  /**
   * Tells the latest point's time, unix milliseconds.
   *
   * @return the latest point's time, unix milliseconds
   */
  public long timestamp() {
    return timestamp;
  }

  /**
   * Tells how many points there are, NaN included.
   *
   * @return how many points there are, NaN included
   */
  public long count() {
    return count;
  }

  /**
   * Tells how many of them are NaN.
   *
   * @return how many of them are NaN
   */
  public long nanCount() {
    return nanCount;
  }

  /**
   * Tells the smallest value; empty when all are NaN.
   *
   * @return the smallest value; empty when all are NaN
   */
  public OptionalDouble min() {
    return min;
  }

  /**
   * Tells the lowest step that has the smallest value.
   *
   * @return the step; empty when all are NaN
   */
  public OptionalLong minStep() {
    return minStep;
  }

  /**
   * Tells the largest value; empty when all are NaN.
   *
   * @return the largest value; empty when all are NaN
   */
  public OptionalDouble max() {
    return max;
  }

  /**
   * Tells the lowest step that has the largest value.
   *
   * @return the step; empty when all are NaN
   */
  public OptionalLong maxStep() {
    return maxStep;
  }

  /**
   * Tells the first value.
   *
   * @return the first value
   */
  public double first() {
    return first;
  }

  /**
   * Tells the first point's step.
   *
   * @return the first point's step
   */
  public long firstStep() {
    return firstStep;
  }

  /**
   * Tells the first point's time, unix milliseconds.
   *
   * @return the first point's time, unix milliseconds
   */
  public long firstTimestamp() {
    return firstTimestamp;
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof MetricSummary)) {
      return false;
    }
    MetricSummary that = (MetricSummary) other;
    return key.equals(that.key)
        && Double.compare(value, that.value) == 0
        && step == that.step
        && timestamp == that.timestamp
        && count == that.count
        && nanCount == that.nanCount
        && min.equals(that.min)
        && minStep.equals(that.minStep)
        && max.equals(that.max)
        && maxStep.equals(that.maxStep)
        && Double.compare(first, that.first) == 0
        && firstStep == that.firstStep
        && firstTimestamp == that.firstTimestamp;
  }

  @Override
  public int hashCode() {
    return Objects.hash(
        key,
        value,
        step,
        timestamp,
        count,
        nanCount,
        min,
        minStep,
        max,
        maxStep,
        first,
        firstStep,
        firstTimestamp);
  }

  @Override
  public String toString() {
    return "MetricSummary[key="
        + key
        + ", value="
        + value
        + ", step="
        + step
        + ", timestamp="
        + timestamp
        + ", count="
        + count
        + ", nanCount="
        + nanCount
        + ", min="
        + min
        + ", minStep="
        + minStep
        + ", max="
        + max
        + ", maxStep="
        + maxStep
        + ", first="
        + first
        + ", firstStep="
        + firstStep
        + ", firstTimestamp="
        + firstTimestamp
        + "]";
  }
}
