package dev.runwire.client;

import java.time.Duration;
import java.util.List;
import java.util.Map;

/** Logs to a run by way of the client's buffer. */
final class BufferedLogger implements RunLogger {
  private final Core core;
  private final long timeout;
  private final Buffer buffer;
  private final Buffer.Keys keys;

  BufferedLogger(Core core, long timeout, String runId) {
    this.core = core;
    this.timeout = timeout;
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
    Row row = Row.of(keys, metrics);
    if (row.keys.width() == 1) {
      buffer.point(keys.single(row.keys.keys.get(0)), row.values[0], step, timestamp);
    } else if (row.keys.width() > 1) {
      buffer.row(row, step, timestamp);
    }
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
    core.pipeline.flush(timeout);
  }

  @Override
  public void flush(Duration timeout) {
    core.pipeline.flush(Values.nanoseconds("timeout", timeout));
  }
}
