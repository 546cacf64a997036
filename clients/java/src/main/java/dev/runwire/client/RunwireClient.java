package dev.runwire.client;

import io.grpc.Channel;
import io.grpc.ManagedChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Executor;

/**
 * A connection to a Runwire server.
 *
 * <pre>{@code
 * try (RunwireClient client = RunwireClient.connect("runwire://127.0.0.1:50051")) {
 *   client.run("first", run -> {
 *     run.logParam("alpha", 0.1);
 *     run.logMetric("loss", 0.25, 1);
 *   });
 * }
 * }</pre>
 *
 * <p>What is logged returns at once and is delivered in the background, in the order of the calls
 * and exactly once; {@link #flush}, {@link #finishRun} and {@link #close} wait for it. All other
 * calls are on the server's disk when they return, are repeated, under one request id, while the
 * server is away, and see all that this client has logged. Threads may share a client.
 *
 * <p>Any call may throw a {@link RunwireException}: {@link UnauthenticatedException} if the server
 * wants a token, {@link ServerUnavailableException} if nothing answers, {@link
 * DeadlineExceededException} if no answer came in time, and what each method names.
 */
public final class RunwireClient implements AutoCloseable {
  private static final RunMask INFO =
      new RunMask()
          .fields(
              List.of(
                  "experiment_id",
                  "name",
                  "status",
                  "start_time",
                  "end_time",
                  "lifecycle_stage",
                  "parent_run_id"));

  private final Core core;
  private final long timeout;
  private final RunStarter starter;

  RunwireClient(Core core, long timeout) {
    this.core = core;
    this.timeout = timeout;
    this.starter = new RunStarter(this, core);
  }

  /**
   * Connects to the server that the environment names by {@code RUNWIRE_TRACKING_URI}.
   *
   * @return the client; it connects at the first call
   */
  public static RunwireClient connect() {
    return builder().build();
  }

  /**
   * Connects to a server.
   *
   * @param address see {@link Builder#address}
   * @return the client; it connects at the first call
   */
  public static RunwireClient connect(String address) {
    return builder().address(address).build();
  }

  /**
   * Begins to describe a client.
   *
   * @return a builder in which all is as the environment says, or the default
   */
  public static Builder builder() {
    return new Builder();
  }

  /** Describes a client. */
  public static final class Builder {
    String address;
    String token;
    Path tlsCa;
    Duration timeout = Duration.ofSeconds(30);
    Retry retry = new Retry();
    Mode mode;
    Path spoolDir;
    long spoolBytes = 1L << 30;
    OnSpoolFull onSpoolFull = OnSpoolFull.BLOCK;
    Duration shutdownTimeout = Duration.ofSeconds(60);
    String experiment;
    ManagedChannel channel;
    Executor executor;

    private Builder() {}

    /**
     * Names the server.
     *
     * @param given {@code runwire://host:port} (plain text), {@code runwires://host:port} (TLS),
     *     {@code unix:path} or {@code host:port}; or a folder such as {@code ./runwire-data}, whose
     *     running server is joined. By default the environment's {@code RUNWIRE_TRACKING_URI}
     * @return this
     */
    public Builder address(String given) {
      address = Objects.requireNonNull(given, "address");
      return this;
    }

    /**
     * Gives the server's token.
     *
     * @param given the token; by default the environment's {@code RUNWIRE_TOKEN}, else none
     * @return this
     */
    public Builder token(String given) {
      token = Objects.requireNonNull(given, "token");
      return this;
    }

    /**
     * Names the certificates to trust.
     *
     * @param given a PEM file; by default the environment's {@code RUNWIRE_TLS_CA}, else those that
     *     Java trusts
     * @return this
     */
    public Builder tlsCa(Path given) {
      tlsCa = Objects.requireNonNull(given, "tlsCa");
      return this;
    }

    /**
     * Says how long a call may take.
     *
     * @param given the time, repeats included; by default 30 seconds
     * @return this
     */
    public Builder timeout(Duration given) {
      timeout = Objects.requireNonNull(given, "timeout");
      return this;
    }

    /**
     * Says how failed calls are repeated.
     *
     * @param given how
     * @return this
     */
    public Builder retry(Retry given) {
      retry = Objects.requireNonNull(given, "retry");
      return this;
    }

    /**
     * Says whether there is a server.
     *
     * @param given OFFLINE to begin, log and end runs without a server, for {@code runwire sync} to
     *     deliver; by default the environment's {@code RUNWIRE_MODE}, else ONLINE
     * @return this
     */
    public Builder mode(Mode given) {
      mode = Objects.requireNonNull(given, "mode");
      return this;
    }

