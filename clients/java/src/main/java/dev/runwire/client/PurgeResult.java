package dev.runwire.client;

import java.util.Objects;

/** How much a purge removed for good. */
public final class PurgeResult {
  private final long runs;
  private final long experiments;

  PurgeResult(long runs, long experiments) {
    this.runs = runs;
    this.experiments = experiments;
  }

  /**
   * Tells how many runs were removed.
   *
   * @return the number of runs
   */
  public long runs() {
    return runs;
  }

  /**
   * Tells how many experiments were removed.
   *
   * @return the number of experiments
   */
  public long experiments() {
    return experiments;
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof PurgeResult)) {
      return false;
    }
    PurgeResult that = (PurgeResult) other;
    return runs == that.runs && experiments == that.experiments;
  }

  @Override
  public int hashCode() {
    return Objects.hash(runs, experiments);
  }

  @Override
  public String toString() {
    return "PurgeResult[runs=" + runs + ", experiments=" + experiments + "]";
  }
}
