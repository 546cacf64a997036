package dev.runwire.client;

import java.util.List;

/** The key of a series, or the keys of rows, of one run; the same object for the same keys. */
final class KeySet {
  final String runId;
  final List<String> keys;

  /** Where the folding thread gathers its points; null while it has none. */
  Column column;

  KeySet(String runId, List<String> keys) {
    this.runId = runId;
    this.keys = keys;
  }

  int width() {
    return keys.size();
  }

  /** Rows of values, growing. */
  static final class Column {
    final int width;
    long[] steps = new long[16];
    long[] times = new long[16];
    double[] values;
    int rows;

    Column(int width) {
      this.width = width;
      this.values = new double[16 * width];
    }

    private void grow() {
      int size = Math.multiplyExact(rows, 2);
      steps = java.util.Arrays.copyOf(steps, size);
      times = java.util.Arrays.copyOf(times, size);
      values = java.util.Arrays.copyOf(values, Math.multiplyExact(size, width));
    }

    void add(double value, long step, long time) {
      if (rows == steps.length) {
        grow();
      }
      steps[rows] = step;
      times[rows] = time;
      values[rows++] = value;
    }

    void add(double[] row, long step, long time) {
      if (rows == steps.length) {
        grow();
      }
      steps[rows] = step;
      times[rows] = time;
      System.arraycopy(row, 0, values, rows * width, width);
      rows++;
    }
  }
}
