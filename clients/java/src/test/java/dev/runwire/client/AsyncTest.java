package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.runwire.v1.ExperimentServiceGrpc;
import dev.runwire.v1.GetExperimentRequest;
import dev.runwire.v1.GetExperimentResponse;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ConnectivityState;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

@ExtendWith(ServerExtension.class)
class AsyncTest {
  @TempDir Path folder;

  private RunwireClient connect(ServerProcess server) {
    return Patience.client().address(server.address()).spoolDir(folder.resolve("spool")).build();
  }

  private static long waiting() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().equals("runwire-waiting"))
        .count();
  }

  @Test
  void manyCallsTakeFewThreads(ServerProcess server) throws Exception {
    // Those of other tests end soon.
    while (waiting() > 0) {
      Thread.sleep(10);
    }
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
        call.get(Patience.SECONDS, TimeUnit.SECONDS);
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
    for (int i = 0; i < 2000; i++) {
      calls.add(client.async().createRun(new RunSpec()));
    }
    for (CompletableFuture<?> call : calls) {
      Throwable error =
          call.handle((made, failed) -> failed).get(Patience.SECONDS, TimeUnit.SECONDS);
      assertTrue(error instanceof RunwireException, String.valueOf(error));
    }
    // Sixteen at a time, each with 2 s of its own, they would take 250.
    assertTrue(System.nanoTime() - start < TimeUnit.SECONDS.toNanos(120));
    client.close();
  }

  @Test
  void whatUsersDoWithResultsHoldsUpNoCall(ServerProcess server) throws Exception {
    ExecutorService users = Executors.newCachedThreadPool();
    CountDownLatch over = new CountDownLatch(1);
    try (RunwireClient client =
        Patience.client()
            .address(server.address())
            .spoolDir(folder.resolve("spool"))
            .executor(users)
            .build()) {
      CountDownLatch waiting = new CountDownLatch(20);
      for (int i = 0; i < 20; i++) {
        client
            .async()
            .startRun(RunSpec.named("train"))
            .thenAccept(
                run -> {
                  waiting.countDown();
                  await(over);
                });
      }
      waiting.await();
      String runId =
          client.async().createRun(new RunSpec()).get(Patience.SECONDS, TimeUnit.SECONDS).runId();
      client.logger(runId).logMetric("m", 1);
      assertEquals(
          runId, client.async().getRun(runId).get(Patience.SECONDS, TimeUnit.SECONDS).runId());
      client.async().flush().get(Patience.SECONDS, TimeUnit.SECONDS);
    } finally {
      over.countDown();
      users.shutdown();
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
    }
  }

  @Test
  void whatWaitsForAThreadEndsInItsOwnTimeOrWithTheClient() throws Exception {
    Late channel = new Late();
    RunwireClient client =
        RunwireClient.builder()
            .channel(channel)
            .spoolDir(folder.resolve("spool"))
            .timeout(Duration.ofMinutes(10))
            .build();
    try {
      for (int i = 0; i < 16; i++) {
        client.async().createRun(new RunSpec());
      }
      AsyncRunwireClient hurried = client.withTimeout(Duration.ofMillis(200)).async();
      assertInstanceOf(DeadlineExceededException.class, failure(hurried.createRun(new RunSpec())));
      assertInstanceOf(DeadlineExceededException.class, failure(hurried.serverInfo()));
      CompletableFuture<?> late = client.async().createRun(new RunSpec());
      CompletableFuture<?> cancelled = client.async().serverInfo();
      cancelled.cancel(true);
      client.close();
      Throwable closed = failure(late);
      assertInstanceOf(IllegalStateException.class, closed);
      assertEquals("the client is closed", closed.getMessage());
    } finally {
      channel.state.complete(ConnectivityState.SHUTDOWN);
      channel.shutdownNow();
    }
  }

  private static Throwable failure(CompletableFuture<?> call) throws Exception {
    return call.handle((found, error) -> error).get(Patience.SECONDS, TimeUnit.SECONDS);
  }

  @Test
  void allFuturesFailInTheSameWay(ServerProcess server) {
    try (RunwireClient client = connect(server)) {
      AsyncRunwireClient async = client.async();
      String none = "0".repeat(32);
      for (CompletableFuture<?> call :
          List.of(async.getRun(none), async.resumeRun(none), async.getExperimentByName(" "))) {
        Throwable error = call.handle((found, failed) -> failed).join();
        assertTrue(error instanceof RunwireException, String.valueOf(error));
      }
    }
  }

  /** Never answers, and notes that a call came, and that its caller gave it up. */
  private static final class Silent extends ExperimentServiceGrpc.ExperimentServiceImplBase {
    final CountDownLatch came = new CountDownLatch(1);
    final CountDownLatch cancelled = new CountDownLatch(1);

    @Override
    public void getExperiment(
        GetExperimentRequest request, StreamObserver<GetExperimentResponse> answer) {
      ((ServerCallStreamObserver<?>) answer).setOnCancelHandler(cancelled::countDown);
      came.countDown();
    }
  }

  private static Arguments call(
      String name, Function<AsyncRunwireClient, CompletableFuture<?>> call) {
    return Arguments.of(name, call);
  }

  static Stream<Arguments> calls() {
    return Stream.of(
        call("one call", client -> client.getExperiment("1")),
        call("one call, and its answer changed", client -> client.getExperimentByName("a")),
        call("several calls", client -> client.getOrCreateExperiment("a")));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("calls")
  void cancellingAFutureCancelsItsCall(
      String name, Function<AsyncRunwireClient, CompletableFuture<?>> call) throws Exception {
    Silent service = new Silent();
    Server server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(service)
            .build()
            .start();
    try (RunwireClient client =
        Patience.client()
            .address("runwire://127.0.0.1:" + server.getPort())
            .spoolDir(folder.resolve("spool"))
            .timeout(Duration.ofMinutes(10))
            .build()) {
      CompletableFuture<?> asked = call.apply(client.async());
      service.came.await();
      asked.cancel(true);
      assertTrue(service.cancelled.await(Patience.SECONDS, TimeUnit.SECONDS));
    } finally {
      server.shutdownNow();
    }
  }

  /** A channel that is ready once somebody says so, and notes that a call is cancelled. */
  private static final class Late extends ForwardingChannel {
    final CountDownLatch asked = new CountDownLatch(1);
    final CompletableFuture<ConnectivityState> state = new CompletableFuture<>();
    final CountDownLatch cancelled = new CountDownLatch(1);

    Late() {
      super("127.0.0.1:1");
    }

    @Override
    public ConnectivityState getState(boolean connect) {
      asked.countDown();
      return state.join();
    }

    @Override
    public <Q, A> ClientCall<Q, A> newCall(MethodDescriptor<Q, A> method, CallOptions options) {
      return new SimpleForwardingClientCall<>(super.newCall(method, options)) {
        @Override
        public void cancel(String message, Throwable cause) {
          cancelled.countDown();
          super.cancel(message, cause);
        }
      };
    }
  }

  @Test
  void cancellingAFutureCancelsWhatWaitsForAConnection() throws Exception {
    Late channel = new Late();
    try (RunwireClient client =
        Patience.client().channel(channel).spoolDir(folder.resolve("spool")).build()) {
      CompletableFuture<?> call = client.async().serverInfo();
      channel.asked.await();
      call.cancel(true);
      channel.state.complete(ConnectivityState.READY);
      assertTrue(channel.cancelled.await(Patience.SECONDS, TimeUnit.SECONDS));
    } finally {
      channel.shutdownNow();
    }
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
