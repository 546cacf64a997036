package dev.runwire.client;

import java.time.Duration;
import java.time.Instant;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * The calls of {@link RunwireClient} as futures; each fails with what the blocking one throws,
 * arguments that are wrong included. Cancelling a future cancels its call; the run of one that
 * starts a run is KILLED then. Logging itself does not wait, so it has no futures: see {@link
 * #logger}.
 *
 * <p>What is to be done when a future is done runs on the client's executor, see {@link
 * RunwireClient.Builder#executor}.
 */
public final class AsyncRunwireClient implements AutoCloseable {
  private final Core core;
  private final long timeout;

  AsyncRunwireClient(Core core, long timeout) {
    this.core = core;
    this.timeout = timeout;
  }

  /** Does what is more than one call, on a thread that may wait; waiting for that counts, too. */
  private <R> CompletableFuture<R> later(Function<RunwireClient, R> what) {
    Deadline deadline = Deadline.in(timeout);
    return core.sender.later(deadline, () -> what.apply(within(deadline)));
  }

  /** Starts a run in the same way; the run's own calls have all the time. */
  private CompletableFuture<ActiveRun> start(Function<RunStarter, ActiveRun> what) {
    Deadline deadline = Deadline.in(timeout);
    return core.sender.start(deadline, () -> what.apply(within(deadline).starter));
  }

  private RunwireClient within(Deadline deadline) {
    return new RunwireClient(core, Math.max(1, deadline.left()));
  }

  private <R> CompletableFuture<R> send(Supplier<Call<?, ?, R>> call) {
    try {
      return core.sender.sendAsync(call.get(), Deadline.in(timeout));
    } catch (RuntimeException wrong) {
      return CompletableFuture.failedFuture(wrong);
    }
  }

  /**
   * Creates an experiment; see {@link RunwireClient#createExperiment}.
   *
   * @param name its name
   * @param tags its first tags; values are sent as text
   * @return the new experiment's id
   */
  public CompletableFuture<String> createExperiment(String name, Map<String, ?> tags) {
    return send(() -> Requests.createExperiment(name, tags));
  }

  /**
   * Returns one experiment; see {@link RunwireClient#getExperiment}.
   *
   * @param experimentId the experiment
   * @return the experiment
   */
  public CompletableFuture<Experiment> getExperiment(String experimentId) {
    return send(() -> Requests.getExperiment(experimentId));
  }

  /**
   * Returns the experiment of a name; see {@link RunwireClient#getExperimentByName}.
   *
   * @param name the name, exactly
   * @return the experiment; empty if there is none
   */
  public CompletableFuture<Optional<Experiment>> getExperimentByName(String name) {
    CompletableFuture<Experiment> asked = send(() -> Requests.getExperimentByName(name));
    CompletableFuture<Optional<Experiment>> result = new CompletableFuture<>();
    asked.whenComplete(
        (found, error) -> {
          if (error == null || error instanceof NotFoundException) {
            result.complete(Optional.ofNullable(found));
          } else {
            result.completeExceptionally(error);
          }
        });
    Sender.ifCancelled(result, () -> asked.cancel(true));
    return result;
  }

  /**
   * Returns the experiment of a name, created if there is none; see {@link
   * RunwireClient#getOrCreateExperiment}.
   *
   * @param name the name, exactly
   * @return the experiment
   */
  public CompletableFuture<Experiment> getOrCreateExperiment(String name) {
    return later(client -> client.getOrCreateExperiment(name));
  }

  /**
   * Returns a page of experiments; see {@link RunwireClient#searchExperiments}.
   *
   * @param search what to look for
   * @return the page
   */
  public CompletableFuture<Page<Experiment>> searchExperiments(ExperimentSearch search) {
    return send(() -> Requests.searchExperiments(search));
  }

  /**
   * Renames an experiment; see {@link RunwireClient#renameExperiment}.
   *
   * @param experimentId the experiment
   * @param name its new name
   * @return done when it is
   */
  public CompletableFuture<Void> renameExperiment(String experimentId, String name) {
    return send(() -> Requests.renameExperiment(experimentId, name));
  }

  /**
   * Deletes an experiment; see {@link RunwireClient#deleteExperiment}.
   *
   * @param experimentId the experiment
   * @return done when it is
   */
  public CompletableFuture<Void> deleteExperiment(String experimentId) {
    return send(() -> Requests.deleteExperiment(experimentId));
  }

  /**
   * Takes the deletion of an experiment back; see {@link RunwireClient#restoreExperiment}.
   *
   * @param experimentId the experiment
   * @return done when it is
   */
  public CompletableFuture<Void> restoreExperiment(String experimentId) {
    return send(() -> Requests.restoreExperiment(experimentId));
  }

  /**
   * Sets one tag of an experiment; see {@link RunwireClient#setExperimentTag}.
   *
   * @param experimentId the experiment
   * @param key the tag
   * @param value its value, sent as text
   * @return done when it is
   */
  public CompletableFuture<Void> setExperimentTag(String experimentId, String key, Object value) {
    return send(() -> Requests.setExperimentTags(experimentId, Values.one(key, value)));
  }

  /**
   * Sets tags of an experiment; see {@link RunwireClient#setExperimentTags}.
   *
   * @param experimentId the experiment
   * @param tags the tags; values are sent as text
   * @return done when they are
   */
  public CompletableFuture<Void> setExperimentTags(String experimentId, Map<String, ?> tags) {
    return send(() -> Requests.setExperimentTags(experimentId, tags));
  }

  /**
   * Removes one tag of an experiment; see {@link RunwireClient#deleteExperimentTag}.
   *
   * @param experimentId the experiment
   * @param key the tag
   * @return done when it is
   */
  public CompletableFuture<Void> deleteExperimentTag(String experimentId, String key) {
    return send(() -> Requests.deleteExperimentTag(experimentId, key));
  }

  /**
   * Returns one run; see {@link RunwireClient#getRun(String)}.
   *
   * @param runId the run
   * @return the run
   */
  public CompletableFuture<Run> getRun(String runId) {
    return getRun(runId, new RunMask());
  }

  /**
   * Returns parts of one run; see {@link RunwireClient#getRun}.
   *
   * @param runId the run
   * @param mask the parts to return
   * @return the run
   */
  public CompletableFuture<Run> getRun(String runId, RunMask mask) {
    return send(() -> Requests.getRun(runId, mask));
  }

  /**
   * Returns a page of runs; see {@link RunwireClient#searchRuns}.
   *
   * @param search what to look for
   * @return the page
   */
  public CompletableFuture<Page<Run>> searchRuns(RunSearch search) {
    return send(() -> Requests.searchRuns(search));
  }

  /**
   * Changes a run's status or name; see {@link RunwireClient#updateRun}.
   *
   * @param runId the run
   * @param status the new status; null to keep it
   * @param name the new name; null to keep it
   * @return the run as it is now
   */
  public CompletableFuture<Run> updateRun(String runId, RunStatus status, String name) {
    return send(() -> core.updateRun(runId, status, name));
  }

  /**
   * Deletes a run; see {@link RunwireClient#deleteRun}.
   *
   * @param runId the run
   * @return done when it is
   */
  public CompletableFuture<Void> deleteRun(String runId) {
    return send(() -> Requests.deleteRun(runId));
  }

  /**
   * Takes the deletion of a run back; see {@link RunwireClient#restoreRun}.
   *
   * @param runId the run
   * @return done when it is
   */
  public CompletableFuture<Void> restoreRun(String runId) {
    return send(() -> Requests.restoreRun(runId));
  }

  /**
   * Returns the points of one metric of one run; see {@link RunwireClient#getMetricHistory}.
   *
   * @param runId the run
   * @param key the metric
   * @param minStep the least step; null for no bound
   * @param maxStep the greatest step; null for no bound
   * @return the points
   */
  public CompletableFuture<MetricHistory> getMetricHistory(
      String runId, String key, Long minStep, Long maxStep) {
    return send(() -> Requests.getMetricHistory(runId, key, minStep, maxStep));
  }

  /**
   * Returns the points of several metrics of several runs; see {@link
   * RunwireClient#getMetricHistories}.
   *
   * @param runIds the runs
   * @param keys the metrics; none for all
   * @param minStep the least step; null for no bound
   * @param maxStep the greatest step; null for no bound
   * @return for each run the history of each metric
   */
  public CompletableFuture<Map<String, Map<String, MetricHistory>>> getMetricHistories(
      Collection<String> runIds, Collection<String> keys, Long minStep, Long maxStep) {
    return send(() -> Requests.getMetricHistories(runIds, keys, minStep, maxStep));
  }

  /**
   * Returns a curve; see {@link RunwireClient#getMetricCurve}.
   *
   * @param runId the run
   * @param key the metric
   * @param options how to draw it
   * @return the curve
   */
  public CompletableFuture<MetricCurve> getMetricCurve(
      String runId, String key, CurveOptions options) {
    return send(() -> Requests.getMetricCurve(runId, key, options));
  }

  /**
   * Returns curves; see {@link RunwireClient#getMetricCurves}.
   *
   * @param series the series
   * @param options how to draw them
   * @return the curves, in the order asked for
   */
  public CompletableFuture<List<MetricCurve>> getMetricCurves(
      Collection<SeriesKey> series, CurveOptions options) {
    return send(() -> Requests.getMetricCurves(series, options));
  }

  /**
   * Says that runs are alive; see {@link RunwireClient#heartbeat}.
   *
   * @param runIds the runs
   * @return those of the runs that are alive now
   */
  public CompletableFuture<List<String>> heartbeat(Collection<String> runIds) {
    return send(() -> Requests.heartbeat(runIds));
  }

  /**
   * Asks the server what it is and allows; see {@link RunwireClient#serverInfo}.
   *
   * @return version, limits and features
   */
  public CompletableFuture<ServerInfo> serverInfo() {
    return send(() -> Requests.serverInfo());
  }

  /**
   * Counts what the metric points take on the server's disk; see {@link
   * RunwireClient#storageStats}.
   *
   * @return the parts, and what waits to be compacted
   */
  public CompletableFuture<StorageStats> storageStats() {
    return send(() -> Requests.storageStats());
  }

  /**
   * Removes for good what was deleted; see {@link RunwireClient#purge}.
   *
   * @param olderThan only what was deleted at least this long ago
   * @return how much was removed
   */
  public CompletableFuture<PurgeResult> purge(Duration olderThan) {
    return send(() -> Requests.purge(olderThan));
  }

  /**
   * Creates a run; see {@link RunwireClient#createRun}.
   *
   * @param spec what it is to be
   * @return the run
   */
  public CompletableFuture<Run> createRun(RunSpec spec) {
    return later(client -> client.createRun(spec));
  }

  /**
   * Starts a run; see {@link RunwireClient#startRun}.
   *
   * @param spec what it is to be
   * @return the run, to be ended by who closes it
   */
  public CompletableFuture<ActiveRun> startRun(RunSpec spec) {
    return start(starter -> starter.start(spec, timeout));
  }

  /**
   * Goes on with a run; see {@link RunwireClient#resumeRun}.
   *
   * @param runId the run
   * @return the run, to be ended by who closes it
   */
  public CompletableFuture<ActiveRun> resumeRun(String runId) {
    return start(starter -> starter.resume(runId, timeout));
  }

  /**
   * Ends a run, behind all that was logged to it; see {@link RunwireClient#finishRun}.
   *
   * @param runId the run
   * @param status FINISHED, FAILED or KILLED
   * @param endTime when it ended; null for now
   * @return the run as it is now, once that is delivered
   */
  public CompletableFuture<Run> finishRun(String runId, RunStatus status, Instant endTime) {
    return later(client -> client.finishRun(runId, status, endTime));
  }

  /**
   * Waits until everything logged so far is on the server's disk; see {@link RunwireClient#flush}.
   *
   * @return done when it is
   */
  public CompletableFuture<Void> flush() {
    return later(
        client -> {
          client.flush();
          return null;
        });
  }

  /**
   * Logs to a run; see {@link RunwireClient#logger}.
   *
   * @param runId the run
   * @return what logs to it
   */
  public RunLogger logger(String runId) {
    return new BufferedLogger(core, timeout, runId);
  }

  /**
   * Closes the client; see {@link RunwireClient#close()}.
   *
   * @return done when what was logged is delivered
   */
  public CompletableFuture<Void> closeAsync() {
    CompletableFuture<Void> done = new CompletableFuture<>();
    Thread closing =
        new Thread(
            () -> {
              try {
                core.close(timeout);
                core.waiting.tell(() -> done.complete(null));
              } catch (RuntimeException | Error error) {
                core.waiting.fail(done, error);
              }
            },
            "runwire-closing");
    closing.start();
    return done;
  }

  /** Closes the client, and waits; see {@link RunwireClient#close()}. */
  @Override
  public void close() {
    core.close(timeout);
  }
}
