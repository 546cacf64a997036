package dev.runwire.client;

import java.time.Instant;
import java.util.Map;
import java.util.Objects;

/** What a run is to be. Each method returns a copy; null takes a value back. */
public final class RunSpec {
  private final String name;
  private final String experimentId;
  private final String experimentName;
  private final String runId;
  private final String parentRunId;
  private final Instant startTime;
  private final RunStatus status;
  private final Map<String, String> params;
  private final Map<String, String> tags;
  private final boolean allowExisting;

  /** Makes one in which nothing is given. */
  public RunSpec() {
    this(null, null, null, null, null, null, RunStatus.RUNNING, Map.of(), Map.of(), false);
  }

  private RunSpec(
      String name,
      String experimentId,
      String experimentName,
      String runId,
      String parentRunId,
      Instant startTime,
      RunStatus status,
      Map<String, String> params,
      Map<String, String> tags,
      boolean allowExisting) {
    this.name = name;
    this.experimentId = experimentId;
    this.experimentName = experimentName;
    this.runId = runId;
    this.parentRunId = parentRunId;
    this.startTime = startTime;
    this.status = status;
    this.params = params;
    this.tags = tags;
    this.allowExisting = allowExisting;
  }

  /**
   * Gives the run's name; else a readable one is made up.
   *
   * @param name the run's name
   * @return a copy with it
   */
  public RunSpec name(String name) {
    return new RunSpec(
        name,
        experimentId,
        experimentName,
        runId,
        parentRunId,
        startTime,
        status,
        params,
        tags,
        allowExisting);
  }

  /**
   * Gives the experiment, by id.
   *
   * @param experimentId the experiment, by id
   * @return a copy with it
   */
  public RunSpec experimentId(String experimentId) {
    return new RunSpec(
        name,
        experimentId,
        experimentName,
        runId,
        parentRunId,
        startTime,
        status,
        params,
        tags,
        allowExisting);
  }

  /**
   * Gives the experiment, by name; it is created if there is none.
   *
   * @param experimentName the experiment, by name
   * @return a copy with it
   */
  public RunSpec experimentName(String experimentName) {
    return new RunSpec(
        name,
        experimentId,
        experimentName,
        runId,
        parentRunId,
        startTime,
        status,
        params,
        tags,
        allowExisting);
  }

  /**
   * Gives the run's id, 32 lower-case hex digits; else a new one is minted.
   *
   * @param runId the run's id, 32 lower-case hex digits
   * @return a copy with it
   */
  public RunSpec runId(String runId) {
    return new RunSpec(
        name,
        experimentId,
        experimentName,
        runId,
        parentRunId,
        startTime,
        status,
        params,
        tags,
        allowExisting);
  }

  /**
   * Gives the run of the same experiment that this one is a part of.
   *
   * @param parentRunId the run of the same experiment that this one is a part of
   * @return a copy with it
   */
  public RunSpec parentRunId(String parentRunId) {
    return new RunSpec(
        name,
        experimentId,
        experimentName,
        runId,
        parentRunId,
        startTime,
        status,
        params,
        tags,
        allowExisting);
  }

  /**
   * Gives when it began; else now.
   *
   * @param startTime when it began
   * @return a copy with it
   */
  public RunSpec startTime(Instant startTime) {
    return new RunSpec(
        name,
        experimentId,
        experimentName,
        runId,
        parentRunId,
        startTime,
        status,
        params,
        tags,
        allowExisting);
  }

  /**
   * Gives what it does first; RUNNING by default.
   *
   * @param status RUNNING or SCHEDULED
   * @return a copy with it
   */
  public RunSpec status(RunStatus status) {
    return new RunSpec(
        name,
        experimentId,
        experimentName,
        runId,
        parentRunId,
        startTime,
        Objects.requireNonNull(status, "status"),
        params,
        tags,
        allowExisting);
  }

  /**
   * Gives the first params; values are sent as text.
   *
   * @param params the first params
   * @return a copy with it
   */
  public RunSpec params(Map<String, ?> params) {
    return new RunSpec(
        name,
        experimentId,
        experimentName,
        runId,
        parentRunId,
        startTime,
        status,
        Values.texts("params", params),
        tags,
        allowExisting);
  }

  /**
   * Gives the first tags; values are sent as text.
   *
   * @param tags the first tags
   * @return a copy with it
   */
  public RunSpec tags(Map<String, ?> tags) {
    return new RunSpec(
        name,
        experimentId,
        experimentName,
        runId,
        parentRunId,
        startTime,
        status,
        params,
        Values.texts("tags", tags),
        allowExisting);
  }

  /**
   * Gives whether to return a run that has the id, whatever it was created with, so that the
   * processes of one job can all create the run that they share; not so by default.
   *
   * @param allowExisting true to return it; false for {@link AlreadyExistsException} if its content
   *     differs
   * @return a copy with it
   */
  public RunSpec allowExisting(boolean allowExisting) {
    return new RunSpec(
        name,
        experimentId,
        experimentName,
        runId,
        parentRunId,
        startTime,
        status,
        params,
        tags,
        allowExisting);
  }

  String name() {
    return name;
  }

  String experimentId() {
    return experimentId;
  }

  String experimentName() {
    return experimentName;
  }

  String runId() {
    return runId;
  }

  String parentRunId() {
    return parentRunId;
  }

  Instant startTime() {
    return startTime;
  }

  RunStatus status() {
    return status;
  }

  Map<String, String> params() {
    return params;
  }

  Map<String, String> tags() {
    return tags;
  }

  boolean allowExisting() {
    return allowExisting;
  }

  /**
   * Begins with a name.
   *
   * @param name the run's name
   * @return what a run of that name is to be
   */
  public static RunSpec named(String name) {
    return new RunSpec().name(Objects.requireNonNull(name, "name"));
  }
}
