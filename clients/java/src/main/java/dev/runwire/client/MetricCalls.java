package dev.runwire.client;

import java.util.Collection;
import java.util.List;
import java.util.Map;

/** What a client reads of the points of runs, beside all else about these. */
abstract class MetricCalls extends RunCalls {
  MetricCalls(Core core, long timeout) {
    super(core, timeout);
  }

  /**
   * Returns the points of one metric of one run.
   *
   * @param runId the run, deleted or not
   * @param key the metric
   * @return the points, by (step, timestamp, arrival); none if the run has no such metric
   * @throws NotFoundException there is no such run ({@code RUN_NOT_FOUND})
   */
  public MetricHistory getMetricHistory(String runId, String key) {
    return getMetricHistory(runId, key, null, null);
  }

  /**
   * Returns the points of one metric of one run, within a range of steps.
   *
   * @param runId the run, deleted or not
   * @param key the metric
   * @param minStep the least step; null for no bound
   * @param maxStep the greatest step; null for no bound
   * @return the points, by (step, timestamp, arrival); none if the run has no such metric
   * @throws NotFoundException there is no such run ({@code RUN_NOT_FOUND})
   */
  public MetricHistory getMetricHistory(String runId, String key, Long minStep, Long maxStep) {
    return send(Requests.getMetricHistory(runId, key, minStep, maxStep));
  }

  /**
   * Returns the points of several metrics of several runs in one call.
   *
   * @param runIds 1 to 100 runs, deleted or not
   * @param keys the metrics; none for all that each run has
   * @param minStep the least step; null for no bound
   * @param maxStep the greatest step; null for no bound
   * @return for each run, by id, the history of each metric that it has, by key
   * @throws NotFoundException there is no such run ({@code RUN_NOT_FOUND})
   */
  public Map<String, Map<String, MetricHistory>> getMetricHistories(
      Collection<String> runIds, Collection<String> keys, Long minStep, Long maxStep) {
    return send(Requests.getMetricHistories(runIds, keys, minStep, maxStep));
  }

  /**
   * Returns one metric of one run as it is to be drawn: in buckets that hide no spike. Costs as
   * much as it shows, not as much as the run has logged.
   *
   * @param runId the run, deleted or not
   * @param key the metric
   * @param options how to draw it
   * @return the curve; without buckets if the run has no such metric
   * @throws NotFoundException there is no such run ({@code RUN_NOT_FOUND})
   */
  public MetricCurve getMetricCurve(String runId, String key, CurveOptions options) {
    return send(Requests.getMetricCurve(runId, key, options));
  }

  /**
   * Returns several curves in one call; see {@link #getMetricCurve}.
   *
   * @param series 1 to 100 series
   * @param options how to draw them
   * @return the curves, in the order asked for
   * @throws NotFoundException there is no such run ({@code RUN_NOT_FOUND})
   */
  public List<MetricCurve> getMetricCurves(Collection<SeriesKey> series, CurveOptions options) {
    return send(Requests.getMetricCurves(series, options));
  }

  /**
   * Watches runs: gives each new point as soon as it is on the server's disk.
   *
   * @param spec what to watch
   * @return an iterator over events, for ever; it connects at the first event asked for
   */
  public MetricWatch watchMetrics(WatchSpec spec) {
    return new MetricWatch(core, timeout, spec);
  }

  /**
   * Says that runs are alive; a run that began to and is then silent for 2 minutes becomes LOST.
   *
   * @param runIds 1 to 1,000 runs
   * @return those of the runs that are alive now; not those that have ended, are deleted or unknown
   */
  public List<String> heartbeat(Collection<String> runIds) {
    return send(Requests.heartbeat(runIds));
  }

  /**
   * Sends heartbeats for a run every 30 seconds, until it is finished or the client closed.
   *
   * @param runId the run
   */
  public void keepAlive(String runId) {
    Rules.runId(runId);
    core.checkOpen();
    core.pipeline.keepAlive(runId);
  }
}