    /**
     * Says where what is logged and not delivered is kept.
     *
     * @param given a folder; by default the environment's {@code RUNWIRE_SPOOL_DIR}, else {@code
     *     ./runwire-offline} offline, and online a folder of the user's
     * @return this
     */
    public Builder spoolDir(Path given) {
      spoolDir = Objects.requireNonNull(given, "spoolDir");
      return this;
    }

    /**
     * Bounds what is logged and not delivered; the bound is reached when the server is away for
     * long.
     *
     * @param given bytes; by default 1 GiB
     * @return this
     */
    public Builder spoolBytes(long given) {
      spoolBytes = given;
      return this;
    }

    /**
     * Says what a call that logs does at that bound.
     *
     * @param given BLOCK, which is the default, or ERROR; offline it is always an error
     * @return this
     */
    public Builder onSpoolFull(OnSpoolFull given) {
      onSpoolFull = Objects.requireNonNull(given, "onSpoolFull");
      return this;
    }

    /**
     * Says how long the exit of the process may wait for the delivery of what was logged; what is
     * not delivered then stays in the folder, for {@code runwire sync}.
     *
     * @param given the time; by default 60 seconds
     * @return this
     */
    public Builder shutdownTimeout(Duration given) {
      shutdownTimeout = Objects.requireNonNull(given, "shutdownTimeout");
      return this;
    }

    /**
     * Names the experiment that runs are started in where nothing else is said.
     *
     * @param given its name; it is created if there is none. By default the environment's {@code
     *     RUNWIRE_EXPERIMENT}, else Default
     * @return this
     */
    public Builder experiment(String given) {
      experiment = Objects.requireNonNull(given, "experiment");
      return this;
    }

    /**
     * Gives a channel that is ready, instead of an address; it stays the caller's to shut down.
     *
     * @param given the channel
     * @return this
     */
    public Builder channel(ManagedChannel given) {
      channel = Objects.requireNonNull(given, "channel");
      return this;
    }

    /**
     * Says where gRPC runs its callbacks.
     *
     * @param given the executor; by default gRPC's own. It must not run tasks in the thread that
     *     hands them over
     * @return this
     */
    public Builder executor(Executor given) {
      executor = Objects.requireNonNull(given, "executor");
      return this;
    }

    /**
     * Makes the client; it connects at the first call.
     *
     * @return the client
     * @throws IllegalArgumentException something can not be used, or no server is named
     */
    public RunwireClient build() {
      Settings given = new Settings(this);
      return new RunwireClient(new Core(given), given.timeout);
    }
  }

  /**
   * Tells the server's address.
   *
   * @return the address
   */
  public String address() {
    return core.given.address.text;
  }

  /**
   * Tells whether there is a server.
   *
   * @return the mode
   */
  public Mode mode() {
    return core.given.mode;
  }

  /**
   * Makes a view of this client with another deadline for its calls. Closing either closes both.
   *
   * @param given how long a call may take, its repeats included
   * @return the view
   */
  public RunwireClient withTimeout(Duration given) {
    return new RunwireClient(core, Values.nanoseconds("timeout", given));
  }

  /**
   * Makes a view of this client whose calls return futures. Closing either closes both.
   *
   * @return the view
   */
  public AsyncRunwireClient async() {
    return new AsyncRunwireClient(core, timeout);
  }

  /**
   * Returns the channel, with the token attached: the way to raw calls, by the stubs in {@code
   * dev.runwire.v1}.
   *
   * @return the channel; it is closed with the client
   */
  public Channel channel() {
    core.pipeline.checkOnline("a raw call");
    return core.link.channel();
  }

  private <R> R send(Call<?, ?, R> call) {
    return core.sender.send(call, timeout);
  }

  // Experiments.

  /**
   * Creates an experiment.
   *
   * @param name 1 to 500 characters, unique also among deleted experiments
   * @return the new experiment's id
   * @throws AlreadyExistsException the name is taken ({@code EXPERIMENT_EXISTS})
   */
  public String createExperiment(String name) {
    return createExperiment(name, Map.of());
  }

  /**
   * Creates an experiment with tags.
   *
   * @param name 1 to 500 characters, unique also among deleted experiments
   * @param tags its first tags; values are sent as text
   * @return the new experiment's id
   * @throws AlreadyExistsException the name is taken ({@code EXPERIMENT_EXISTS})
   */
  public String createExperiment(String name, Map<String, ?> tags) {
    return send(Requests.createExperiment(name, tags));
  }

