package dev.runwire.client;

import java.util.Collection;
import java.util.List;
import java.util.Objects;

/** What to watch. Each method returns a copy. */
public final class WatchSpec {
  private final List<String> runIds;
  private final List<String> keys;
  private final String cursor;
  private final boolean fromStart;

  /** Makes one in which nothing is given. */
  public WatchSpec() {
    this(List.of(), List.of(), "", false);
  }

  private WatchSpec(List<String> runIds, List<String> keys, String cursor, boolean fromStart) {
    this.runIds = runIds;
    this.keys = keys;
    this.cursor = cursor;
    this.fromStart = fromStart;
  }

  /**
   * Gives the runs, 1 to 100, deleted or not.
   *
   * @param runIds the runs, 1 to 100, deleted or not
   * @return a copy with it
   */
  public WatchSpec runIds(Collection<String> runIds) {
    return new WatchSpec(Values.list("runIds", runIds), keys, cursor, fromStart);
  }

  /**
   * Gives the metrics; none for all.
   *
   * @param keys the metrics
   * @return a copy with it
   */
  public WatchSpec keys(Collection<String> keys) {
    return new WatchSpec(runIds, Values.list("keys", keys), cursor, fromStart);
  }

  /**
   * Gives the cursor of an earlier event of the same runs, to go on behind it.
   *
   * @param cursor what {@link MetricEvent#cursor} or {@link MetricWatch#cursor} said; empty for
   *     none
   * @return a copy with it
   */
  public WatchSpec cursor(String cursor) {
    return new WatchSpec(runIds, keys, Objects.requireNonNull(cursor, "cursor"), fromStart);
  }

  /**
   * Gives where to begin without a cursor; with the next new point by default.
   *
   * @param fromStart true for the first point of each run, false for the next new one
   * @return a copy with it
   */
  public WatchSpec fromStart(boolean fromStart) {
    return new WatchSpec(runIds, keys, cursor, fromStart);
  }

  List<String> runIds() {
    return runIds;
  }

  List<String> keys() {
    return keys;
  }

  String cursor() {
    return cursor;
  }

  boolean fromStart() {
    return fromStart;
  }
}
