package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** What becomes of what others do with a client while it is closed, and after. */
@ExtendWith(ServerExtension.class)
class ClosingTest {
  private static final String RUN = "1".repeat(32);

  @TempDir Path folder;

  private RunwireClient.Builder builder() {
    return Patience.client().spoolDir(folder.resolve("spool"));
  }

  private static void isClosed(Executable call) {
    IllegalStateException error = assertThrows(IllegalStateException.class, call);
    assertEquals("the client is closed", error.getMessage());
  }

  private static boolean isClosing(RunwireClient client) {
    try {
      client.core.checkOpen();
      return false;
    } catch (IllegalStateException closed) {
      return true;
    }
  }

  @Test
  void whatIsLoggedWhileTheClientIsClosedIsDeliveredOrRefused(ServerProcess server)
      throws Exception {
    try (RunwireClient reader = builder().address(server.address()).build()) {
      for (int round = 0; round < 5; round++) {
        RunwireClient client = builder().address(server.address()).build();
        RunLogger logger = client.logger(client.createRun(new RunSpec()).runId());
        CountDownLatch begun = new CountDownLatch(4);
        List<CompletableFuture<Long>> logging = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
          logging.add(logging(logger, "m" + i, begun));
        }
        begun.await();
        client.close();
        for (int i = 0; i < 4; i++) {
          long logged = logging.get(i).get(Patience.SECONDS, TimeUnit.SECONDS);
          assertEquals(logged, reader.getMetricHistory(logger.runId(), "m" + i).size());
        }
      }
    }
  }

  /** Logs until the client is closed; becomes the number of points that were taken. */
  private static CompletableFuture<Long> logging(
      RunLogger logger, String key, CountDownLatch begun) {
    CompletableFuture<Long> logged = new CompletableFuture<>();
    Thread thread =
        new Thread(
            () -> {
              long step = 0;
              try {
                for (; ; step++) {
                  logger.logMetric(key, step, step);
                  begun.countDown();
                }
              } catch (IllegalStateException closed) {
                logged.complete(step);
              }
            });
    thread.start();
    return logged;
  }

  @Test
  void aClosedBufferStaysClosedWhenThereIsRoomAgain() {
    Buffer buffer = new Buffer(() -> {});
    KeySet series = buffer.keys(RUN).single("m");
    buffer.emptiedBy(Thread.currentThread());
    buffer.point(series, 1, 1, 1);
    buffer.close();
    buffer.refuse(null);
    isClosed(() -> buffer.point(series, 2, 2, 2));
    isClosed(() -> buffer.recordAtOnce(new LogRecord(RUN, new byte[1])));
  }

  @Test
  void aFlushBehindACloseThatDeliveredNotAllSaysSo() {
    RunwireClient client =
        builder()
            .address("runwire://127.0.0.1:1")
            .retry(new Retry().connectTimeout(Duration.ofMillis(100)))
            .build();
    client.logger(RUN).logMetric("m", 1);
    assertThrows(RunwireException.class, () -> client.close(Duration.ofMillis(500)));
    CancelledException told = assertThrows(CancelledException.class, client::flush);
    assertTrue(told.getMessage().contains("closed meanwhile. 1 frame waits in"), told.toString());
  }

  @Test
  void aFlushBehindACloseThatDeliveredAllReturns(ServerProcess server) {
    RunwireClient client = builder().address(server.address()).build();
    client.logger(client.createRun(new RunSpec()).runId()).logMetric("m", 1);
    client.close();
    client.flush();
  }

  @Test
  void aCloseThatHasNothingToDeliverTakesNoTime(ServerProcess server) {
    RunwireClient client = builder().address(server.address()).build();
    client.logger(client.createRun(new RunSpec()).runId()).logMetric("m", 1);
    client.flush();
    client.close(Duration.ofNanos(1));
  }

  /** A channel whose calls that create a run wait until they may go on. */
  private static final class Held extends ForwardingChannel {
    final CountDownLatch came = new CountDownLatch(1);
    final CountDownLatch go = new CountDownLatch(1);

    Held(ServerProcess server) {
      super(server.address());
    }

    @Override
    public <Q, A> ClientCall<Q, A> newCall(MethodDescriptor<Q, A> method, CallOptions options) {
      if ("CreateRun".equals(method.getBareMethodName())) {
        came.countDown();
        boolean interrupted = false;
        while (go.getCount() > 0) {
          try {
            go.await();
          } catch (InterruptedException again) {
            interrupted = true;
          }
        }
        if (interrupted) {
          Thread.currentThread().interrupt();
        }
      }
      return super.newCall(method, options);
    }
  }

  @Test
  void aRunThatIsStartedWhileTheClientIsClosedIsKilled(ServerProcess server) throws Exception {
    Held channel = new Held(server);
    String runId = Ids.hex();
    try (RunwireClient reader = builder().address(server.address()).build()) {
      RunwireClient client = builder().channel(channel).build();
      CompletableFuture<Void> starting =
          run(() -> isClosed(() -> client.startRun(new RunSpec().runId(runId))));
      channel.came.await();
      CompletableFuture<Void> closing = run(client::close);
      while (!isClosing(client)) {
        Thread.yield();
      }
      isClosed(() -> client.startRun("late"));
      isClosed(() -> client.beginRun(new RunSpec().experimentId("0")));
      isClosed(() -> client.keepAlive(RUN));
      channel.go.countDown();
      starting.get(Patience.SECONDS, TimeUnit.SECONDS);
      closing.get(Patience.SECONDS, TimeUnit.SECONDS);
      assertEquals(RunStatus.KILLED, reader.getRun(runId).status());
    } finally {
      channel.shutdownNow();
    }
  }

  private static CompletableFuture<Void> run(Executable what) {
    CompletableFuture<Void> done = new CompletableFuture<>();
    Thread thread =
        new Thread(
            () -> {
              try {
                what.execute();
                done.complete(null);
              } catch (Throwable thrown) {
                done.completeExceptionally(thrown);
              }
            });
    thread.start();
    return done;
  }

  @Test
  void aRunWhoseFutureIsCancelledIsKilled(ServerProcess server) throws Exception {
    Held channel = new Held(server);
    String runId = Ids.hex();
    try (RunwireClient client = builder().channel(channel).build();
        RunwireClient reader = builder().address(server.address()).build()) {
      CompletableFuture<ActiveRun> starting =
          client.async().startRun(new RunSpec().runId(runId).experimentId("0"));
      channel.came.await();
      starting.cancel(true);
      channel.go.countDown();
      while (status(reader, runId) != RunStatus.KILLED) {
        Thread.yield();
      }
    } finally {
      channel.shutdownNow();
    }
  }

  private static RunStatus status(RunwireClient reader, String runId) {
    try {
      return reader.getRun(runId).status();
    } catch (NotFoundException early) {
      return RunStatus.UNKNOWN;
    }
  }

  @Test
  void aWatchEndsWithItsClient(ServerProcess server) throws Exception {
    ManagedChannel channel =
        Grpc.newChannelBuilder(server.address(), InsecureChannelCredentials.create()).build();
    try {
      RunwireClient client = builder().channel(channel).build();
      String runId = client.createRun(new RunSpec()).runId();
      WatchSpec spec = new WatchSpec().runIds(List.of(runId));
      MetricWatch watch = client.watchMetrics(spec);
      assertNotNull(watch.next());
      MetricWatch unused = client.watchMetrics(spec);
      CompletableFuture<Boolean> waiting = CompletableFuture.supplyAsync(watch::hasNext);
      client.close();
      assertFalse(waiting.get(Patience.SECONDS, TimeUnit.SECONDS));
      assertFalse(watch.hasNext());
      assertFalse(unused.hasNext());
      isClosed(() -> client.watchMetrics(spec).close());
      isClosed(() -> client.keepAlive(runId));
    } finally {
      channel.shutdownNow();
    }
  }
}