  /**
   * Returns one experiment, deleted or not.
   *
   * @param experimentId the experiment
   * @return the experiment
   * @throws NotFoundException there is none ({@code EXPERIMENT_NOT_FOUND})
   */
  public Experiment getExperiment(String experimentId) {
    return send(Requests.getExperiment(experimentId));
  }

  /**
   * Returns the experiment of a name, deleted or not.
   *
   * @param name the name, exactly
   * @return the experiment; empty if there is none
   */
  public Optional<Experiment> getExperimentByName(String name) {
    try {
      return Optional.of(send(Requests.getExperimentByName(name)));
    } catch (NotFoundException none) {
      return Optional.empty();
    }
  }

  /**
   * Returns the experiment of a name, created if there is none.
   *
   * @param name the name, exactly
   * @return the experiment
   */
  public Experiment getOrCreateExperiment(String name) {
    Optional<Experiment> found = getExperimentByName(name);
    if (found.isPresent()) {
      return found.get();
    }
    try {
      return getExperiment(createExperiment(name));
    } catch (AlreadyExistsException faster) {
      // Another process of the same job was.
      return getExperiment(faster.metadata().get("experiment_id"));
    }
  }

  /**
   * Returns a page of the experiments that match a filter.
   *
   * @param search what to look for
   * @return the page
   * @throws InvalidArgumentException the filter, order or token can not be read
   */
  public Page<Experiment> searchExperiments(ExperimentSearch search) {
    return send(Requests.searchExperiments(search));
  }

  /**
   * Goes through all experiments that match a filter, page by page as they are needed.
   *
   * @param search what to look for
   * @return the experiments; each iteration asks anew
   */
  public Iterable<Experiment> listExperiments(ExperimentSearch search) {
    return () ->
        new Paging<>(
            token -> searchExperiments(token.isEmpty() ? search : search.pageToken(token)));
  }

  /**
   * Renames an experiment.
   *
   * @param experimentId the experiment
   * @param name its new name
   * @throws AlreadyExistsException another experiment has the name ({@code EXPERIMENT_EXISTS})
   * @throws FailedPreconditionException the experiment is deleted, or is Default
   * @throws NotFoundException there is none ({@code EXPERIMENT_NOT_FOUND})
   */
  public void renameExperiment(String experimentId, String name) {
    send(Requests.renameExperiment(experimentId, name));
  }

  /**
   * Deletes an experiment with its runs, until it is restored or purged.
   *
   * @param experimentId the experiment
   * @throws FailedPreconditionException it is Default ({@code EXPERIMENT_PROTECTED})
   * @throws NotFoundException there is none ({@code EXPERIMENT_NOT_FOUND})
   */
  public void deleteExperiment(String experimentId) {
    send(Requests.deleteExperiment(experimentId));
  }

  /**
   * Takes the deletion of an experiment back. Runs deleted on their own stay deleted.
   *
   * @param experimentId the experiment
   * @throws NotFoundException there is none, or it was purged ({@code EXPERIMENT_NOT_FOUND})
   */
  public void restoreExperiment(String experimentId) {
    send(Requests.restoreExperiment(experimentId));
  }

  /**
   * Sets one tag of an experiment, overwriting it.
   *
   * @param experimentId the experiment
   * @param key the tag
   * @param value its value, sent as text
   * @throws FailedPreconditionException the experiment is deleted ({@code EXPERIMENT_DELETED})
   * @throws NotFoundException there is none ({@code EXPERIMENT_NOT_FOUND})
   */
  public void setExperimentTag(String experimentId, String key, Object value) {
    setExperimentTags(experimentId, Map.of(key, value));
  }

  /**
   * Sets tags of an experiment, overwriting them: all or none.
   *
   * @param experimentId the experiment
   * @param tags the tags; values are sent as text
   * @throws FailedPreconditionException the experiment is deleted ({@code EXPERIMENT_DELETED})
   * @throws NotFoundException there is none ({@code EXPERIMENT_NOT_FOUND})
   */
  public void setExperimentTags(String experimentId, Map<String, ?> tags) {
    send(Requests.setExperimentTags(experimentId, tags));
  }

