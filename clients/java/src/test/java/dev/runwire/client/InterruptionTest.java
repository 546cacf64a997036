package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.logging.LogManager;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Who is interrupted while he waits is told what becomes of what was logged, and that is true. */
class InterruptionTest {
  private static final long LONG = Patience.LONG.toNanos();
  private static final String RUN = "1".repeat(32);

  @TempDir Path folder;

  private RunwireClient online(ServerProcess server) {
    return Patience.client().address(server.address()).spoolDir(folder.resolve("spool")).build();
  }

  private Pipeline offline() {
    Settings settings =
        new Settings(RunwireClient.builder().mode(Mode.OFFLINE).spoolDir(folder.resolve("spool")));
    return new Pipeline(settings, new Link(settings));
  }

  private static void log(Pipeline pipeline) {
    pipeline.buffer().point(pipeline.buffer().keys(RUN).single("m"), 1, 1, 1);
  }

  private static CancelledException interrupted(Executable call) {
    Thread.currentThread().interrupt();
    CancelledException told = assertThrows(CancelledException.class, call);
    assertTrue(Thread.interrupted());
    return told;
  }

  private long framesOnDisk() throws IOException {
    Path spool = Spools.in(folder.resolve("spool")).get(0);
    return new LeftSpool(spool).undelivered();
  }

  @Test
  void anInterruptedFlushLeavesTheDeliveryGoing() {
    try (ServerProcess server = new ServerProcess(folder.resolve("server")).start();
        RunwireClient client = online(server)) {
      server.kill();
      String runId = client.beginRun(new RunSpec().experimentId("0"));
      client.logger(runId).logMetric("m", 1);
      CancelledException told = interrupted(client::flush);
      assertTrue(told.getMessage().contains("the delivery goes on"), told.getMessage());
      server.start();
      client.flush();
      assertEquals(1, client.getRun(runId).metrics().get("m").count());
    }
  }

  @Test
  void anInterruptedCloseNamesWhatIsLeft() throws Exception {
    try (ServerProcess server = new ServerProcess(folder.resolve("server")).start();
        RunwireClient client = online(server)) {
      server.kill();
      String runId = client.beginRun(new RunSpec().experimentId("0"));
      client.logger(runId).logMetric("m", 1);
      CancelledException told = interrupted(client::close);
      String place = told.metadata().get("spool");
      assertTrue(told.getMessage().contains("`runwire sync " + place + "`"), told.getMessage());
      server.start();
      Process sync =
          new ProcessBuilder(ServerProcess.command(), "-a", server.address(), "sync", place)
              .redirectErrorStream(true)
              .start();
      String said = new String(sync.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertEquals(0, sync.waitFor(), said);
      try (RunwireClient reader = online(server)) {
        assertEquals(1, reader.getRun(runId).metrics().get("m").count());
      }
    }
  }

  @Test
  void whoWaitsIsToldThatTheClientWasClosed() throws Exception {
    try (ServerProcess server = new ServerProcess(folder.resolve("server")).start();
        RunwireClient client = online(server)) {
      server.kill();
      String runId = client.beginRun(new RunSpec().experimentId("0"));
      client.logger(runId).logMetric("m", 1);
      CompletableFuture<RunwireException> told = new CompletableFuture<>();
      CountDownLatch begun = new CountDownLatch(1);
      Thread waiting =
          new Thread(
              () -> {
                begun.countDown();
                told.complete(
                    assertThrows(
                        RunwireException.class, () -> client.flush(Duration.ofSeconds(600))));
              });
      waiting.start();
      begun.await();
      // However short the time to close is, it is told of a frame.
      while (Spools.in(folder.resolve("spool")).isEmpty() || framesOnDisk() == 0) {
        Thread.sleep(10);
      }
      assertThrows(RunwireException.class, () -> client.close(Duration.ofSeconds(2)));
      RunwireException error = told.get(Patience.SECONDS, TimeUnit.SECONDS);
      assertEquals(CancelledException.class, error.getClass());
      assertTrue(error.getMessage().contains("closed meanwhile. 1 frame waits"), error.toString());
    }
  }

  @Test
  void anInterruptedWatchIsNoServerThatWentAway() {
    try (ServerProcess server = new ServerProcess(folder.resolve("server")).start();
        RunwireClient client = online(server)) {
      String runId = client.createRun(new RunSpec()).runId();
      try (MetricWatch watch = client.watchMetrics(new WatchSpec().runIds(List.of(runId)))) {
        watch.next();
        interrupted(watch::hasNext);
        client.logger(runId).logMetric("m", 1);
        assertEquals(runId, watch.next().blocks().get(0).runId());
      }
    }
  }

  /** Runs a program that leaves a run open, and ends as build tools do that run it. */
  static final class LikeABuildTool {
    public static void main(String[] arguments) throws InterruptedException {
      // Build tools have it before; its hook would be of the group that is destroyed.
      LogManager.getLogManager();
      ThreadGroup group = new ThreadGroup("program");
      Thread program = new Thread(group, () -> leaveOpen(Path.of(arguments[0])));
      program.start();
      program.join();
      group.interrupt();
      try {
        group.destroy();
      } catch (IllegalThreadStateException alive) {
        System.out.println("threads are left in the group");
      }
    }

    private static void leaveOpen(Path spool) {
      RunwireClient client =
          Patience.client()
              .mode(Mode.OFFLINE)
              .spoolDir(spool)
              .shutdownTimeout(Patience.LONG)
              .build();
      client.startRun("open").flush();
    }
  }

  @Test
  void whatABuildToolInterruptsIsEndedAllTheSame() throws Exception {
    Process tool =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                LikeABuildTool.class.getName(),
                folder.resolve("spool").toString())
            .redirectErrorStream(true)
            .start();
    String said = new String(tool.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, tool.waitFor(), said);
    // The beginning, and the end.
    assertEquals(2, framesOnDisk(), said);
  }

  @Test
  void anInterruptedFlushIsWrittenToTheDiskOffline() throws Exception {
    Pipeline pipeline = offline();
    log(pipeline);
    Field field = Pipeline.class.getDeclaredField("guard");
    field.setAccessible(true);
    Guard guard = (Guard) field.get(pipeline);
    // So that nothing is folded before the wait begins.
    guard.lock();
    try {
      CancelledException told = interrupted(() -> pipeline.flush(LONG));
      assertTrue(told.getMessage().contains("written to the disk"), told.getMessage());
    } finally {
      guard.unlock();
    }
    pipeline.close(LONG, false);
    assertEquals(1, framesOnDisk());
  }

  @Test
  void anInterruptedCloseLosesNothingOffline() throws Exception {
    Pipeline pipeline = offline();
    log(pipeline);
    Thread.currentThread().interrupt();
    try {
      pipeline.close(LONG, false);
    } catch (CancelledException early) {
      // Unless all was folded before anybody had to wait.
      Path spool = Spools.in(folder.resolve("spool")).get(0);
      assertEquals(spool.toString(), early.metadata().get("spool"));
      assertTrue(early.getMessage().contains("1 frame waits in " + spool), early.getMessage());
    }
    assertTrue(Thread.interrupted());
    assertEquals(1, framesOnDisk());
  }
}
