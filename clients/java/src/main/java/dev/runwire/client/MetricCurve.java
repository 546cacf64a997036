package dev.runwire.client;

import java.util.Arrays;
import java.util.Objects;

/**
 * A series in buckets, which hide no spike: entry i of each column belongs to bucket i, ascending
 * by x. A series of few points has a bucket for each. NaN is counted, and can be first or last;
 * minimum and maximum are NaN only where a bucket has nothing else. Each column is a copy.
 */
public final class MetricCurve {
  private final String runId;
  private final String key;
  private final CurveAxis axis;
  private final long points;
  private final long[] firstX;
  private final long[] lastX;
  private final long[] minX;
  private final long[] maxX;
  private final double[] first;
  private final double[] last;
  private final double[] min;
  private final double[] max;
  private final long[] count;
  private final long[] nanCount;

  MetricCurve(
      String runId,
      String key,
      CurveAxis axis,
      long points,
      long[] firstX,
      long[] lastX,
      long[] minX,
      long[] maxX,
      double[] first,
      double[] last,
      double[] min,
      double[] max,
      long[] count,
      long[] nanCount) {
    this.runId = Objects.requireNonNull(runId, "runId");
    this.key = Objects.requireNonNull(key, "key");
    this.axis = Objects.requireNonNull(axis, "axis");
    this.points = points;
    this.firstX = firstX;
    this.lastX = lastX;
    this.minX = minX;
    this.maxX = maxX;
    this.first = first;
    this.last = last;
    this.min = min;
    this.max = max;
    this.count = count;
    this.nanCount = nanCount;
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
   * Tells what x is.
   *
   * @return STEP, or TIME, which is in unix milliseconds
   */
  public CurveAxis axis() {
    return axis;
  }

  /**
   * Tells how many points of the series are in the range that was asked for.
   *
   * @return how many points of the series are in the range that was asked for
   */
  public long points() {
    return points;
  }

  /**
   * Tells x of each bucket's first point.
   *
   * @return x of each bucket's first point
   */
  public long[] firstX() {
    return firstX.clone();
  }

  /**
   * Tells x of each bucket's last point.
   *
   * @return x of each bucket's last point
   */
  public long[] lastX() {
    return lastX.clone();
  }

  /**
   * Tells x of each bucket's lowest point.
   *
   * @return x of each bucket's lowest point
   */
  public long[] minX() {
    return minX.clone();
  }

  /**
   * Tells x of each bucket's highest point.
   *
   * @return x of each bucket's highest point
   */
  public long[] maxX() {
    return maxX.clone();
  }

  /**
   * Tells the value of each bucket's first point.
   *
   * @return the value of each bucket's first point
   */
  public double[] first() {
    return first.clone();
  }

  /**
   * Tells the value of each bucket's last point.
   *
   * @return the value of each bucket's last point
   */
  public double[] last() {
    return last.clone();
  }

  /**
   * Tells each bucket's lowest value.
   *
   * @return each bucket's lowest value
   */
  public double[] min() {
    return min.clone();
  }

  /**
   * Tells each bucket's highest value.
   *
   * @return each bucket's highest value
   */
  public double[] max() {
    return max.clone();
  }

  /**
   * Tells how many points each bucket stands for.
   *
   * @return how many points each bucket stands for
   */
  public long[] count() {
    return count.clone();
  }

  /**
   * Tells how many of them are NaN.
   *
   * @return how many of them are NaN
   */
  public long[] nanCount() {
    return nanCount.clone();
  }

  /**
   * Counts the buckets.
   *
   * @return how many there are
   */
  public int size() {
    return count.length;
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof MetricCurve)) {
      return false;
    }
    MetricCurve that = (MetricCurve) other;
    return runId.equals(that.runId)
        && key.equals(that.key)
        && axis.equals(that.axis)
        && points == that.points
        && Arrays.equals(firstX, that.firstX)
        && Arrays.equals(lastX, that.lastX)
        && Arrays.equals(minX, that.minX)
        && Arrays.equals(maxX, that.maxX)
        && Arrays.equals(first, that.first)
        && Arrays.equals(last, that.last)
        && Arrays.equals(min, that.min)
        && Arrays.equals(max, that.max)
        && Arrays.equals(count, that.count)
        && Arrays.equals(nanCount, that.nanCount);
  }

  @Override
  public int hashCode() {
    return Objects.hash(
        runId,
        key,
        axis,
        points,
        Arrays.hashCode(firstX),
        Arrays.hashCode(lastX),
        Arrays.hashCode(minX),
        Arrays.hashCode(maxX),
        Arrays.hashCode(first),
        Arrays.hashCode(last),
        Arrays.hashCode(min),
        Arrays.hashCode(max),
        Arrays.hashCode(count),
        Arrays.hashCode(nanCount));
  }

  @Override
  public String toString() {
    return "MetricCurve[runId=" + runId + ", key=" + key + ", " + size() + " buckets]";
  }
}
