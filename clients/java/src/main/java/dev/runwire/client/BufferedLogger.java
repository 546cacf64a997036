package dev.runwire.client;

import java.time.Duration;
import java.util.ArrayList;
import java.util.ConcurrentModificationException;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** Logs to a run by way of the client's buffer. */
final class BufferedLogger implements RunLogger {
  private final Core core;
  private final Buffer buffer;
  private final Buffer.Keys keys;

  BufferedLogger(Core core, String runId) {
    this.core = core;
    this.buffer = core.pipeline.buffer();
    this.keys = buffer.keys(runId);
  }

  @Override
  public String runId() {
    return keys.runId;
  }

  @Override
  public void logMetric(String key, double value, long step, long timestamp) {
    checkTime(timestamp);
    buffer.point(keys.single(key), value, step, timestamp);
  }

  static void checkTime(long timestamp) {
    if (timestamp < 0) {
      throw Rules.invalid("blocks[0].timestamps_ms[0]", "must be 0 or later");
    }
  }

  @Override
  public void logMetrics(Map<String, ? extends Number> metrics, long step, long timestamp) {
    checkTime(timestamp);
    if (Objects.requireNonNull(metrics, "metrics").isEmpty()) {
      return;
    }
    KeySet row = keys.row(new ArrayList<>(metrics.keySet()));
    double[] values = values(row, metrics);
    if (values.length == 1) {
      buffer.point(keys.single(row.keys.get(0)), values[0], step, timestamp);
    } else {
      buffer.row(row, values, step, timestamp);
    }
  }

  static double[] values(KeySet row, Map<String, ? extends Number> metrics) {
    double[] values = new double[row.width()];
    int i = 0;
    for (Map.Entry<String, ? extends Number> metric : metrics.entrySet()) {
      if (i == values.length) {
        throw new ConcurrentModificationException("the metrics changed while they were logged");
      }
      values[i++] = Values.number(metric.getKey(), metric.getValue());
    }
    return values;
  }

  @Override
  public void logSeries(String key, double[] values, long[] steps, long[] timestamps) {
    Records.series(runId(), key, values, steps, timestamps, buffer::record);
  }

  @Override
  public void logBatch(Batch batch) {
    buffer.record(core.records.batch(runId(), batch));
  }

  @Override
  public void deleteTag(String key) {
    buffer.record(Records.deleteTag(runId(), key));
  }

  @Override
  public void logInputs(List<DatasetInput> inputs) {
    buffer.record(Records.inputs(runId(), inputs));
  }

  @Override
  public void flush() {
    core.pipeline.flush(core.given.timeout);
  }

  @Override
  public void flush(Duration timeout) {
    core.pipeline.flush(Values.nanoseconds("timeout", timeout));
  }
}