  /**
   * Removes one tag of an experiment.
   *
   * @param experimentId the experiment
   * @param key the tag
   * @throws FailedPreconditionException the experiment is deleted ({@code EXPERIMENT_DELETED})
   * @throws NotFoundException there is no such experiment or tag ({@code EXPERIMENT_NOT_FOUND},
   *     {@code TAG_NOT_FOUND})
   */
  public void deleteExperimentTag(String experimentId, String key) {
    send(Requests.deleteExperimentTag(experimentId, key));
  }

  // Runs.

  /**
   * Creates a run, with its first params and tags, in one step.
   *
   * @param spec what it is to be; without an experiment it goes into Default. The same id and
   *     content again returns the run, whenever that is
   * @return the run
   * @throws AlreadyExistsException the id belongs to a run that was created with other content
   *     ({@code RUN_EXISTS})
   * @throws FailedPreconditionException {@code EXPERIMENT_DELETED}, {@code PARENT_RUN_INVALID} or
   *     {@code RUN_PURGED}
   * @throws NotFoundException there is no such experiment ({@code EXPERIMENT_NOT_FOUND})
   */
  public Run createRun(RunSpec spec) {
    return starter.create(spec, timeout);
  }

  /**
   * Begins a run without waiting for the server, as a point is logged; also offline.
   *
   * <p>What can not be (the experiment is deleted, the id was purged ...) is thrown by the next
   * {@link #flush}. Heartbeats are sent for the run until it is finished or the client closed.
   *
   * @param spec what it is to be, with the id of its experiment or the name; a run that has its id
   *     goes on as it is
   * @return the run's id
   * @throws IllegalArgumentException not exactly one of id and name of the experiment is given
   * @throws InvalidArgumentException something breaks a rule ({@code INVALID_FIELD})
   */
  public String beginRun(RunSpec spec) {
    return starter.begin(spec);
  }

  /**
   * Starts a run of a name, to be ended by who closes it.
   *
   * @param name its name
   * @return the run
   */
  public ActiveRun startRun(String name) {
    return startRun(RunSpec.named(name));
  }

  /**
   * Starts a run, to be ended by who closes it. Without an experiment it goes into its parent's,
   * else the client's. The first run that is started without an id goes on with the run {@code
   * RUNWIRE_RUN_ID} where the environment names one.
   *
   * @param spec what it is to be
   * @return the run
   * @throws FailedPreconditionException {@code EXPERIMENT_DELETED}, {@code PARENT_RUN_INVALID} or
   *     {@code RUN_PURGED}
   * @throws NotFoundException there is no such experiment ({@code EXPERIMENT_NOT_FOUND})
   */
  public ActiveRun startRun(RunSpec spec) {
    return starter.start(spec);
  }

  /**
   * Goes on with a run, which is RUNNING again, to be ended by who closes it.
   *
   * @param runId the run
   * @return the run
   * @throws FailedPreconditionException the run is deleted ({@code RUN_DELETED}) or purged
   * @throws NotFoundException there is no such run ({@code RUN_NOT_FOUND})
   */
  public ActiveRun resumeRun(String runId) {
    return starter.resume(runId, new RunSpec());
  }

  /**
   * Does something in a new run, which is FINISHED then; FAILED if that throws, and KILLED if the
   * thread was interrupted.
   *
   * @param name the run's name
   * @param action what to do
   * @param <E> what that may throw
   * @throws E what it threw; if the run can not be ended either, that is added as suppressed
   */
  public <E extends Exception> void run(String name, RunAction<E> action) throws E {
    run(RunSpec.named(name), action);
  }

  /**
   * Does something in a new run, see {@link #run(String, RunAction)}.
   *
   * @param spec what the run is to be
   * @param action what to do
   * @param <E> what that may throw
   * @throws E what it threw; if the run can not be ended either, that is added as suppressed
   */
  public <E extends Exception> void run(RunSpec spec, RunAction<E> action) throws E {
    this.<Void, E>call(
        spec,
        run -> {
          action.accept(run);
          return null;
        });
  }

  /**
   * Computes something in a new run, see {@link #run(String, RunAction)}.
   *
   * @param name the run's name
   * @param function what to compute
   * @param <T> the result
   * @param <E> what that may throw
   * @return the result
   * @throws E what it threw; if the run can not be ended either, that is added as suppressed
   */
  public <T, E extends Exception> T call(String name, RunFunction<T, E> function) throws E {
    return call(RunSpec.named(name), function);
  }

