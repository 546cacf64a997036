package dev.runwire.client;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Objects;

/** What a client does with runs, beside experiments. */
abstract class RunCalls extends ExperimentCalls {
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

  final RunStarter starter;

  RunCalls(Core core, long timeout) {
    super(core, timeout);
    this.starter = new RunStarter(this, core);
  }

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
    return starter.create(spec, Deadline.in(timeout));
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
    core.checkOpen();
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
    return starter.start(spec, timeout);
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
    return starter.resume(runId, timeout);
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
    Objects.requireNonNull(action, "action");
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
    return starter.call(spec, timeout, function);
  }

  /**
   * Logs to a run, wherever it was started; it is not ended by that.
   *
   * @param runId the run
   * @return what logs to it
   * @throws InvalidArgumentException the id is none
   */
  public RunLogger logger(String runId) {
    return new BufferedLogger(core, timeout, runId);
  }

  /**
   * Logs to a run so that who does the same work again doubles nothing, in the only attempt at the
   * work that this client makes.
   *
   * @param writerId names the work, see {@link ReplayableLogger#writerId}
   * @param runId the run, which is there
   * @return what logs to it
   * @throws FailedPreconditionException the client is offline
   * @throws IllegalStateException the client has logged this work already, or is about to
   */
  public ReplayableLogger replayableLogger(String writerId, String runId) {
    return replayableLogger(writerId, runId, "");
  }

  /**
   * Logs to a run so that who does the same work again doubles nothing, in one of several attempts
   * at the work that this client may make, such as those at a task of Spark on one executor.
   *
   * @param writerId names the work, see {@link ReplayableLogger#writerId}
   * @param runId the run, which is there
   * @param attempt names the attempt, unlike all others at this work
   * @return what logs to it
   * @throws FailedPreconditionException the client is offline
   * @throws IllegalStateException the attempt has logged this work already, or is about to
   */
  public ReplayableLogger replayableLogger(String writerId, String runId, String attempt) {
    core.pipeline.checkOnline("a replayable logger");
    return new ReplayableLogger(core, timeout, writerId, runId, attempt);
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
    Objects.requireNonNull(search, "search");
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
    return send(core.updateRun(runId, status, name));
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
    Deadline deadline = Deadline.in(timeout);
    core.pipeline.flush(deadline.left());
    return core.given.offline()
        ? Convert.unknownRun(runId, status)
        : send(Requests.getRun(runId, INFO), deadline);
  }

  /**
   * Ends a run, behind all that was logged to it, without waiting. What the server rejects is
   * thrown by the next {@link #flush}.
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
   * @throws CancelledException the thread was interrupted, or the client closed meanwhile
   * @throws DeadlineExceededException not all was delivered in time; the message says where the
   *     rest lies. It is still delivered when it can be
   * @throws FailedPreconditionException the spool and the server disagree ({@code SERVER_BEHIND},
   *     {@code WRITER_UNKNOWN}, {@code WRITER_DIVERGED}); the message says where the spool lies.
   *     What is logged from now on is not concerned
   * @throws ResourceExhaustedException the client is offline, and its spool is full or can not be
   *     written
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
   * @param given how long it may take, more than 0
   * @throws RunwireException something is not delivered, or was rejected; see {@link #flush()}
   */
  public void flush(Duration given) {
    core.pipeline.flush(Values.nanoseconds("timeout", given));
  }
}
