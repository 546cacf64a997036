package dev.runwire.client;

import dev.runwire.v1.CreateRunRequest;
import dev.runwire.v1.CreateRunResponse;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** Creates, begins, starts and resumes runs. */
final class RunStarter {
  private static final String DEFAULT_EXPERIMENT = "0";

  private final RunCalls client;
  private final Core core;

  RunStarter(RunCalls client, Core core) {
    this.client = client;
    this.core = core;
  }

  Run create(RunSpec given, Deadline deadline) {
    RunSpec spec = Objects.requireNonNull(given, "spec");
    if (spec.experimentName() != null) {
      if (spec.experimentId() != null) {
        throw new IllegalArgumentException("give either the experiment's id or its name");
      }
      Experiment found = client.getOrCreateExperiment(spec.experimentName(), deadline);
      spec = spec.experimentName(null).experimentId(found.experimentId());
    }
    String experiment = spec.experimentId() == null ? DEFAULT_EXPERIMENT : spec.experimentId();
    Call<CreateRunRequest, CreateRunResponse, Run> call = Requests.createRun(spec, experiment);
    Run made = core.sender.send(call, deadline);
    core.pipeline.created(Begin.created(call.request));
    return made;
  }

  String begin(RunSpec spec) {
    Begin begin = Records.begin(spec);
    core.pipeline.begin(begin, core.records.beginning(begin, spec));
    return begin.message.getRun().getRunId();
  }

  /** Fills in the experiment where none is named. */
  private RunSpec located(RunSpec spec) {
    if (spec.experimentId() != null || spec.experimentName() != null) {
      return spec;
    }
    Begin parent = spec.parentRunId() == null ? null : core.pipeline.begun(spec.parentRunId());
    if (parent != null) {
      // A parent is of the same experiment.
      String name = parent.message.getExperimentName();
      return name.isEmpty()
          ? spec.experimentId(parent.message.getRun().getExperimentId())
          : spec.experimentName(name);
    }
    String named = core.given.experiment;
    return named.isEmpty() ? spec.experimentId(DEFAULT_EXPERIMENT) : spec.experimentName(named);
  }

  /**
   * Starts a run.
   *
   * @param timeout how long the calls of the run may take
   */
  ActiveRun start(RunSpec given, long timeout) {
    Objects.requireNonNull(given, "spec");
    return core.start(() -> started(given, timeout));
  }

  private ActiveRun started(RunSpec given, long timeout) {
    String resumed = given.runId() == null ? core.environmentRun() : null;
    if (resumed != null) {
      return resumed(resumed, given, timeout);
    }
    Map<String, String> tags = new LinkedHashMap<>(sourceTags());
    tags.putAll(given.tags());
    RunSpec spec = located(given.tags(tags));
    if (core.given.offline()) {
      String runId = begin(spec);
      String name = core.pipeline.begun(runId).message.getRun().getName();
      return new ActiveRun(core, timeout, runId, name);
    }
    Run made = client.createRun(spec);
    return new ActiveRun(core, timeout, made.runId(), made.name());
  }

  ActiveRun resume(String runId, long timeout) {
    Objects.requireNonNull(runId, "runId");
    return core.start(() -> resumed(runId, new RunSpec(), timeout));
  }

  private ActiveRun resumed(String runId, RunSpec spec, long timeout) {
    String name = spec.name();
    if (core.given.offline()) {
      core.pipeline.record(Records.resume(runId, name));
    } else {
      name = client.updateRun(runId, RunStatus.RUNNING, name).name();
    }
    ActiveRun run = new ActiveRun(core, timeout, runId, name == null ? "" : name);
    if (!spec.params().isEmpty()) {
      run.logParams(spec.params());
    }
    if (!spec.tags().isEmpty()) {
      run.setTags(spec.tags());
    }
    return run;
  }

  /** Says who runs what, by the tag names of MLflow. */
  private static Map<String, String> sourceTags() {
    Map<String, String> tags = new LinkedHashMap<>();
    String command = System.getProperty("sun.java.command", "").split(" ")[0];
    tags.put("mlflow.source.name", command.isEmpty() ? "java" : command);
    tags.put("mlflow.source.type", "LOCAL");
    String user = System.getProperty("user.name");
    if (user != null && !user.isEmpty()) {
      tags.put("mlflow.user", user);
    }
    return tags;
  }

  <T, E extends Exception> T call(RunSpec spec, long timeout, RunFunction<T, E> function) throws E {
    Objects.requireNonNull(function, "function");
    ActiveRun run = start(spec, timeout);
    T result;
    try {
      result = function.apply(run);
    } catch (Throwable thrown) {
      boolean killed =
          thrown instanceof InterruptedException || Thread.currentThread().isInterrupted();
      end(run, killed ? RunStatus.KILLED : RunStatus.FAILED, thrown);
      throw thrown;
    }
    run.finish();
    return result;
  }

  /** Ends a run while an exception is on its way, which nothing else may replace. */
  private static void end(ActiveRun run, RunStatus status, Throwable thrown) {
    try {
      run.finish(status);
    } catch (RuntimeException failed) {
      thrown.addSuppressed(failed);
    }
  }
}
