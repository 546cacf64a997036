package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(ServerExtension.class)
class FaultsTest {
  @TempDir Path folder;

  private RunwireClient.Builder builder(String address) {
    return Patience.client().address(address).spoolDir(folder.resolve("spool"));
  }

  private List<Path> spools() throws IOException {
    return Spools.in(folder.resolve("spool"));
  }

  private String sync(Path spool, String address) throws IOException, InterruptedException {
    ProcessBuilder sync =
        new ProcessBuilder(ServerProcess.command(), "-a", address, "sync", spool.toString())
            .redirectErrorStream(true);
    Process process = sync.start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return process.waitFor() + " " + said;
  }

  @Test
  void whatIsLoggedOfflineIsDeliveredByRunwireSync(ServerProcess server) throws Exception {
    String runId;
    try (RunwireClient client =
        RunwireClient.builder().mode(Mode.OFFLINE).spoolDir(folder.resolve("spool")).build()) {
      ActiveRun run =
          client.startRun(RunSpec.named("far").experimentName("offline-java").tags(wide()));
      runId = run.runId();
      run.logParam("p", "v");
      for (int step = 0; step < 1000; step++) {
        run.logMetric("m", step, step, step);
      }
      run.finish();
      assertThrows(FailedPreconditionException.class, () -> client.getRun(run.runId()));
    }
    String said = sync(folder.resolve("spool"), server.address());
    assertTrue(said.startsWith("0 "), said);
    assertEquals(List.of(), spools());
    try (RunwireClient client = builder(server.address()).build()) {
      Run run = client.getRun(runId);
      assertEquals(RunStatus.FINISHED, run.status());
      assertEquals("v", run.params().get("p"));
      assertEquals(1000, run.metrics().get("m").count());
      assertTrue(run.tags().keySet().containsAll(wide().keySet()));
      assertTrue(client.getExperimentByName("offline-java").isPresent());
    }
  }

  private static Map<String, String> wide() {
    Map<String, String> tags = new TreeMap<>();
    for (int i = 0; i < 20; i++) {
      tags.put("t" + i, "x".repeat(8000));
    }
    return tags;
  }

