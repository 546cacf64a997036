package dev.runwire.client;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

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

  /** Makes a row of metrics; others may change the map meanwhile, so it is read once. */
  static Row of(Buffer.Keys known, Map<String, ? extends Number> metrics) {
    List<String> names = new ArrayList<>();
    List<Number> numbers = new ArrayList<>();
    Objects.requireNonNull(metrics, "metrics")
        .forEach(
            (name, number) -> {
              names.add(name);
              numbers.add(number);
            });
    KeySet keys = known.row(names);
    double[] values = new double[keys.width()];
    for (int i = 0; i < values.length; i++) {
      values[i] = Values.number(names.get(i), numbers.get(i));
    }
    return new Row(keys, values);
  }

  long weight() {
    return values.length > NARROW ? (long) CELL_BYTES * values.length : 0;
  }
}
