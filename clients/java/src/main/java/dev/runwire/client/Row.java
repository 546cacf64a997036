package dev.runwire.client;

/** Values of several metrics of one step. */
final class Row {
  private static final int CELL_BYTES = 16;
  // Rows wider than this count by their size, and not by their number.
  private static final int NARROW = 8;

  final KeySet keys;
  final double[] values;

  Row(KeySet keys, double[] values) {
    this.keys = keys;
    this.values = values;
  }

  long weight() {
    return values.length > NARROW ? (long) CELL_BYTES * values.length : 0;
  }
}
