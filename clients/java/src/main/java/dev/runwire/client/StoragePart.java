package dev.runwire.client;

import java.util.Objects;

/** What one part of the metric store holds. */
public final class StoragePart {
  private final String name;
  private final long rows;
  private final long points;
  private final long bytes;

  StoragePart(String name, long rows, long points, long bytes) {
    this.name = Objects.requireNonNull(name, "name");
    this.rows = rows;
    this.points = points;
    this.bytes = bytes;
  }

  /**
   * Tells which part of the metric store it is.
   *
   * @return {@code log}, {@code stripes}, {@code chunks}, {@code groups} or {@code summaries}
   */
  public String name() {
    return name;
  }

  /**
   * Tells how many rows of the database it has.
   *
   * @return the number of rows
   */
  public long rows() {
    return rows;
  }

  /**
   * Tells how many points it holds; of {@code summaries} how many series, of {@code groups} how
   * many keys.
   *
   * @return the number of points, series or keys
   */
  public long points() {
    return points;
  }

  /**
   * Tells the bytes of its data.
   *
   * @return the bytes of its data
   */
  public long bytes() {
    return bytes;
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof StoragePart)) {
      return false;
    }
    StoragePart that = (StoragePart) other;
    return name.equals(that.name)
        && rows == that.rows
        && points == that.points
        && bytes == that.bytes;
  }

  @Override
  public int hashCode() {
    return Objects.hash(name, rows, points, bytes);
  }

  @Override
  public String toString() {
    return "StoragePart[name="
        + name
        + ", rows="
        + rows
        + ", points="
        + points
        + ", bytes="
        + bytes
        + "]";
  }
}