  /**
   * Computes something in a new run, see {@link #run(String, RunAction)}.
   *
   * @param spec what the run is to be
   * @param function what to compute
   * @param <T> the result
   * @param <E> what that may throw
   * @return the result
   * @throws E what it threw; if the run can not be ended either, that is added as suppressed
   */
  public <T, E extends Exception> T call(RunSpec spec, RunFunction<T, E> function) throws E {
    return starter.call(spec, function);
  }

  /**
   * Logs to a run, wherever it was started; it is not ended by that.
   *
   * @param runId the run
   * @return what logs to it
   * @throws InvalidArgumentException the id is none
   */
  public RunLogger logger(String runId) {
    return new BufferedLogger(core, runId);
  }

  /**
   * Logs to a run so that who does the same work again doubles nothing.
   *
   * @param writerId names the work, see {@link ReplayableLogger#writerId}
   * @param runId the run, which is there
   * @return what logs to it
   * @throws FailedPreconditionException the client is offline
   */
  public ReplayableLogger replayableLogger(String writerId, String runId) {
    core.pipeline.checkOnline("a replayable logger");
    return new ReplayableLogger(core, writerId, runId);
  }

  /**
   * Returns one run, deleted or not.
   *
   * @param runId the run
   * @return the run
   * @throws NotFoundException there is none, or it was purged ({@code RUN_NOT_FOUND})
   */
  public Run getRun(String runId) {
    return getRun(runId, new RunMask());
  }

  /**
   * Returns parts of one run, deleted or not.
   *
   * @param runId the run
   * @param mask the parts to return
   * @return the run; what was not asked for is empty
   * @throws NotFoundException there is none, or it was purged ({@code RUN_NOT_FOUND})
   */
  public Run getRun(String runId, RunMask mask) {
    return send(Requests.getRun(runId, mask));
  }

  /**
   * Returns a page of the runs of some experiments that match a filter.
   *
   * @param search what to look for
   * @return the page
   * @throws InvalidArgumentException the filter, order or token can not be read
   * @throws NotFoundException there is no such experiment ({@code EXPERIMENT_NOT_FOUND})
   */
  public Page<Run> searchRuns(RunSearch search) {
    return send(Requests.searchRuns(search));
  }

  /**
   * Goes through all runs that match a filter, page by page as they are needed.
   *
   * @param search what to look for
   * @return the runs; each iteration asks anew
   */
  public Iterable<Run> listRuns(RunSearch search) {
    return () ->
        new Paging<>(token -> searchRuns(token.isEmpty() ? search : search.pageToken(token)));
  }

  /**
   * Changes a run's status or name.
   *
   * @param runId the run
   * @param status the new status, of which RUNNING and SCHEDULED clear the end time; null to keep
   *     it
   * @param name the new name; null to keep it
   * @return the run as it is now, without its data and inputs
   * @throws FailedPreconditionException {@code RUN_DELETED}, {@code RUN_PURGED} or {@code
   *     EXPERIMENT_DELETED}
   * @throws NotFoundException there is no such run ({@code RUN_NOT_FOUND})
   */
  public Run updateRun(String runId, RunStatus status, String name) {
    return send(Requests.updateRun(runId, status, name));
  }

  /**
   * Ends a run as FINISHED; see {@link #finishRun(String, RunStatus, Instant)}.
   *
   * @param runId the run
   * @return the run as it is now, without its data and inputs
   */
  public Run finishRun(String runId) {
    return finishRun(runId, RunStatus.FINISHED, null);
  }

  /**
   * Ends a run now; see {@link #finishRun(String, RunStatus, Instant)}.
   *
   * @param runId the run
   * @param status FINISHED, FAILED or KILLED
   * @return the run as it is now, without its data and inputs
   */
  public Run finishRun(String runId, RunStatus status) {
    return finishRun(runId, status, null);
  }

  /**
   * Ends a run, behind all that was logged to it, and waits until that is delivered.
   *
   * @param runId the run
   * @param status FINISHED, FAILED or KILLED
   * @param endTime when it ended; null for now
   * @return the run as it is now, without its data and inputs; offline, what is known of it here
   * @throws FailedPreconditionException {@code RUN_DELETED}, {@code RUN_PURGED} or {@code
   *     EXPERIMENT_DELETED}
   * @throws NotFoundException there is no such run ({@code RUN_NOT_FOUND})
   * @throws RunwireException something that was logged before is not delivered, or was rejected;
   *     see {@link #flush()}
   */
  public Run finishRun(String runId, RunStatus status, Instant endTime) {
    core.pipeline.finish(Records.finish(runId, status, endTime));
    core.pipeline.flush(timeout);
    return core.given.offline() ? Convert.unknownRun(runId, status) : getRun(runId, INFO);
  }

