package dev.runwire.client;

import java.util.List;
import java.util.Objects;

/** What is new in watched runs. */
public final class MetricEvent {
  private final List<NewPoints> blocks;
  private final String cursor;
  private final List<String> resyncRunIds;

  MetricEvent(List<NewPoints> blocks, String cursor, List<String> resyncRunIds) {
    this.blocks = List.copyOf(blocks);
    this.cursor = Objects.requireNonNull(cursor, "cursor");
    this.resyncRunIds = List.copyOf(resyncRunIds);
  }

  /**
   * Tells new points, in their order of arrival within each run.
   *
   * @return new points, in their order of arrival within each run
   */
  public List<NewPoints> blocks() {
    return blocks;
  }

  /**
   * Tells where to go on: what {@link WatchSpec#cursor} takes to continue behind this event.
   *
   * @return where to go on: what {@link WatchSpec#cursor} takes to continue behind this event
   */
  public String cursor() {
    return cursor;
  }

  /**
   * Tells the runs of which points were skipped just before this event, since the watcher was too
   * slow: read them with {@link RunwireClient#getMetricHistory}.
   *
   * @return the runs of which points were skipped just before this event, since the watcher was too
   *     slow: read them with {@link RunwireClient#getMetricHistory}
   */
  public List<String> resyncRunIds() {
    return resyncRunIds;
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof MetricEvent)) {
      return false;
    }
    MetricEvent that = (MetricEvent) other;
    return blocks.equals(that.blocks)
        && cursor.equals(that.cursor)
        && resyncRunIds.equals(that.resyncRunIds);
  }

  @Override
  public int hashCode() {
    return Objects.hash(blocks, cursor, resyncRunIds);
  }

  @Override
  public String toString() {
    return "MetricEvent[blocks="
        + blocks
        + ", cursor="
        + cursor
        + ", resyncRunIds="
        + resyncRunIds
        + "]";
  }
}
