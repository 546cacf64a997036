package dev.runwire.client;

import dev.runwire.v1.Group;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Passes over what was logged: gathers points in blocks, and hands records on in an order that
 * keeps each run's.
 *
 * <p>Points of a run may move before and behind those of other keys, never across another record of
 * their run.
 */
final class Fold {
  /** A payload may have 2 MiB; a record keeps well below, so that it fits with its begin record. */
  static final int MOST_RECORD_BYTES = 1_800_000;

  private static final int UNIT_BYTES = 512 * 1024;
  private static final int BATCH_BYTES = 256 * 1024;

  private final Groups groups;
  private final Consumer<LogRecord> emit;
  private final Map<String, Columns> runs = new LinkedHashMap<>();

  Fold(Groups groups, Consumer<LogRecord> emit) {
    this.groups = groups;
    this.emit = emit;
  }

  void point(KeySet series, double value, long step, long time) {
    KeySet.Column column = series.column;
    if (column == null) {
      column = open(series);
    }
    column.add(value, step, time);
  }

  void row(Row row, long step, long time) {
    KeySet.Column column = row.keys.column;
    if (column == null) {
      column = open(row.keys);
    }
    column.add(row.values, step, time);
  }

  private KeySet.Column open(KeySet keys) {
    return runs.computeIfAbsent(keys.runId, Columns::new).open(keys);
  }

  /** Hands a record on, behind the points of its run that came before it. */
  void record(LogRecord record) {
    Columns found = runs.remove(record.runId);
    if (found != null) {
      found.finish();
    }
    emit.accept(record);
  }

  /** Hands on all points. */
  void finish() {
    List<Columns> all = new ArrayList<>(runs.values());
    runs.clear();
    all.forEach(Columns::finish);
  }

  /** The points of one run, by key or set of keys, in the order of arrival within each key. */
  private final class Columns {
    private final String runId;
    private final Set<KeySet> open = new LinkedHashSet<>();
    // A key that stands alone and in a set has to be written before its points change places.
    private final Map<String, KeySet> owner = new HashMap<>();
    private List<byte[]> blocks = new ArrayList<>();
    private Set<Group> named = new LinkedHashSet<>();
    private int size;

    Columns(String runId) {
      this.runId = runId;
    }

    KeySet.Column open(KeySet keys) {
      for (String key : keys.keys) {
        KeySet other = owner.put(key, keys);
        if (other != null && other != keys && open.remove(other)) {
          write(other);
        }
      }
      open.add(keys);
      keys.column = new KeySet.Column(keys.width());
      return keys.column;
    }

    void finish() {
      open.forEach(this::write);
      open.clear();
      cut();
    }

    private void write(KeySet keys) {
      KeySet.Column column = keys.column;
      keys.column = null;
      int rows = Math.max(1, UNIT_BYTES / (8 * (column.width + 2)));
      List<Groups.Part> parts = groups.parts(keys.keys);
      for (int start = 0; start < column.rows; start += rows) {
        unit(parts, column, start, Math.min(start + rows, column.rows));
      }
    }

    /** Adds rows; blocks that share them stay in one record where they fit. */
    private void unit(List<Groups.Part> parts, KeySet.Column column, int start, int end) {
      for (Groups.Part part : parts) {
        byte[] block =
            Wire.block(
                part.header,
                column.steps,
                column.times,
                column.values,
                column.width,
                start,
                end,
                part.start,
                part.end);
        if (size + block.length > MOST_RECORD_BYTES) {
          cut();
        }
        blocks.add(block);
        size += block.length;
        if (part.group != null) {
          named.add(part.group);
        }
      }
      if (size >= BATCH_BYTES) {
        cut();
      }
    }

    private void cut() {
      if (!blocks.isEmpty()) {
        byte[] data = Wire.batch(runId, blocks);
        emit.accept(new LogRecord(runId, data, List.copyOf(named), false));
      }
      blocks = new ArrayList<>();
      named = new LinkedHashSet<>();
      size = 0;
    }
  }
}
