package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.runwire.v1.Ack;
import dev.runwire.v1.MetricServiceGrpc;
import dev.runwire.v1.Rejection;
import dev.runwire.v1.StreamFramesRequest;
import dev.runwire.v1.StreamFramesResponse;
import dev.runwire.v1.Welcome;
import io.grpc.ConnectivityState;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** What goes wrong on the client's side: disks, threads, and closing at a bad time. */
@Timeout(60)
class TroubleTest {
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);
  private static final String RUN = "1".repeat(32);
  private static final Path FULL = Path.of("/dev/full");

  @TempDir Path folder;

  private RunwireClient.Builder offline() {
    return RunwireClient.builder().mode(Mode.OFFLINE).spoolDir(folder.resolve("spool"));
  }

  private RunwireClient.Builder away() {
    return RunwireClient.builder()
        .address("runwire://127.0.0.1:1")
        .spoolDir(folder.resolve("spool"));
  }

  private static Pipeline pipeline(RunwireClient.Builder builder) {
    Settings settings = new Settings(builder);
    return new Pipeline(settings, new Link(settings));
  }

  private static void log(Pipeline pipeline, String key) {
    pipeline.buffer().point(pipeline.buffer().keys(RUN).single(key), 1, 1, 1);
  }

  private List<Path> spools() throws IOException {
    return Spools.in(folder.resolve("spool"));
  }

  @Test
  void anErrorWhileFoldingIsTold() {
    Pipeline pipeline = pipeline(offline());
    // A record that names no list of groups is none that anybody makes.
    pipeline.record(new LogRecord(RUN, new byte[1], null, false));
    long start = System.nanoTime();
    InternalException told =
        assertThrows(InternalException.class, () -> pipeline.flush(20 * SECOND));
    assertTrue(System.nanoTime() - start < 10 * SECOND);
    assertTrue(told.getMessage().contains("NullPointerException"), told.getMessage());
    assertThrows(InternalException.class, () -> log(pipeline, "m"));
    assertThrows(InternalException.class, () -> pipeline.close(SECOND, false));
    assertThrows(IllegalStateException.class, () -> log(pipeline, "m"));
  }

  private Pipeline trusting(Path authority) {
    return pipeline(
        RunwireClient.builder()
            .address("runwires://127.0.0.1:1")
            .tlsCa(authority)
            .spoolDir(folder.resolve("spool")));
  }

  private static void tellsOfItsCertificates(Pipeline pipeline, long timeout) {
    UnavailableException told =
        assertThrows(UnavailableException.class, () -> pipeline.flush(timeout));
    assertTrue(told.getMessage().contains("ca.pem can not be read"), told.getMessage());
    assertThrows(UnavailableException.class, () -> pipeline.close(SECOND, false));
  }

  @Test
  void anErrorOfTheWayToTheServerEndsOneAttemptOnly() throws Exception {
    Path authority = Files.createFile(folder.resolve("ca.pem"));
    Pipeline pipeline = trusting(authority);
    Files.delete(authority);
    log(pipeline, "m");
    tellsOfItsCertificates(pipeline, 2 * SECOND);
  }

  @Test
  void aHeartbeatThatFindsNoWayEndsNothing() throws Exception {
    Pipeline pipeline = trusting(Files.createFile(folder.resolve("ca.pem")));
    pipeline.keepAlive(RUN);
    log(pipeline, "m");
    tellsOfItsCertificates(pipeline, 3 * SECOND);
  }

  private static String stuck(Executable call) {
    long start = System.nanoTime();
    String told = assertThrows(ResourceExhaustedException.class, call).getMessage();
    assertTrue(System.nanoTime() - start < 10 * SECOND);
    assertTrue(told.endsWith(". What was logged last is in memory only"), told);
    return told;
  }

  @Test
  void aSpoolThatCanNotBeWrittenIsToldAtOnceOffline() {
    Pipeline pipeline = pipeline(offline().spoolDir(Path.of("/proc/nope")));
    log(pipeline, "m");
    for (Executable call :
        List.<Executable>of(
            () -> pipeline.flush(60 * SECOND), () -> pipeline.close(60 * SECOND, false))) {
      String told = stuck(call);
      assertTrue(told.startsWith("the spool in /proc/nope can not be written: "), told);
      assertFalse(told.contains("0 frames"), told);
    }
  }

  @Test
  void aFullSpoolIsToldAtOnceOfflineWithWhatLiesThere() {
    RunwireClient client = offline().spoolBytes(4096).build();
    RunLogger logger = client.logger(RUN);
    assertThrows(
        ResourceExhaustedException.class,
        () -> {
          for (int i = 0; i < 10_000_000; i++) {
            logger.logMetric("m", i, i * 3L % 7);
          }
        });
    for (Executable call : List.<Executable>of(client::flush, client::close)) {
      String told = stuck(call);
      assertTrue(told.contains(" is full: it holds 4096 bytes"), told);
      assertTrue(
          told.matches(".* not delivered\\. [1-9]\\d* frames? waits? in .* later\\. .*"), told);
    }
  }

  @Test
  void aSpoolThatCanNotBeWrittenIsNamedWhenTheTimeIsOver() {
    Pipeline pipeline = pipeline(away().spoolDir(Path.of("/proc/nope")));
    log(pipeline, "m");
    for (Executable call :
        List.<Executable>of(() -> pipeline.flush(SECOND), () -> pipeline.close(SECOND, false))) {
      String told = assertThrows(DeadlineExceededException.class, call).getMessage();
      String memory = "What was logged last is in memory only: the spool in /proc/nope can not be";
      assertTrue(told.contains(memory), told);
      assertFalse(told.contains("0 frames"), told);
    }
  }

  /** Lanes without a server, whose disk can be full. */
  private static final class Disk {
    final Settings settings;
    final Guard guard = new Guard();
    final Buffer buffer = new Buffer(() -> {});
    final AtomicInteger pulses = new AtomicInteger();
    final Lanes lanes;
    private FileChannel good;

    Disk(RunwireClient.Builder builder) {
      assertTrue(Files.exists(FULL));
      settings = new Settings(builder);
      lanes = new Lanes(settings, guard, buffer, pulses::incrementAndGet);
      buffer.startNow();
      buffer.emptiedBy(Thread.currentThread());
    }

    private static Field file() throws ReflectiveOperationException {
      Field file = Spool.class.getDeclaredField("file");
      file.setAccessible(true);
      return file;
    }

    void fill() throws Exception {
      good = (FileChannel) file().get(lanes.spool());
      file().set(lanes.spool(), FileChannel.open(FULL, StandardOpenOption.WRITE));
    }

    void mend() throws Exception {
      guard.lock();
      try {
        ((FileChannel) file().get(lanes.spool())).close();
        file().set(lanes.spool(), good);
      } finally {
        guard.unlock();
      }
    }

    boolean isStuck() {
      guard.lock();
      try {
        return !lanes.stuck().isEmpty();
      } finally {
        guard.unlock();
      }
    }
  }

  @Test
  void aDiskThatHasRoomAgainTakesFramesAgain() throws Exception {
    Disk disk = new Disk(offline());
    Lane lane = disk.lanes.open(100).lane;
    disk.fill();
    CompletableFuture<Boolean> written =
        CompletableFuture.supplyAsync(() -> disk.lanes.write(lane, new byte[100], List.of()));
    while (!disk.isStuck()) {
      Thread.sleep(10);
    }
    KeySet series = disk.buffer.keys(RUN).single("m");
    assertThrows(ResourceExhaustedException.class, () -> disk.buffer.point(series, 1, 1, 1));
    while (disk.pulses.get() == 0) {
      Thread.sleep(10);
    }
    disk.mend();
    assertTrue(written.get(10, TimeUnit.SECONDS));
    disk.buffer.point(series, 1, 1, 1);
    assertFalse(disk.isStuck());
  }

  @Test
  void aFullDiskIsFreedOfWhatIsDelivered() throws Exception {
    Disk disk = new Disk(away());
    Lane lane = disk.lanes.open(100).lane;
    assertTrue(disk.lanes.write(lane, new byte[100], List.of()));
    lane.frames.acknowledge(lane.writer.cut());
    disk.fill();
    CompletableFuture<Boolean> written =
        CompletableFuture.supplyAsync(() -> disk.lanes.write(lane, new byte[100], List.of()));
    assertFalse(written.get(5, TimeUnit.SECONDS));
    assertFalse(Files.exists(Path.of(lane.frames.place()).resolve("0000000000000001.segment")));
    disk.lanes.open(100);
    assertTrue(disk.lanes.write(lane, new byte[100], List.of()));
  }

  @Test
  void rejectionsThatCanNotBeNotedAreToldAllTheSame() throws Exception {
    Settings settings = new Settings(away());
    Guard guard = new Guard();
    Delivery delivery = new Delivery(settings, new Link(settings), guard);
    Spool spool = Spool.create(folder.resolve("spool"), Ids.hex(), "", 1 << 20);
    Writer writer = new Writer(spool.writerId(), Mark.START, Mark.START, false);
    byte[] payload = new byte[10];
    Writer.Cut made = writer.next(payload);
    spool.prepare(payload.length);
    spool.append(made, payload, List.of());
    writer.kept(made);
    writer.hello();
    writer.welcomed(Welcome.newBuilder().setWindowBytes(1000).build(), spool);
    writer.sending(1, made.crc, payload.length);
    // Nobody can write there.
    Files.createDirectory(Path.of(spool.place()).resolve("rejections"));
    Rejection rejection =
        Rejection.newBuilder().setRunId(RUN).setReason("X").setLastSequence(1).build();
    Ack ack = Ack.newBuilder().setSequence(1).setCrc(made.crc).addRejections(rejection).build();
    StreamFramesResponse response = StreamFramesResponse.newBuilder().setAck(ack).build();
    Lane lane = new Lane(spool, writer);
    guard.lock();
    delivery.take(lane, response);
    delivery.take(lane, response);
    assertEquals(0, spool.undelivered());
    assertEquals(List.of(rejection), delivery.takeRejections());
    assertEquals(0, writer.takeConfirmation());
  }

  @Test
  void whoClosesWhileAnotherDoesWaitsForIt() throws Exception {
    RunwireClient client = away().retry(new Retry().connectTimeout(Duration.ofSeconds(2))).build();
    client.logger(RUN).logMetric("m", 1);
    CountDownLatch begun = new CountDownLatch(1);
    AtomicInteger ended = new AtomicInteger();
    Thread first =
        new Thread(
            () -> {
              begun.countDown();
              assertThrows(RunwireException.class, () -> client.close(Duration.ofSeconds(2)));
              ended.set(1);
            });
    first.start();
    begun.await();
    while (first.getState() != Thread.State.TIMED_WAITING) {
      Thread.yield();
    }
    client.close();
    first.join(500);
    assertEquals(1, ended.get());
  }

  @Test
  void whoClosesDoesNotWaitForRoom() throws Exception {
    RunwireClient client = away().spoolBytes(4096).build();
    String runId = client.beginRun(new RunSpec().experimentId("0"));
    ActiveRun open = new ActiveRun(client.core, client.timeout, runId, "open");
    Thread logging =
        new Thread(
            () ->
                assertThrows(
                    IllegalStateException.class,
                    () -> {
                      while (true) {
                        open.logMetric("m", 1);
                      }
                    }));
    logging.start();
    while (client.core.pipeline.buffer().size() < 100_000) {
      Thread.sleep(10);
    }
    assertThrows(RunwireException.class, () -> client.close(Duration.ofSeconds(1)));
    logging.join();
  }

  @Test
  void callsThatWaitForTheNextAttemptEndWithTheClient() throws Exception {
    List<CompletableFuture<?>> calls = new ArrayList<>();
    Duration pause = Duration.ofSeconds(2);
    RunwireClient client =
        away()
            .retry(new Retry().initial(pause).maximum(pause).connectTimeout(Duration.ofSeconds(5)))
            .build();
    for (int i = 0; i < 10; i++) {
      calls.add(client.async().serverInfo());
    }
    ManagedChannel channel = (ManagedChannel) client.channel();
    while (channel.getState(false) != ConnectivityState.TRANSIENT_FAILURE) {
      Thread.yield();
    }
    client.close();
    calls.add(client.async().resumeRun(RUN));
    for (CompletableFuture<?> call : calls) {
      ExecutionException ended =
          assertThrows(ExecutionException.class, () -> call.get(10, TimeUnit.SECONDS));
      assertInstanceOf(IllegalStateException.class, ended.getCause());
    }
  }

  @Test
  void aDiskThatCanNotBeSyncedIsToldAtOnce() throws Exception {
    Pipeline pipeline = pipeline(offline());
    log(pipeline, "m");
    pipeline.flush(10 * SECOND);
    Path spool = spools().get(0);
    Path away = folder.resolve("away");
    Files.move(spool, away);
    log(pipeline, "m");
    long start = System.nanoTime();
    InternalException told =
        assertThrows(InternalException.class, () -> pipeline.flush(20 * SECOND));
    assertTrue(System.nanoTime() - start < 10 * SECOND);
    assertTrue(told.getMessage().contains("can not be synced"), told.getMessage());
    Files.move(away, spool);
    pipeline.flush(10 * SECOND);
    pipeline.close(10 * SECOND, false);
  }

  /** Frames that can not be read back. */
  private static final class Unreadable implements Frames {
    @Override
    public Stored take(long sequence) throws IOException {
      throw new IOException("the disk failed");
    }

    @Override
    public void acknowledge(Mark mark) {}

    @Override
    public void note(List<Rejection> rejections) {}

    @Override
    public void setAside(String reason, String message, long delivered) {}

    @Override
    public long undelivered() {
      return 1;
    }

    @Override
    public String place() {
      return "nowhere";
    }

    @Override
    public Integer crcAt(long sequence) {
      return null;
    }
  }

  /** Welcomes writers, and notes when a stream is cut. */
  private static final class Welcoming extends MetricServiceGrpc.MetricServiceImplBase {
    final CountDownLatch cut = new CountDownLatch(1);

    @Override
    public StreamObserver<StreamFramesRequest> streamFrames(
        StreamObserver<StreamFramesResponse> answers) {
      return new StreamObserver<>() {
        @Override
        public void onNext(StreamFramesRequest request) {
          Welcome welcome = Welcome.newBuilder().setWindowBytes(1000).build();
          answers.onNext(StreamFramesResponse.newBuilder().setWelcome(welcome).build());
        }

        @Override
        public void onError(Throwable thrown) {
          cut.countDown();
        }

        @Override
        public void onCompleted() {}
      };
    }
  }

  @Test
  void aStreamThatFailsHereEndsThereToo() throws Exception {
    Welcoming service = new Welcoming();
    Server server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(service)
            .build()
            .start();
    Settings settings = new Settings(away().address("runwire://127.0.0.1:" + server.getPort()));
    Guard guard = new Guard();
    Link link = new Link(settings);
    Delivery delivery = new Delivery(settings, link, guard);
    Writer writer = new Writer(Ids.hex(), Mark.START, Mark.START, false);
    writer.kept(writer.next(new byte[1]));
    guard.lock();
    delivery.carry(new Lane(new Unreadable(), writer));
    guard.unlock();
    delivery.start();
    try {
      assertTrue(service.cut.await(10, TimeUnit.SECONDS));
    } finally {
      delivery.stop(5000);
      link.close();
      server.shutdownNow();
    }
  }
}
