package dev.runwire.client;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/**
 * A run that was started here, and is ended here.
 *
 * <p>Try-with-resources can not see whether its block threw. So {@link #finish} stands last in the
 * block, as a commit does in a transaction, and a run that is closed without it is FAILED:
 *
 * <pre>{@code
 * try (ActiveRun run = client.startRun("first")) {
 *   run.logMetric("loss", 0.25, 1);
 *   run.finish();
 * }
 * }</pre>
 *
 * <p>{@link RunwireClient#run(String, RunAction)} does this by itself. Heartbeats are sent until
 * the run is ended. Runs that are open when the client is closed, or the process ends, are KILLED.
 */
public final class ActiveRun implements RunLogger, AutoCloseable {
  private final Core core;
  private final BufferedLogger logger;
  private final String name;
  private final AtomicBoolean ended = new AtomicBoolean();

  ActiveRun(Core core, long timeout, String runId, String name) {
    this.core = core;
    this.logger = new BufferedLogger(core, timeout, runId);
    this.name = name;
    core.pipeline.keepAlive(runId);
    core.opened(this);
  }

  @Override
  public String runId() {
    return logger.runId();
  }

  /**
   * Tells the run's name.
   *
   * @return its name; empty if it was resumed without asking the server
   */
  public String name() {
    return name;
  }

  @Override
  public void logMetric(String key, double value, long step, long timestamp) {
    logger.logMetric(key, value, step, timestamp);
  }

  @Override
  public void logMetrics(Map<String, ? extends Number> metrics, long step, long timestamp) {
    logger.logMetrics(metrics, step, timestamp);
  }

  @Override
  public void logSeries(String key, double[] values, long[] steps, long[] timestamps) {
    logger.logSeries(key, values, steps, timestamps);
  }

  @Override
  public void logBatch(Batch batch) {
    logger.logBatch(batch);
  }

  @Override
  public void deleteTag(String key) {
    logger.deleteTag(key);
  }

  @Override
  public void logInputs(List<DatasetInput> inputs) {
    logger.logInputs(inputs);
  }

  @Override
  public void flush() {
    logger.flush();
  }

  @Override
  public void flush(Duration timeout) {
    logger.flush(timeout);
  }

  /**
   * Ends the run as FINISHED, behind all that was logged to it, and waits until that is delivered.
   *
   * @throws RunwireException something is not delivered, or was rejected; see {@link
   *     RunwireClient#flush()}
   */
  public void finish() {
    finish(RunStatus.FINISHED);
  }

  /**
   * Ends the run, behind all that was logged to it, and waits until that is delivered. A run that
   * is ended already stays as it is.
   *
   * @param status FINISHED, FAILED or KILLED
   * @throws RunwireException something is not delivered, or was rejected; see {@link
   *     RunwireClient#flush()}
   */
  public void finish(RunStatus status) {
    if (end(status, core.pipeline::finish)) {
      flush();
    }
  }

  private boolean end(RunStatus status, Consumer<LogRecord> to) {
    LogRecord record = Records.finish(runId(), status, null);
    if (!ended.compareAndSet(false, true)) {
      return false;
    }
    try {
      to.accept(record);
    } catch (RuntimeException refused) {
      // Then it goes on, and can be ended again.
      ended.set(false);
      throw refused;
    }
    core.ended(this);
    return true;
  }

  /** Ends the run without waiting, as the client or the process ends. */
  void kill() {
    end(RunStatus.KILLED, core.pipeline::kill);
  }

  /** Ends the run as FAILED, unless {@link #finish} has ended it. */
  @Override
  public void close() {
    finish(RunStatus.FAILED);
  }
}
