package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.runwire.v1.Ack;
import dev.runwire.v1.CreateRunRequest;
import dev.runwire.v1.CreateRunResponse;
import dev.runwire.v1.ExperimentServiceGrpc;
import dev.runwire.v1.Frame;
import dev.runwire.v1.GetExperimentRequest;
import dev.runwire.v1.GetExperimentResponse;
import dev.runwire.v1.GetRunRequest;
import dev.runwire.v1.GetRunResponse;
import dev.runwire.v1.MetricServiceGrpc;
import dev.runwire.v1.RunServiceGrpc;
import dev.runwire.v1.StreamFramesRequest;
import dev.runwire.v1.StreamFramesResponse;
import dev.runwire.v1.Welcome;
import io.grpc.Context;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What waits for the delivery of logs and then asks the server takes its timeout once. */
class DeadlineTest {
  private static final String RUN = "1".repeat(32);
  private static final long TIMEOUT = Patience.LONG.toMillis();
  private static final long SLOWNESS = 1000;

  @TempDir Path folder;

  private final CompletableFuture<Long> left = new CompletableFuture<>();
  private Server server;

  /** Acknowledges each frame late, as a server whose disk is slow. */
  private static final class Metrics extends MetricServiceGrpc.MetricServiceImplBase {
    @Override
    public StreamObserver<StreamFramesRequest> streamFrames(
        StreamObserver<StreamFramesResponse> answers) {
      return new StreamObserver<>() {
        @Override
        public void onNext(StreamFramesRequest request) {
          StreamFramesResponse.Builder answer = StreamFramesResponse.newBuilder();
          if (request.hasHello()) {
            Welcome.Builder welcome = Welcome.newBuilder().setWindowBytes(1 << 20);
            answers.onNext(answer.setWelcome(welcome).build());
          } else if (request.hasFrame()) {
            Frame frame = request.getFrame();
            int crc = Writer.chained(frame.getPreviousCrc(), frame.getPayload().toByteArray());
            Ack.Builder ack = Ack.newBuilder().setSequence(frame.getSequence()).setCrc(crc);
            CompletableFuture.delayedExecutor(SLOWNESS, TimeUnit.MILLISECONDS)
                .execute(() -> answers.onNext(answer.setAck(ack).build()));
          }
        }

        @Override
        public void onError(Throwable thrown) {}

        @Override
        public void onCompleted() {
          answers.onCompleted();
        }
      };
    }
  }

  /** Notes how much time a call had left when it came. */
  private final class Runs extends RunServiceGrpc.RunServiceImplBase {
    private void note() {
      left.complete(Context.current().getDeadline().timeRemaining(TimeUnit.MILLISECONDS));
    }

    private dev.runwire.v1.Run run() {
      return dev.runwire.v1.Run.newBuilder().setRunId(RUN).build();
    }

    @Override
    public void getRun(GetRunRequest request, StreamObserver<GetRunResponse> answer) {
      note();
      answer.onNext(GetRunResponse.newBuilder().setRun(run()).build());
      answer.onCompleted();
    }

    @Override
    public void createRun(CreateRunRequest request, StreamObserver<CreateRunResponse> answer) {
      note();
      answer.onNext(CreateRunResponse.newBuilder().setRun(run()).build());
      answer.onCompleted();
    }
  }

  private static final class Experiments extends ExperimentServiceGrpc.ExperimentServiceImplBase {
    @Override
    public void getExperiment(
        GetExperimentRequest request, StreamObserver<GetExperimentResponse> answer) {
      answer.onNext(
          GetExperimentResponse.newBuilder()
              .setExperiment(dev.runwire.v1.Experiment.newBuilder().setExperimentId("5"))
              .build());
      answer.onCompleted();
    }
  }

  @BeforeEach
  void start() throws IOException {
    server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(new Metrics())
            .addService(new Runs())
            .addService(new Experiments())
            .build()
            .start();
  }

  @AfterEach
  void stop() {
    server.shutdownNow();
  }

  private RunwireClient client() {
    return Patience.client()
        .address("runwire://127.0.0.1:" + server.getPort())
        .timeout(Duration.ofMillis(TIMEOUT))
        .spoolDir(folder)
        .build();
  }

  private static Arguments call(String name, Consumer<RunwireClient> call) {
    return Arguments.of(name, call);
  }

  static Stream<Arguments> calls() {
    RunSpec named = new RunSpec().experimentName("wine");
    return Stream.of(
        call("getRun", client -> client.getRun(RUN)),
        call("finishRun", client -> client.finishRun(RUN)),
        call("createRun", client -> client.createRun(named)),
        call("a future of getRun", client -> client.async().getRun(RUN, new RunMask()).join()),
        call(
            "a future of finishRun",
            client -> client.async().finishRun(RUN, RunStatus.FINISHED, null).join()));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("calls")
  void aCallHasWhatTheDeliveryBeforeItLeft(String name, Consumer<RunwireClient> call) {
    try (RunwireClient client = client()) {
      client.logger(RUN).logMetric("m", 1);
      call.accept(client);
    }
    assertTrue(left.join() <= TIMEOUT - SLOWNESS, left + " of " + TIMEOUT);
  }
}
