package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.runwire.v1.GetRunRequest;
import dev.runwire.v1.RunServiceGrpc;
import java.nio.file.Path;
import java.time.Duration;
import java.util.AbstractMap;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(ServerExtension.class)
class ClientTest {
  @TempDir Path folder;
  private RunwireClient client;
  private String experiment;

  @BeforeEach
  void connect(ServerProcess server) {
    client = Patience.client().address(server.address()).spoolDir(folder.resolve("spool")).build();
    experiment = client.createExperiment("java-" + Ids.hex());
  }

  @AfterEach
  void close() {
    client.close();
  }

  private RunSpec spec(String name) {
    return RunSpec.named(name).experimentId(experiment);
  }

  @Test
  void experimentsAreCreatedFoundChangedAndDeleted() {
    String name = "wine-" + Ids.hex();
    String id = client.createExperiment(name, Map.of("team", "blue", "year", 2026));
    Experiment found = client.getExperiment(id);
    assertEquals(name, found.name());
    assertEquals(Map.of("team", "blue", "year", "2026"), found.tags());
    assertEquals(Optional.of(found), client.getExperimentByName(name));
    assertEquals(Optional.empty(), client.getExperimentByName("no such"));
    client.renameExperiment(id, name + "-2");
    client.setExperimentTag(id, "team", "red");
    client.deleteExperimentTag(id, "year");
    client.deleteExperiment(id);
    assertEquals(LifecycleStage.DELETED, client.getExperiment(id).lifecycleStage());
    client.restoreExperiment(id);
    ExperimentSearch search = new ExperimentSearch().filter("name LIKE '" + name + "%'");
    List<Experiment> listed = new ArrayList<>();
    client.listExperiments(search).forEach(listed::add);
    assertEquals(List.of(client.getExperiment(id)), listed);
    assertEquals(Map.of("team", "red"), listed.get(0).tags());
  }

  @Test
  void aRunHoldsWhatWasLogged() {
    Dataset data = Dataset.of("iris", "abc").withSource("csv", "iris.csv");
    String runId =
        client.call(
            spec("first"),
            run -> {
              run.logParams(Map.of("alpha", 0.5, "model", "lm"));
              run.setTag("stage", "test");
              run.setTag("gone", "x");
              run.deleteTag("gone");
              run.logInputs(List.of(DatasetInput.of(data, "training")));
              for (int step = 0; step < 100; step++) {
                run.logMetric("loss", 1.0 / (1 + step), step, 1000 + step);
              }
              run.logMetrics(Map.of("a", 1, "b", Double.NaN), 7);
              run.logBatch(new Batch().metric("c", -0.0, 1, 5).metric("c", 2, 2, 6));
              return run.runId();
            });
    Run run = client.getRun(runId);
    assertEquals(RunStatus.FINISHED, run.status());
    assertEquals(Map.of("alpha", "0.5", "model", "lm"), run.params());
    assertEquals("test", run.tags().get("stage"));
    assertTrue(!run.tags().containsKey("gone"));
    assertEquals(List.of(DatasetInput.of(data, "training")), run.inputs());
    MetricSummary loss = run.metrics().get("loss");
    assertEquals(100, loss.count());
    assertEquals(OptionalDouble.of(0.01), loss.min());
    assertEquals(OptionalDouble.empty(), run.metrics().get("b").min());
    MetricHistory history = client.getMetricHistory(runId, "c");
    assertArrayEquals(new long[] {1, 2}, history.steps());
    assertArrayEquals(new long[] {5, 6}, history.timestamps());
    assertEquals(Double.doubleToRawLongBits(-0.0), Double.doubleToRawLongBits(history.values()[0]));
    assertEquals(List.of(run), List.copyOf(search("params.alpha = '0.5'")));
  }

  private List<Run> search(String filter) {
    List<Run> found = new ArrayList<>();
    client
        .listRuns(new RunSearch().experimentIds(List.of(experiment)).filter(filter).pageSize(1))
        .forEach(found::add);
    return found;
  }

