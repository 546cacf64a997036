package dev.runwire.client;

/** What the x of a curve is. */
public enum CurveAxis {
  /** Steps; ties by time, then by arrival. */
  STEP,
  /** Times in unix milliseconds; ties by step, then by arrival. */
  TIME
}
