package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Arguments that are wrong are errors of the line that has them, before anything is sent. */
class ArgumentsTest {
  private static final String RUN = "1".repeat(32);

  @TempDir Path folder;

  private RunwireClient client;

  @BeforeEach
  void connect() {
    client =
        RunwireClient.builder().address("127.0.0.1:1").spoolDir(folder.resolve("spool")).build();
  }

  @AfterEach
  void nothingWasStarted() {
    client.close();
    assertFalse(Files.exists(folder.resolve("spool")));
  }

  private static void isNamed(String what, Executable call) {
    assertEquals(what, assertThrows(NullPointerException.class, call).getMessage());
  }

  @Test
  void nullsOfCallsAreNamed() {
    isNamed("runId", () -> client.getRun(null));
    isNamed("mask", () -> client.getRun(RUN, null));
    isNamed("runId", () -> client.updateRun(null, RunStatus.RUNNING, "name"));
    isNamed("runId", () -> client.deleteRun(null));
    isNamed("runId", () -> client.restoreRun(null));
    isNamed("runId", () -> client.finishRun(null));
    isNamed("status", () -> client.finishRun(RUN, null));
    isNamed("search", () -> client.searchRuns(null));
    isNamed("name", () -> client.createExperiment(null));
    isNamed("tags", () -> client.createExperiment("name", null));
    isNamed("experimentId", () -> client.getExperiment(null));
    isNamed("name", () -> client.getExperimentByName(null));
    isNamed("name", () -> client.getOrCreateExperiment(null));
    isNamed("experimentId", () -> client.renameExperiment(null, "name"));
    isNamed("name", () -> client.renameExperiment("1", null));
    isNamed("experimentId", () -> client.deleteExperiment(null));
    isNamed("experimentId", () -> client.restoreExperiment(null));
    isNamed("experimentId", () -> client.setExperimentTag(null, "key", 1));
    isNamed("key", () -> client.setExperimentTag("1", null, 1));
    isNamed("the value of key is null", () -> client.setExperimentTag("1", "key", null));
    isNamed("key", () -> client.deleteExperimentTag("1", null));
    isNamed("runId", () -> client.getMetricHistory(null, "key"));
    isNamed("key", () -> client.getMetricHistory(RUN, null));
    isNamed("options", () -> client.getMetricCurve(RUN, "key", null));
    isNamed("spec", () -> client.watchMetrics(null).close());
    isNamed("olderThan", () -> client.purge(null));
    isNamed("timeout", () -> client.withTimeout(null));
  }

  @Test
  void nullsOfCollectionsAreNamed() {
    List<String> hole = Arrays.asList("a", null);
    isNamed("runIds", () -> client.getMetricHistories(null, List.of(), null, null));
    isNamed("keys[1]", () -> client.getMetricHistories(List.of(RUN), hole, null, null));
    isNamed("series", () -> client.getMetricCurves(null, new CurveOptions()));
    isNamed("runIds", () -> client.heartbeat(null));
    isNamed("search", () -> client.listRuns(null));
    isNamed("search", () -> client.listExperiments(null));
    isNamed("experimentIds", () -> new RunSearch().experimentIds(null));
    isNamed("experimentIds[1]", () -> new RunSearch().experimentIds(hole));
    isNamed("orderBy", () -> new RunSearch().orderBy(null));
    isNamed("orderBy", () -> new ExperimentSearch().orderBy(null));
    isNamed("fields", () -> new RunMask().fields(null));
    isNamed("metricKeys", () -> new RunMask().metricKeys(null));
    isNamed("paramKeys", () -> new RunMask().paramKeys(null));
    isNamed("tagKeys[1]", () -> new RunMask().tagKeys(hole));
    isNamed("runIds", () -> new WatchSpec().runIds(null));
    isNamed("keys", () -> new WatchSpec().keys(null));
    List<String> keys = List.of("m");
    isNamed("keys", () -> new Batch().metrics(null, new long[1], new long[1], new double[1]));
    isNamed("keys[1]", () -> new Batch().metrics(hole, new long[1], new long[1], new double[2]));
    isNamed("steps", () -> new Batch().metrics(keys, null, new long[1], new double[1]));
    isNamed("timestamps", () -> new Batch().metrics(keys, new long[1], null, new double[1]));
    isNamed("values", () -> new Batch().metrics(keys, new long[1], new long[1], null));
  }