  @Test
  void aRunFailsWithItsBlock() {
    IllegalStateException thrown =
        assertThrows(
            IllegalStateException.class,
            () ->
                client.run(
                    spec("loan"),
                    run -> {
                      throw new IllegalStateException("mine");
                    }));
    assertEquals(0, thrown.getSuppressed().length);
    assertThrows(
        IllegalStateException.class,
        () -> {
          try (ActiveRun run = client.startRun(spec("resource"))) {
            run.logMetric("m", 1);
            throw new IllegalStateException("mine");
          }
        });
    try (ActiveRun run = client.startRun(spec("good"))) {
      run.logMetric("m", 1);
      run.finish();
    }
    assertEquals(2, search("status = 'FAILED'").size());
    assertEquals(1, search("status = 'FINISHED'").size());
  }

  @Test
  void errorsHaveClassReasonAndFacts() {
    String none = "0".repeat(32);
    NotFoundException missing = assertThrows(NotFoundException.class, () -> client.getRun(none));
    assertEquals("RUN_NOT_FOUND", missing.reason());
    assertEquals(StatusCode.NOT_FOUND, missing.code());
    assertEquals(Map.of("run_id", none), missing.metadata());
    InvalidArgumentException wrong =
        assertThrows(InvalidArgumentException.class, () -> client.createExperiment(""));
    assertEquals("name", wrong.violations().get(0).field());
    RunLogger logger = client.logger(client.createRun(spec("x")).runId());
    assertThrows(InvalidArgumentException.class, () -> logger.logMetric("../a", 1));
    logger.logParam("p", 1);
    logger.logParam("p", 2);
    FailedPreconditionException rejected =
        assertThrows(FailedPreconditionException.class, logger::flush);
    assertEquals("PARAM_IMMUTABLE", rejected.reason());
    logger.flush();
  }

