package dev.runwire.client;

import java.util.Objects;

/** How to draw curves. Each method returns a copy. */
public final class CurveOptions {
  private final int maxPoints;
  private final CurveAxis axis;
  private final Long minX;
  private final Long maxX;

  /** Makes those of a curve over all steps, in at most 1,000 buckets. */
  public CurveOptions() {
    this(1000, CurveAxis.STEP, null, null);
  }

  private CurveOptions(int maxPoints, CurveAxis axis, Long minX, Long maxX) {
    this.maxPoints = maxPoints;
    this.axis = axis;
    this.minX = minX;
    this.maxX = maxX;
  }

  /**
   * Gives the most buckets of a curve; 1,000 by default.
   *
   * @param maxPoints 1 to 10,000
   * @return a copy with it
   */
  public CurveOptions maxPoints(int maxPoints) {
    return new CurveOptions(maxPoints, axis, minX, maxX);
  }

  /**
   * Gives what x is; STEP by default.
   *
   * @param axis STEP, or TIME, which is in unix milliseconds
   * @return a copy with it
   */
  public CurveOptions axis(CurveAxis axis) {
    return new CurveOptions(maxPoints, Objects.requireNonNull(axis, "axis"), minX, maxX);
  }

  /**
   * Gives the least x, which is in the curve.
   *
   * @param minX a step or unix milliseconds, as the axis is; null for no bound
   * @return a copy with it
   */
  public CurveOptions minX(Long minX) {
    return new CurveOptions(maxPoints, axis, minX, maxX);
  }

  /**
   * Gives the greatest x, which is in the curve.
   *
   * @param maxX a step or unix milliseconds, as the axis is; null for no bound
   * @return a copy with it
   */
  public CurveOptions maxX(Long maxX) {
    return new CurveOptions(maxPoints, axis, minX, maxX);
  }

  int maxPoints() {
    return maxPoints;
  }

  CurveAxis axis() {
    return axis;
  }

  Long minX() {
    return minX;
  }

  Long maxX() {
    return maxX;
  }
}
