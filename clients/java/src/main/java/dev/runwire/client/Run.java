package dev.runwire.client;

import java.time.Instant;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/** A run: what it is, what it holds, what it reads. What was not asked for is empty. */
public final class Run {
  private final String runId;
  private final String experimentId;
  private final String name;
  private final RunStatus status;
  private final Optional<Instant> startTime;
  private final Optional<Instant> endTime;
  private final LifecycleStage lifecycleStage;
  private final Optional<String> parentRunId;
  private final Map<String, String> params;
  private final Map<String, String> tags;
  private final Map<String, MetricSummary> metrics;
  private final List<DatasetInput> inputs;

  Run(
      String runId,
      String experimentId,
      String name,
      RunStatus status,
      Optional<Instant> startTime,
      Optional<Instant> endTime,
      LifecycleStage lifecycleStage,
      Optional<String> parentRunId,
      Map<String, String> params,
      Map<String, String> tags,
      Map<String, MetricSummary> metrics,
      List<DatasetInput> inputs) {
    this.runId = Objects.requireNonNull(runId, "runId");
    this.experimentId = Objects.requireNonNull(experimentId, "experimentId");
    this.name = Objects.requireNonNull(name, "name");
    this.status = Objects.requireNonNull(status, "status");
    this.startTime = Objects.requireNonNull(startTime, "startTime");
    this.endTime = Objects.requireNonNull(endTime, "endTime");
    this.lifecycleStage = Objects.requireNonNull(lifecycleStage, "lifecycleStage");
    this.parentRunId = Objects.requireNonNull(parentRunId, "parentRunId");
    this.params = Collections.unmodifiableMap(new LinkedHashMap<>(params));
    this.tags = Collections.unmodifiableMap(new LinkedHashMap<>(tags));
    this.metrics = Collections.unmodifiableMap(new LinkedHashMap<>(metrics));
    this.inputs = List.copyOf(inputs);
  }

  /**
   * Tells its id, 32 hex digits.
   *
   * @return its id, 32 hex digits
   */
  public String runId() {
    return runId;
  }

  /**
   * Tells the experiment that it belongs to.
   *
   * @return the experiment that it belongs to
   */
  public String experimentId() {
    return experimentId;
  }

  /**
   * Tells its name, not unique.
   *
   * @return its name, not unique
   */
  public String name() {
    return name;
  }

  /**
   * Tells what it is doing.
   *
   * @return what it is doing
   */
  public RunStatus status() {
    return status;
  }

  /**
   * Tells when it began, by its client's clock.
   *
   * @return when it began, by its client's clock
   */
  public Optional<Instant> startTime() {
    return startTime;
  }

  /**
   * Tells when it ended; empty until then.
   *
   * @return when it ended; empty until then
   */
  public Optional<Instant> endTime() {
    return endTime;
  }

  /**
   * Tells whether it or its experiment is deleted.
   *
   * @return whether it or its experiment is deleted
   */
  public LifecycleStage lifecycleStage() {
    return lifecycleStage;
  }

  /**
   * Tells the run that it is a part of.
   *
   * @return the run that it is a part of
   */
  public Optional<String> parentRunId() {
    return parentRunId;
  }

  /**
   * Tells its params, by key.
   *
   * @return its params, by key
   */
  public Map<String, String> params() {
    return params;
  }

  /**
   * Tells its tags, by key.
   *
   * @return its tags, by key
   */
  public Map<String, String> tags() {
    return tags;
  }

  /**
   * Tells a summary of each of its metrics, by key.
   *
   * @return a summary of each of its metrics, by key
   */
  public Map<String, MetricSummary> metrics() {
    return metrics;
  }

  /**
   * Tells the data sets that it reads, in the order they were logged.
   *
   * @return the data sets that it reads, in the order they were logged
   */
  public List<DatasetInput> inputs() {
    return inputs;
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof Run)) {
      return false;
    }
    Run that = (Run) other;
    return runId.equals(that.runId)
        && experimentId.equals(that.experimentId)
        && name.equals(that.name)
        && status.equals(that.status)
        && startTime.equals(that.startTime)
        && endTime.equals(that.endTime)
        && lifecycleStage.equals(that.lifecycleStage)
        && parentRunId.equals(that.parentRunId)
        && params.equals(that.params)
        && tags.equals(that.tags)
        && metrics.equals(that.metrics)
        && inputs.equals(that.inputs);
  }

  @Override
  public int hashCode() {
    return Objects.hash(
        runId,
        experimentId,
        name,
        status,
        startTime,
        endTime,
        lifecycleStage,
        parentRunId,
        params,
        tags,
        metrics,
        inputs);
  }

  @Override
  public String toString() {
    return "Run[runId="
        + runId
        + ", experimentId="
        + experimentId
        + ", name="
        + name
        + ", status="
        + status
        + ", startTime="
        + startTime
        + ", endTime="
        + endTime
        + ", lifecycleStage="
        + lifecycleStage
        + ", parentRunId="
        + parentRunId
        + ", params="
        + params
        + ", tags="
        + tags
        + ", metrics="
        + metrics
        + ", inputs="
        + inputs
        + "]";
  }
}