  @Test
  void aServerThatIsKilledAgainAndAgainLosesAndDoublesNothing() throws Exception {
    try (ServerProcess server = new ServerProcess(folder.resolve("server")).start();
        RunwireClient client = builder(server.address()).build()) {
      String runId = client.createRun(new RunSpec()).runId();
      RunLogger logger = client.logger(runId);
      long step = 0;
      for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 30_000; i++, step++) {
          logger.logMetric("m", step, step, step);
        }
        server.kill();
        for (int i = 0; i < 1000; i++, step++) {
          logger.logMetric("m", step, step, step);
        }
        server.start();
      }
      client.flush();
      MetricHistory history = client.getMetricHistory(runId, "m");
      assertArrayEquals(LongStream.range(0, step).toArray(), history.steps());
    }
    assertEquals(List.of(), spools());
  }

  @Test
  void aServerThatIsAwayIsSaidSoAndTheSpoolStays(ServerProcess server) throws Exception {
    String runId;
    RunwireClient client =
        builder("runwire://127.0.0.1:1")
            .timeout(Duration.ofMinutes(5))
            .retry(new Retry().connectTimeout(Duration.ofMillis(300)))
            .build();
    ServerUnavailableException none =
        assertThrows(ServerUnavailableException.class, client::serverInfo);
    assertTrue(none.getMessage().contains("runwire server"), none.getMessage());
    runId = client.beginRun(RunSpec.named("away").experimentId("0"));
    client.logger(runId).logMetric("m", 1);
    ServerUnavailableException left = assertThrows(ServerUnavailableException.class, client::flush);
    assertEquals(spools().get(0).toString(), left.metadata().get("spool"));
    long start = System.nanoTime();
    assertThrows(ServerUnavailableException.class, () -> client.close(Duration.ofMillis(500)));
    assertTrue(System.nanoTime() - start < 60_000_000_000L);
    String said = sync(spools().get(0), server.address());
    assertTrue(said.startsWith("0 "), said);
    assertEquals(List.of(), spools());
    try (RunwireClient reader = builder(server.address()).build()) {
      assertEquals(1, reader.getRun(runId).metrics().get("m").count());
    }
  }

  @Test
  void aSpoolInUseIsNotDeliveredByOthers() throws Exception {
    RunwireClient client =
        builder("runwire://127.0.0.1:1")
            .retry(new Retry().connectTimeout(Duration.ofMillis(100)))
            .build();
    String runId = client.beginRun(new RunSpec().experimentId("0"));
    client.logger(runId).logMetric("m", 1);
    assertThrows(ServerUnavailableException.class, client::flush);
    String said = sync(spools().get(0), "runwire://127.0.0.1:1");
    assertTrue(said.contains("in use by process " + ProcessHandle.current().pid()), said);
    assertThrows(ServerUnavailableException.class, () -> client.close(Duration.ofMillis(200)));
  }

  @Test
  void aFullSpoolIsAnErrorWhereThatIsAskedFor() throws Exception {
    RunwireClient client =
        builder("runwire://127.0.0.1:1")
            .spoolBytes(200_000)
            .onSpoolFull(OnSpoolFull.ERROR)
            .retry(new Retry().connectTimeout(Duration.ofMillis(100)))
            .build();
    String runId = client.beginRun(new RunSpec().experimentId("0"));
    RunLogger logger = client.logger(runId);
    assertThrows(
        ResourceExhaustedException.class,
        () -> {
          for (int i = 0; i < 10_000_000; i++) {
            logger.logMetric("m", i, i * 3L % 7);
          }
        });
    assertThrows(RunwireException.class, () -> client.close(Duration.ofMillis(200)));
  }

  @Test
  void anEndThatFoundNoRoomCanBeSaidAgain() {
    try (ServerProcess server = new ServerProcess(folder.resolve("server")).start();
        RunwireClient client =
            builder(server.address()).spoolBytes(200_000).onSpoolFull(OnSpoolFull.ERROR).build()) {
      ActiveRun run = client.startRun("full");
      server.kill();
      assertThrows(
          ResourceExhaustedException.class,
          () -> {
            for (int i = 0; i < 10_000_000; i++) {
              run.logMetric("m", i, i * 3L % 7);
            }
          });
      assertThrows(ResourceExhaustedException.class, run::finish);
      server.start();
      client.flush();
      run.finish();
      assertEquals(RunStatus.FINISHED, client.getRun(run.runId()).status());
    }
  }

  @Test
  void aReplayedTaskDoublesNothing(ServerProcess server) {
    try (RunwireClient client = builder(server.address()).build()) {
      String runId = client.createRun(new RunSpec()).runId();
      String writer = ReplayableLogger.writerId("application-1", 3, runId);
      ReplayableLogger first = client.replayableLogger(writer, runId, "1");
      for (int i = 0; i < 2500; i++) {
        first.logMetric("m", i, i, i);
      }
      // It dies here, with two frames cut and a third one in the making; another attempt follows.
      ReplayableLogger second = client.replayableLogger(writer, runId, "2");
      for (int i = 0; i < 3000; i++) {
        second.logMetric("m", i, i, i);
        if (i % 500 == 0 && i < 2500) {
          first.logMetric("m", 2500 + i / 500, 2500 + i / 500, 2500 + i / 500);
        }
      }
      second.logParam("done", true);
      second.complete();
      second.close();
      MetricHistory history = client.getMetricHistory(runId, "m");
      assertArrayEquals(LongStream.range(0, 3000).toArray(), history.steps());
      assertEquals("true", client.getRun(runId).params().get("done"));
    }
  }

  @Test
  void aReplayedTaskMayHaveManyLongNames(ServerProcess server) {
    try (RunwireClient client = builder(server.address()).build()) {
      String runId = client.createRun(new RunSpec()).runId();
      String writer = ReplayableLogger.writerId("application-4", runId);
      String long240 = "ü".repeat(240);
      try (ReplayableLogger logger = client.replayableLogger(writer, runId)) {
        for (int i = 0; i < 600; i++) {
          Map<String, Integer> row = new TreeMap<>();
          for (int k = 0; k < 8; k++) {
            row.put(long240 + i + "-" + k, i);
          }
          logger.logMetrics(row, i);
        }
        logger.complete();
      }
      assertEquals(599, client.getMetricHistory(runId, long240 + "599-7").value(0));
    }
  }

  @Test
  void nothingIsLoggedBehindTheEndOfAWork(ServerProcess server) {
    try (RunwireClient client = builder(server.address()).build()) {
      String runId = client.createRun(new RunSpec()).runId();
      String writer = ReplayableLogger.writerId("application-5", runId);
      try (ReplayableLogger logger = client.replayableLogger(writer, runId)) {
        logger.complete();
        assertThrows(IllegalStateException.class, () -> logger.logMetric("m", 1));
        assertThrows(IllegalStateException.class, () -> logger.setTag("t", 1));
        assertThrows(IllegalStateException.class, logger::flush);
      }
    }
  }

  /** Calls again and again, until the little time that a call has is enough. */
  private static <T> T inTime(Supplier<T> call) {
    while (true) {
      try {
        return call.get();
      } catch (RunwireException | CompletionException slow) {
        RunwireException error = RunwireException.of(slow);
        if (!(error instanceof DeadlineExceededException
            || error instanceof ServerUnavailableException)) {
          throw error;
        }
      }
    }
  }

  @Test
  void aViewHandsItsDeadlineOn() {
    try (ServerProcess server = new ServerProcess(folder.resolve("server")).start();
        RunwireClient client =
            builder(server.address())
                .timeout(Duration.ofMinutes(10))
                // A watch without a server takes it.
                .retry(new Retry().connectTimeout(Duration.ofSeconds(3)))
                .build()) {
      RunwireClient view = client.withTimeout(Duration.ofMillis(500));
      String runId = inTime(() -> client.createRun(new RunSpec()).runId());
      final ActiveRun run = inTime(() -> view.startRun("short"));
      final ActiveRun other =
          inTime(() -> view.async().startRun(RunSpec.named("short, too")).join());
      ReplayableLogger replayable =
          view.replayableLogger(ReplayableLogger.writerId("work", runId), runId);
      RunLogger logger = view.logger(runId);
      MetricWatch watch = view.watchMetrics(new WatchSpec().runIds(List.of(runId)));
      client.flush();
      server.kill();
      logger.logMetric("m", 1);
      replayable.logMetric("m", 1);
      long start = System.nanoTime();
      assertThrows(RunwireException.class, logger::flush);
      assertThrows(RunwireException.class, view.async().logger(runId)::flush);
      assertThrows(RunwireException.class, run::flush);
      assertThrows(RunwireException.class, other::flush);
      assertThrows(RunwireException.class, replayable::complete);
      assertThrows(RunwireException.class, watch::hasNext);
      assertTrue(System.nanoTime() - start < 120_000_000_000L);
      server.start();
    }
  }

  private static void replay(ReplayableLogger logger, String key) {
    try (logger) {
      logger.logMetric(key, 1, 1);
      logger.complete();
    }
  }

  @Test
  void otherWorkUnderANameThatIsTakenIsRefused(ServerProcess server) {
    try (RunwireClient client = builder(server.address()).build();
        RunwireClient other = builder(server.address()).build()) {
      String runId = client.createRun(new RunSpec()).runId();
      String writer = ReplayableLogger.writerId("application-3", runId);
      client.replayableLogger(writer, runId).close();
      ReplayableLogger open = client.replayableLogger(writer, runId);
      assertThrows(
          IllegalStateException.class, () -> client.replayableLogger(writer, runId), "while open");
      replay(open, "m");
      IllegalStateException taken =
          assertThrows(IllegalStateException.class, () -> client.replayableLogger(writer, runId));
      assertTrue(taken.getMessage().contains(writer), taken.getMessage());
      replay(other.replayableLogger(writer, runId), "m");
      replay(client.replayableLogger(writer, runId, "2"), "m");
      assertEquals(1, client.getMetricHistory(runId, "m").size());
      replay(client.replayableLogger(ReplayableLogger.writerId("more", runId), runId), "n");
      assertEquals(1, client.getMetricHistory(runId, "n").size());
    }
  }

  @Test
  void twoAttemptsAtOnceMakeOneWhole(ServerProcess server) throws Exception {
    try (RunwireClient one = builder(server.address()).build();
        RunwireClient two = builder(server.address()).build()) {
      String runId = one.createRun(new RunSpec()).runId();
      String writer = ReplayableLogger.writerId("application-2", 1, runId);
      List<Thread> attempts = new ArrayList<>();
      List<Throwable> failed = new ArrayList<>();
      for (RunwireClient client : List.of(one, two)) {
        Thread attempt =
            new Thread(
                () -> {
                  try (ReplayableLogger logger = client.replayableLogger(writer, runId)) {
                    for (int i = 0; i < 50_000; i++) {
                      logger.logMetric("m", i, i, i);
                    }
                    logger.complete();
                  } catch (RuntimeException error) {
                    failed.add(error);
                  }
                });
        attempt.start();
        attempts.add(attempt);
      }
      for (Thread attempt : attempts) {
        attempt.join();
      }
      assertEquals(List.of(), failed);
      assertArrayEquals(
          LongStream.range(0, 50_000).toArray(), one.getMetricHistory(runId, "m").steps());
    }
  }

  /** Logs what is the same in each attempt but for texts and times. */
  private static void attempt(ReplayableLogger logger, String text, long late) {
    try (logger) {
      for (int i = 0; i < 100; i++) {
        logger.setTag("host", text);
        logger.logMetric("m", i, i);
      }
      for (int i = 0; i < 4; i++) {
        Batch batch = new Batch();
        for (int step = 0; step < 4000; step++) {
          batch.metric("a", step, 4000 * i + step, step).metric("b", step, step, step + late);
        }
        logger.logBatch(batch);
        logger.logInputs(List.of(DatasetInput.of(Dataset.of("d", "1").withSource("file", text))));
      }
      logger.logMetric("end", 1);
      logger.complete();
    }
  }

  @Test
  void attemptsThatDifferInTextsAndTimesLogTheSame(ServerProcess server) {
    try (RunwireClient client = builder(server.address()).build()) {
      for (boolean longFirst : new boolean[] {false, true}) {
        String runId = client.createRun(new RunSpec()).runId();
        String writer = ReplayableLogger.writerId("application-4", runId);
        for (boolean isLong : new boolean[] {longFirst, !longFirst}) {
          ReplayableLogger logger = client.replayableLogger(writer, runId, "" + isLong);
          attempt(logger, isLong ? "x".repeat(8000) : "x", isLong ? 1 : 0);
        }
        assertArrayEquals(
            LongStream.range(0, 100).toArray(), client.getMetricHistory(runId, "m").steps());
        assertArrayEquals(
            LongStream.range(0, 16_000).toArray(), client.getMetricHistory(runId, "a").steps());
        assertEquals(1, client.getMetricHistory(runId, "end").size());
      }
    }
  }

  @Test
  void tenThousandRunsLeakNeitherThreadsNorFiles(ServerProcess server) throws IOException {
    try (RunwireClient client = builder(server.address()).build()) {
      String experiment = client.createExperiment("many-" + Ids.hex());
      begin(client, experiment, 100);
      int threads = Thread.getAllStackTraces().size();
      long files = files();
      begin(client, experiment, 10_000);
      // A connection that is made again has some, too.
      assertTrue(Thread.getAllStackTraces().size() <= threads + 10);
      assertTrue(files() <= files + 10);
      Page<Run> page =
          client.searchRuns(
              new RunSearch()
                  .experimentIds(List.of(experiment))
                  .filter("status = 'FINISHED'")
                  .mask(new RunMask().fields(List.of("run_id")))
                  .pageSize(1));
      assertTrue(page.nextPageToken().isPresent());
    }
    assertEquals(List.of(), spools());
  }

  private static void begin(RunwireClient client, String experiment, int count) {
    for (int i = 0; i < count; i++) {
      String runId = client.beginRun(new RunSpec().experimentId(experiment));
      client.logger(runId).logMetric("m", i);
      client.endRun(runId, RunStatus.FINISHED);
    }
    // Ten thousand runs are a lot of work for a slow machine.
    client.flush(Duration.ofMinutes(8));
  }

  private static long files() throws IOException {
    try (Stream<Path> open = Files.list(Path.of("/proc/self/fd"))) {
      return open.count();
    }
  }

  @Test
  void aClosedClientSaysSo(ServerProcess server) {
    RunwireClient client = builder(server.address()).build();
    RunLogger logger = client.logger(client.createRun(new RunSpec()).runId());
    logger.logMetric("m", 1);
    client.close();
    client.close();
    assertThrows(IllegalStateException.class, () -> logger.logMetric("m", 2));
    assertThrows(IllegalStateException.class, client::serverInfo);
    assertFalse(Files.exists(folder.resolve("spool").resolve("none")));
  }
}
