package dev.runwire.client;

import dev.runwire.v1.Block;
import dev.runwire.v1.StepList;
import dev.runwire.v1.StepRange;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Points, params and tags that are added to a run together, all or nothing. Not for several threads
 * at once.
 */
public final class Batch {
  // Of each about the most: a point in a block of its own beside its key, a char of a key, a pair
  // of long texts.
  private static final int POINT_BYTES = 64;
  private static final int CHAR_BYTES = 3;
  private static final int PAIR_BYTES = 32 * 1024;

  private final Map<String, String> params = new LinkedHashMap<>();
  private final Map<String, String> tags = new LinkedHashMap<>();
  private final List<Rows> blocks = new ArrayList<>();
  // The block that holds a key's last row: a later row may only join that one, or two points of one
  // step and time would change places.
  private final Map<String, Rows> last = new HashMap<>();
  private final Map<String, Double> row = new LinkedHashMap<>();
  private long rowStep;
  private long rowTime;
  private long weight;

  /** Makes an empty batch. */
  public Batch() {}

  private static final class Rows {
    final List<String> keys;
    final List<Long> steps = new ArrayList<>();
    final List<Long> times = new ArrayList<>();
    final List<Double> values = new ArrayList<>();

    Rows(List<String> keys) {
      this.keys = keys;
    }
  }

  /**
   * Adds a point, measured now.
   *
   * @param key the metric
   * @param value the value
   * @param step the step
   * @return this
   */
  public Batch metric(String key, double value, long step) {
    return metric(key, value, step, System.currentTimeMillis());
  }

  /**
   * Adds a point.
   *
   * @param key the metric
   * @param value the value
   * @param step the step
   * @param timestamp when it was measured, unix milliseconds
   * @return this
   */
  public Batch metric(String key, double value, long step, long timestamp) {
    Objects.requireNonNull(key, "key");
    if (!row.isEmpty() && (rowStep != step || rowTime != timestamp || row.containsKey(key))) {
      cut();
    }
    rowStep = step;
    rowTime = timestamp;
    row.put(key, value);
    weight += weight(key);
    return this;
  }

  /**
   * Adds many points of a fixed set of metrics.
   *
   * @param keys the metrics, distinct
   * @param steps the steps
   * @param timestamps as many times, unix milliseconds
   * @param values the values, step after step: that of step s and key k is {@code values[s *
   *     keys.size() + k]}
   * @return this
   * @throws IllegalArgumentException the lengths do not go together
   */
  public Batch metrics(List<String> keys, long[] steps, long[] timestamps, double[] values) {
    List<String> names = Values.list("keys", keys);
    Objects.requireNonNull(steps, "steps");
    Objects.requireNonNull(timestamps, "timestamps");
    Objects.requireNonNull(values, "values");
    if (timestamps.length != steps.length || values.length != steps.length * names.size()) {
      throw new IllegalArgumentException(
          String.format(
              "a block of %d steps and %d keys needs %d timestamps and %d values, and has %d and"
                  + " %d",
              steps.length,
              names.size(),
              steps.length,
              steps.length * names.size(),
              timestamps.length,
              values.length));
    }
    cut();
    Rows block = new Rows(names);
    Arrays.stream(steps).forEach(block.steps::add);
    Arrays.stream(timestamps).forEach(block.times::add);
    Arrays.stream(values).forEach(block.values::add);
    blocks.add(block);
    names.forEach(key -> weight += weight(key));
    weight += (long) Double.BYTES * (values.length + 2 * steps.length);
    last.clear();
    return this;
  }

  /**
   * Sets a param.
   *
   * @param key the param
   * @param value its value, sent as text
   * @return this
   */
  public Batch param(String key, Object value) {
    params.put(Objects.requireNonNull(key, "key"), Values.text(key, value));
    return this;
  }

  /**
   * Sets params.
   *
   * @param given the params; values are sent as text
   * @return this
   */
  public Batch params(Map<String, ?> given) {
    params.putAll(Values.texts("params", given));
    return this;
  }

  /**
   * Sets a tag.
   *
   * @param key the tag
   * @param value its value, sent as text
   * @return this
   */
  public Batch tag(String key, Object value) {
    tags.put(Objects.requireNonNull(key, "key"), Values.text(key, value));
    return this;
  }

  /**
   * Sets tags.
   *
   * @param given the tags; values are sent as text
   * @return this
   */
  public Batch tags(Map<String, ?> given) {
    tags.putAll(Values.texts("tags", given));
    return this;
  }

  private void cut() {
    if (row.isEmpty()) {
      return;
    }
    List<String> keys = List.copyOf(row.keySet());
    Rows block = last.get(keys.get(0));
    Rows found = block;
    if (block == null
        || !block.keys.equals(keys)
        || keys.stream().anyMatch(key -> last.get(key) != found)) {
      block = new Rows(keys);
      blocks.add(block);
      for (String key : keys) {
        last.put(key, block);
      }
    }
    block.steps.add(rowStep);
    block.times.add(rowTime);
    block.values.addAll(row.values());
    row.clear();
  }

  private static long weight(String key) {
    return POINT_BYTES + (long) CHAR_BYTES * key.length();
  }

  /**
   * Bounds the bytes of what was added by keys and numbers, which are the same whenever the same
   * calls fill a batch: texts may be longer then, and times that differ part what shared a block.
   */
  long weight() {
    return weight + (long) PAIR_BYTES * (params.size() + tags.size());
  }

  Map<String, String> params() {
    return params;
  }

  Map<String, String> tags() {
    return tags;
  }

  /** Makes the blocks of what was added, with inline keys. */
  List<Block.Builder> blocks() {
    cut();
    List<Block.Builder> made = new ArrayList<>();
    for (Rows rows : blocks) {
      if (!rows.steps.isEmpty()) {
        Block.Builder block =
            Block.newBuilder()
                .addAllKeys(rows.keys)
                .addAllTimestampsMs(rows.times)
                .addAllValues(rows.values);
        made.add(withAxis(block, rows.steps));
      }
    }
    return made;
  }

  private static Block.Builder withAxis(Block.Builder block, List<Long> steps) {
    long first = steps.get(0);
    long stride = steps.size() > 1 ? steps.get(1) - first : 0;
    boolean regular = true;
    for (int i = 1; i < steps.size() && regular; i++) {
      long before = steps.get(i - 1);
      boolean overflow = stride > 0 ? steps.get(i) < before : steps.get(i) > before;
      regular = steps.get(i) - before == stride && !(overflow && stride != 0);
    }
    return regular
        ? block.setRange(StepRange.newBuilder().setFirst(first).setStride(stride))
        : block.setSteps(StepList.newBuilder().addAllSteps(steps));
  }
}