  private static Throwable failure(CompletableFuture<?> call) {
    return call.handle((found, error) -> error).join();
  }

  @Test
  void wrongArgumentsOfAsyncCallsFailTheirFutures() {
    AsyncRunwireClient async = client.async();
    assertEquals("runId", failure(async.getRun(null)).getMessage());
    assertEquals("spec", failure(async.createRun(null)).getMessage());
    assertEquals("spec", failure(async.startRun(null)).getMessage());
    assertEquals("runId", failure(async.resumeRun(null)).getMessage());
    assertEquals("name", failure(async.getOrCreateExperiment(null)).getMessage());
    assertEquals("runIds", failure(async.heartbeat(null)).getMessage());
    assertEquals("key", failure(async.setExperimentTag("1", null, 1)).getMessage());
    assertInstanceOf(InvalidArgumentException.class, failure(async.getRun("\ud800")));
    assertInstanceOf(
        IllegalArgumentException.class, failure(async.updateRun(RUN, RunStatus.LOST, null)));
    assertInstanceOf(
        InvalidArgumentException.class, failure(async.finishRun(RUN, RunStatus.RUNNING, null)));
  }

  @Test
  void nullsOfRunsAreNamed() {
    isNamed("function", () -> client.call("name", null));
    isNamed("action", () -> client.run("name", null));
    isNamed("spec", () -> client.run((RunSpec) null, run -> {}));
    isNamed("name", () -> client.run((String) null, run -> {}));
    isNamed("spec", () -> client.createRun(null));
    isNamed("spec", () -> client.beginRun(null));
    isNamed("spec", () -> client.startRun((RunSpec) null));
    isNamed("runId", () -> client.resumeRun(null));
    isNamed("runId", () -> client.keepAlive(null));
    isNamed("writerId", () -> client.replayableLogger(null, RUN));
  }

  @Test
  void nullsOfLoggingAreNamed() {
    isNamed("runId", () -> client.logger(null));
    RunLogger logger = client.logger(RUN);
    isNamed("key", () -> logger.logMetric(null, 1));
    isNamed("metrics", () -> logger.logMetrics(null));
    isNamed("the value of m is null", () -> logger.logMetrics(nothing()));
    isNamed("key", () -> logger.logSeries(null, new double[1]));
    isNamed("values", () -> logger.logSeries("m", null));
    isNamed("batch", () -> logger.logBatch(null));
    isNamed("inputs", () -> logger.logInputs(null));
    isNamed("key", () -> logger.logParam(null, 1));
    isNamed("params", () -> logger.logParams(null));
    isNamed("tags", () -> logger.setTags(null));
    isNamed("key", () -> logger.deleteTag(null));
    isNamed("timeout", () -> logger.flush(null));
  }

  @Test
  void arraysAreNoTexts() {
    RunLogger logger = client.logger(RUN);
    assertThrows(IllegalArgumentException.class, () -> logger.logParam("p", new int[] {1}));
    assertThrows(
        IllegalArgumentException.class, () -> logger.setTags(Map.of("t", new String[] {"a"})));
  }

  private static void isNoText(String field, Executable call) {
    InvalidArgumentException error = assertThrows(InvalidArgumentException.class, call);
    assertEquals("INVALID_FIELD", error.reason());
    assertEquals(field, error.violations().get(0).field());
  }

  @Test
  void halfACharacterIsNoText() {
    String cut = "\ud83d\ude00".substring(0, 1);
    isNoText("name", () -> client.createExperiment(cut));
    isNoText("tags[0].value", () -> client.setExperimentTag("1", "key", cut));
    isNoText("params[0].value", () -> client.createRun(new RunSpec().params(Map.of("p", cut))));
    isNoText("mask.tag_keys[0]", () -> client.getRun(RUN, new RunMask().tagKeys(List.of(cut))));
    isNoText("filter", () -> client.searchRuns(new RunSearch().filter("name = '" + cut + "'")));
    isNoText("keys[0]", () -> client.getMetricHistory(RUN, cut));
    isNoText("params[0].value", () -> client.logger(RUN).logParam("p", cut));
  }

  private static Map<String, Double> nothing() {
    return new HashMap<>(Collections.singletonMap("m", null));
  }
}
