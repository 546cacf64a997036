package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(ServerExtension.class)
@Timeout(120)
class AsyncTest {
  @TempDir Path folder;

  private RunwireClient connect(ServerProcess server) {
    return RunwireClient.builder()
        .address(server.address())
        .spoolDir(folder.resolve("spool"))
        .build();
  }

  private static long waiting() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().equals("runwire-waiting"))
        .count();
  }

  @Test
  void manyCallsTakeFewThreads(ServerProcess server) throws Exception {
    try (RunwireClient client = connect(server)) {
      String runId = client.createRun(new RunSpec()).runId();
      RunLogger logger = client.logger(runId);
      List<CompletableFuture<?>> calls = new ArrayList<>();
      long most = 0;
      for (int step = 0; step < 3000; step++) {
        logger.logMetric("m", step, step);
        calls.add(client.async().getRun(runId));
        if (step % 100 == 0) {
          calls.add(client.async().flush());
          calls.add(client.async().createRun(new RunSpec()));
          most = Math.max(most, waiting());
        }
      }
      most = Math.max(most, waiting());
      for (CompletableFuture<?> call : calls) {
        call.get(60, TimeUnit.SECONDS);
      }
      assertTrue(most > 0 && most <= 16, most + " threads");
      assertEquals(3000, client.getMetricHistory(runId, "m").size());
    }
  }

  @Test
  void callsThatWaitForAThreadEndInTime() throws Exception {
    RunwireClient client =
        RunwireClient.builder()
            .address("127.0.0.1:1")
            .spoolDir(folder.resolve("spool"))
            .timeout(Duration.ofSeconds(2))
            .build();
    long start = System.nanoTime();
    List<CompletableFuture<?>> calls = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      calls.add(client.async().createRun(new RunSpec()));
    }
    for (CompletableFuture<?> call : calls) {
      Throwable error = call.handle((made, failed) -> failed).get(30, TimeUnit.SECONDS).getCause();
      assertTrue(error instanceof RunwireException, String.valueOf(error));
    }
    // Sixteen at a time, each with 2 s of its own, they would take 26.
    assertTrue(System.nanoTime() - start < TimeUnit.SECONDS.toNanos(15));
    client.close();
  }

  @Test
  void whatTheBlockingClientSaysTheAsyncOneSaysToo(ServerProcess server) {
    try (RunwireClient client = connect(server)) {
      AsyncRunwireClient async = client.async();
      Experiment made = async.getOrCreateExperiment("async-" + Ids.hex()).join();
      assertEquals(made, async.getOrCreateExperiment(made.name()).join());
      async.setExperimentTag(made.experimentId(), "year", 2026).join();
      assertEquals("2026", client.getExperiment(made.experimentId()).tags().get("year"));
      String runId = client.createRun(new RunSpec()).runId();
      client.logger(runId).logSeries("m", new double[] {1, 2});
      assertEquals(client.getRun(runId), async.getRun(runId).join());
      assertEquals(
          "MetricHistory[runId=" + runId + ", key=m, 2 points]",
          async.getMetricHistory(runId, "m", null, null).join().toString());
      CurveOptions options = new CurveOptions();
      assertEquals(
          client.getMetricCurve(runId, "m", options),
          async.getMetricCurve(runId, "m", options).join());
    }
  }
}
