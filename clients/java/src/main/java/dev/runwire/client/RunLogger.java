package dev.runwire.client;

import java.time.Duration;
import java.util.List;
import java.util.Map;

/**
 * Logs to one run.
 *
 * <p>Logging returns at once: what is logged goes through a spool on this machine to the server, in
 * the order of the calls, exactly once, also while the server is away or restarts. What is wrong
 * with the arguments throws at the call: {@link InvalidArgumentException} with the reason {@code
 * INVALID_FIELD}. What the server rejects ({@code RUN_DELETED}, {@code PARAM_IMMUTABLE} ...) is
 * thrown by the next {@link #flush} or close, as the exception that a call of its own would have
 * thrown. When the buffers on the way are full, a call waits. Threads may share a logger.
 */
public interface RunLogger {
  /**
   * Tells the run.
   *
   * @return its id
   */
  String runId();

  /**
   * Adds one point to a metric.
   *
   * @param key the metric
   * @param value the value; kept bit by bit
   * @param step the step
   * @param timestamp when it was measured, unix milliseconds
   */
  void logMetric(String key, double value, long step, long timestamp);

  /**
   * Adds one point to a metric, measured now.
   *
   * @param key the metric
   * @param value the value; kept bit by bit
   * @param step the step
   */
  default void logMetric(String key, double value, long step) {
    logMetric(key, value, step, System.currentTimeMillis());
  }

  /**
   * Adds one point to a metric, at step 0, measured now.
   *
   * @param key the metric
   * @param value the value; kept bit by bit
   */
  default void logMetric(String key, double value) {
    logMetric(key, value, 0, System.currentTimeMillis());
  }

  /**
   * Adds one point to each of several metrics: all or none.
   *
   * @param metrics the values
   * @param step the step
   * @param timestamp when they were measured, unix milliseconds
   */
  void logMetrics(Map<String, ? extends Number> metrics, long step, long timestamp);

  /**
   * Adds one point to each of several metrics, measured now: all or none.
   *
   * @param metrics the values
   * @param step the step
   */
  default void logMetrics(Map<String, ? extends Number> metrics, long step) {
    logMetrics(metrics, step, System.currentTimeMillis());
  }

  /**
   * Adds one point to each of several metrics, at step 0, measured now: all or none.
   *
   * @param metrics the values
   */
  default void logMetrics(Map<String, ? extends Number> metrics) {
    logMetrics(metrics, 0, System.currentTimeMillis());
  }

  /**
   * Adds many points to a metric, the cheapest way where they are in an array.
   *
   * @param key the metric
   * @param values the values
   * @param steps as many steps; null for 0, 1, 2 ...
   * @param timestamps as many times, unix milliseconds; null for now
   * @throws IllegalArgumentException there are not as many steps or times as values
   */
  void logSeries(String key, double[] values, long[] steps, long[] timestamps);

  /**
   * Adds many points to a metric, measured now.
   *
   * @param key the metric
   * @param values the values
   * @param steps as many steps; null for 0, 1, 2 ...
   */
  default void logSeries(String key, double[] values, long[] steps) {
    logSeries(key, values, steps, null);
  }

  /**
   * Adds many points to a metric, at the steps 0, 1, 2 ..., measured now.
   *
   * @param key the metric
   * @param values the values
   */
  default void logSeries(String key, double[] values) {
    logSeries(key, values, null, null);
  }

  /**
   * Adds points, params and tags: all or nothing.
   *
   * @param batch what to add; at most about 100,000 points, 1,000 params and 1,000 tags
   */
  void logBatch(Batch batch);

  /**
   * Sets a param, for good.
   *
   * @param key the param
   * @param value its value, sent as text
   */
  default void logParam(String key, Object value) {
    logBatch(new Batch().param(key, value));
  }

  /**
   * Sets params, for good: all or none.
   *
   * @param params the params; values are sent as text
   */
  default void logParams(Map<String, ?> params) {
    logBatch(new Batch().params(params));
  }

  /**
   * Sets a tag, overwriting it.
   *
   * @param key the tag
   * @param value its value, sent as text
   */
  default void setTag(String key, Object value) {
    logBatch(new Batch().tag(key, value));
  }

  /**
   * Sets tags, overwriting them: all or none.
   *
   * @param tags the tags; values are sent as text
   */
  default void setTags(Map<String, ?> tags) {
    logBatch(new Batch().tags(tags));
  }

  /**
   * Removes a tag; one that is not there is no error.
   *
   * @param key the tag
   */
  void deleteTag(String key);

  /**
   * Records data sets that the run reads; one that it has already changes nothing.
   *
   * @param inputs 1 to 100 data sets, with what they are used for
   */
  void logInputs(List<DatasetInput> inputs);

  /**
   * Waits until everything logged so far is on the server's disk; offline, on this machine's.
   *
   * @throws RunwireException something is not delivered, or was rejected; see {@link
   *     RunwireClient#flush()}
   */
  void flush();

  /**
   * Waits as {@link #flush()} does.
   *
   * @param timeout how long it may take
   * @throws RunwireException something is not delivered, or was rejected; see {@link
   *     RunwireClient#flush()}
   */
  void flush(Duration timeout);
}
