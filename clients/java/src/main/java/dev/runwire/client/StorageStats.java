package dev.runwire.client;

import java.util.List;
import java.util.Objects;

/** What metric points take on a server's disk. */
public final class StorageStats {
  private final List<StoragePart> parts;
  private final long points;
  private final long backlogBytes;
  private final long databaseBytes;
  private final long walBytes;

  StorageStats(
      List<StoragePart> parts, long points, long backlogBytes, long databaseBytes, long walBytes) {
    this.parts = List.copyOf(parts);
    this.points = points;
    this.backlogBytes = backlogBytes;
    this.databaseBytes = databaseBytes;
    this.walBytes = walBytes;
  }

  /**
   * Tells the parts of the metric store.
   *
   * @return the parts of the metric store
   */
  public List<StoragePart> parts() {
    return parts;
  }

  /**
   * Counts the points of all runs, each once.
   *
   * @return the number of points
   */
  public long points() {
    return points;
  }

  /**
   * Tells the bytes in the log that wait to be compacted.
   *
   * @return the bytes in the log that wait to be compacted
   */
  public long backlogBytes() {
    return backlogBytes;
  }

  /**
   * Tells the size of the database, with all else that is in it.
   *
   * @return bytes on the server's disk
   */
  public long databaseBytes() {
    return databaseBytes;
  }

  /**
   * Tells the size of SQLite's write-ahead log.
   *
   * @return bytes on the server's disk; 0 on PostgreSQL
   */
  public long walBytes() {
    return walBytes;
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof StorageStats)) {
      return false;
    }
    StorageStats that = (StorageStats) other;
    return parts.equals(that.parts)
        && points == that.points
        && backlogBytes == that.backlogBytes
        && databaseBytes == that.databaseBytes
        && walBytes == that.walBytes;
  }

  @Override
  public int hashCode() {
    return Objects.hash(parts, points, backlogBytes, databaseBytes, walBytes);
  }

  @Override
  public String toString() {
    return "StorageStats[parts="
        + parts
        + ", points="
        + points
        + ", backlogBytes="
        + backlogBytes
        + ", databaseBytes="
        + databaseBytes
        + ", walBytes="
        + walBytes
        + "]";
  }
}