  @Test
  void seriesKeepEveryPoint() {
    String runId = client.createRun(spec("series")).runId();
    double[] values = new double[200_000];
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.sin(i);
    }
    client.logger(runId).logSeries("s", values);
    MetricHistory history = client.getMetricHistory(runId, "s");
    assertArrayEquals(values, history.values());
    assertEquals(199_999, history.steps()[199_999]);
    MetricCurve curve = client.getMetricCurve(runId, "s", new CurveOptions().maxPoints(100));
    assertEquals(200_000, curve.points());
    assertTrue(curve.size() <= 100);
    MetricHistory part = client.getMetricHistory(runId, "s", 10L, 19L);
    assertEquals(10, part.size());
  }

  @Test
  void manyThreadsLogToOneRun() throws InterruptedException {
    String runId = client.createRun(spec("threads")).runId();
    List<Thread> threads = new ArrayList<>();
    for (int t = 0; t < 4; t++) {
      String key = "m" + t;
      Thread thread =
          new Thread(
              () -> {
                RunLogger logger = client.logger(runId);
                for (int step = 0; step < 50_000; step++) {
                  logger.logMetric(key, step, step);
                }
              });
      thread.start();
      threads.add(thread);
    }
    for (Thread thread : threads) {
      thread.join();
    }
    Map<String, MetricSummary> metrics = client.getRun(runId).metrics();
    for (int t = 0; t < 4; t++) {
      assertEquals(50_000, metrics.get("m" + t).count());
      assertEquals(49_999, metrics.get("m" + t).value());
    }
  }

  @Test
  void wideRowsComeBack() {
    String runId = client.createRun(spec("wide")).runId();
    Map<String, Double> row = new java.util.LinkedHashMap<>();
    for (int k = 0; k < 2500; k++) {
      row.put("layer/" + k, (double) k);
    }
    for (int step = 0; step < 5; step++) {
      client.logger(runId).logMetrics(row, step);
      client.logger(runId).logMetric("layer/7", -1, step);
    }
    Run run = client.getRun(runId);
    assertEquals(2500, run.metrics().size());
    assertEquals(10, run.metrics().get("layer/7").count());
    assertEquals(5, run.metrics().get("layer/2499").count());
  }

  @Test
  void aWatchGivesNewPointsAndGoesOn() {
    String runId = client.createRun(spec("watch")).runId();
    WatchSpec spec = new WatchSpec().runIds(List.of(runId));
    String cursor;
    try (MetricWatch watch = client.watchMetrics(spec)) {
      assertTrue(watch.next().blocks().isEmpty());
      client.logger(runId).logMetric("m", 1, 1, 10);
      MetricEvent event = watch.next();
      assertArrayEquals(new double[] {1}, event.blocks().get(0).values().get("m"));
      cursor = watch.cursor();
    }
    client.logger(runId).logMetric("m", 2, 2, 20);
    client.flush();
    try (MetricWatch watch = client.watchMetrics(spec.cursor(cursor))) {
      // The first event says that the watch is in place, and may be empty.
      MetricEvent event = watch.next();
      event = event.blocks().isEmpty() ? watch.next() : event;
      assertArrayEquals(new long[] {2}, event.blocks().get(0).steps());
    }
  }

  /** Metrics of which another thread takes one away while they are read. */
  private static final class Shrinking extends AbstractMap<String, Double> {
    private final Map<String, Double> all = new TreeMap<>(Map.of("a", 1.0, "b", 2.0, "c", 3.0));

    @Override
    public Set<String> keySet() {
      Set<String> found = new TreeSet<>(all.keySet());
      all.remove("a");
      return found;
    }

    @Override
    public Set<Map.Entry<String, Double>> entrySet() {
      return all.entrySet();
    }
  }

  @Test
  void metricsThatChangeWhileTheyAreLoggedKeepTheirNames() {
    String runId = client.createRun(spec("changing")).runId();
    client.logger(runId).logMetrics(new Shrinking());
    assertEquals(3, client.getRun(runId).metrics().get("c").value());
  }

  @Test
  void rawCallsFailAsOthersDo() {
    RunServiceGrpc.RunServiceFutureStub raw = RunServiceGrpc.newFutureStub(client.channel());
    GetRunRequest request = GetRunRequest.newBuilder().setRunId("0".repeat(32)).build();
    ExecutionException thrown =
        assertThrows(ExecutionException.class, () -> raw.getRun(request).get());
    RunwireException error = RunwireException.of(thrown);
    assertEquals("RUN_NOT_FOUND", error.reason());
    assertTrue(error instanceof NotFoundException);
  }

  @Test
  void futuresSucceedAndFail() throws Exception {
    AsyncRunwireClient async = client.async();
    Run run =
        async
            .createRun(spec("async"))
            .thenCompose(
                made -> {
                  async.logger(made.runId()).logMetric("m", 3, 1);
                  return async.getRun(made.runId(), new RunMask());
                })
            .get(Patience.SECONDS, TimeUnit.SECONDS);
    assertEquals(3, run.metrics().get("m").value());
    CompletionException failed =
        assertThrows(
            CompletionException.class, () -> async.getRun("0".repeat(32), new RunMask()).join());
    assertTrue(failed.getCause() instanceof NotFoundException);
    assertEquals(
        Optional.empty(),
        async.getExperimentByName("no such").get(Patience.SECONDS, TimeUnit.SECONDS));
  }

  @Test
  void theServerTellsOfItself() {
    assertEquals("sqlite", client.serverInfo().database());
    assertEquals(1000, client.serverInfo().limits().get("max_page_size"));
    assertTrue(client.storageStats().databaseBytes() > 0);
    Run run = client.createRun(spec("gone"));
    client.deleteRun(run.runId());
    assertEquals(0, client.purge(Duration.ofDays(1)).runs());
    client.restoreRun(run.runId());
    assertEquals("new", client.updateRun(run.runId(), null, "new").name());
    assertEquals(List.of(run.runId()), client.heartbeat(List.of(run.runId())));
    client.finishRun(run.runId(), RunStatus.KILLED);
    assertEquals(List.of(), client.heartbeat(List.of(run.runId())));
  }

  @Test
  void howARunBeganIsForgottenOnceACallEndsIt() {
    for (boolean async : new boolean[] {false, true}) {
      String runId = client.createRun(spec("ended")).runId();
      client.updateRun(runId, RunStatus.RUNNING, null);
      assertNotNull(client.core.pipeline.begun(runId));
      if (async) {
        client.async().updateRun(runId, RunStatus.FAILED, null).join();
      } else {
        client.updateRun(runId, RunStatus.FINISHED, null);
      }
      assertNull(client.core.pipeline.begun(runId));
    }
  }

  @Test
  void aRunThatACallEndedKeepsItsStatusWhenTheClientIsClosed(ServerProcess server) {
    String runId;
    try (RunwireClient own =
        Patience.client().address(server.address()).spoolDir(folder.resolve("own")).build()) {
      runId = own.startRun("ended by a call").runId();
      own.updateRun(runId, RunStatus.FAILED, null);
    }
    assertEquals(RunStatus.FAILED, client.getRun(runId).status());
  }
}