  /**
   * Ends a run, behind all that was logged to it, without waiting.
   *
   * @param runId the run
   * @param status FINISHED, FAILED or KILLED
   */
  public void endRun(String runId, RunStatus status) {
    core.pipeline.finish(Records.finish(runId, status, null));
  }

  /**
   * Deletes a run until it is restored or purged.
   *
   * @param runId the run
   * @throws FailedPreconditionException {@code RUN_PURGED} or {@code EXPERIMENT_DELETED}
   * @throws NotFoundException there is no such run ({@code RUN_NOT_FOUND})
   */
  public void deleteRun(String runId) {
    send(Requests.deleteRun(runId));
  }

  /**
   * Takes the deletion of a run back.
   *
   * @param runId the run
   * @throws FailedPreconditionException {@code RUN_PURGED}, or {@code EXPERIMENT_DELETED} if its
   *     experiment must be restored first
   * @throws NotFoundException there is no such run ({@code RUN_NOT_FOUND})
   */
  public void restoreRun(String runId) {
    send(Requests.restoreRun(runId));
  }

  /**
   * Waits until everything logged so far is on the server's disk; offline, on this machine's.
   *
   * @throws DeadlineExceededException not all was delivered in time; the message says where the
   *     rest lies. It is still delivered when it can be
   * @throws FailedPreconditionException the spool and the server disagree ({@code SERVER_BEHIND},
   *     {@code WRITER_UNKNOWN}, {@code WRITER_DIVERGED}, {@code WRITER_FENCED}); the message says
   *     where the spool lies. What is logged from now on is not concerned
   * @throws ServerUnavailableException nothing answers at the address
   * @throws RunwireException the server rejected something; the message says what, of the class
   *     that a call would throw. Each rejection is thrown once
   */
  public void flush() {
    core.pipeline.flush(timeout);
  }

  /**
   * Waits as {@link #flush()} does.
   *
   * @param given how long it may take
   */
  public void flush(Duration given) {
    core.pipeline.flush(Values.nanoseconds("timeout", given));
  }

  // Points.

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
    return send(
        Requests.getMetricHistories(List.copyOf(runIds), List.copyOf(keys), minStep, maxStep));
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
    return getMetricCurves(List.of(SeriesKey.of(runId, key)), options).get(0);
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
    return send(Requests.getMetricCurves(List.copyOf(series), options));
  }

  /**
   * Watches runs: gives each new point as soon as it is on the server's disk.
   *
   * @param spec what to watch
   * @return an iterator over events, for ever; it connects at the first event asked for
   */
  public MetricWatch watchMetrics(WatchSpec spec) {
    return new MetricWatch(core, spec);
  }

  /**
   * Says that runs are alive; a run that began to and is then silent for 2 minutes becomes LOST.
   *
   * @param runIds 1 to 1,000 runs
   * @return those of the runs that are alive now; not those that have ended, are deleted or unknown
   */
  public List<String> heartbeat(Collection<String> runIds) {
    return send(Requests.heartbeat(List.copyOf(runIds)));
  }

  /**
   * Sends heartbeats for a run every 30 seconds, until it is finished or the client closed.
   *
   * @param runId the run
   */
  public void keepAlive(String runId) {
    core.pipeline.keepAlive(Rules.runId(runId));
  }

  // The server.

  /**
   * Asks the server what it is and allows.
   *
   * @return version, limits and features
   */
  public ServerInfo serverInfo() {
    return send(Requests.serverInfo());
  }

  /**
   * Counts what the metric points take on the server's disk, by part.
   *
   * @return the parts, and what waits to be compacted
   */
  public StorageStats storageStats() {
    return send(Requests.storageStats());
  }

  /**
   * Removes for good what was deleted.
   *
   * @param olderThan only what was deleted at least this long ago; zero for all that is deleted
   * @return how much was removed
   */
  public PurgeResult purge(Duration olderThan) {
    return send(Requests.purge(olderThan));
  }

  /**
   * Delivers what was logged, and closes the connection. A closed client can not be used again.
   *
   * @throws RunwireException something is not delivered, or was rejected; see {@link #flush()}
   */
  @Override
  public void close() {
    core.close(timeout);
  }

  /**
   * Closes as {@link #close()} does.
   *
   * @param given how long the delivery may take
   */
  public void close(Duration given) {
    core.close(Values.nanoseconds("timeout", given));
  }
}
