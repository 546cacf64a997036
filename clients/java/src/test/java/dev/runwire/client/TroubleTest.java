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
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** What goes wrong on the client's side: disks, threads, and closing at a bad time. */
class TroubleTest {
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);
  private static final long MINUTE = 60 * SECOND;
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
        assertThrows(InternalException.class, () -> pipeline.flush(5 * MINUTE));
    assertTrue(System.nanoTime() - start < MINUTE);
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
    RunwireException told;
    do {
      // On a slow machine the time may be over before the first attempt is.
      told = assertThrows(RunwireException.class, () -> pipeline.flush(timeout));
    } while (told instanceof DeadlineExceededException);
    assertInstanceOf(UnavailableException.class, told);
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
    assertTrue(System.nanoTime() - start < MINUTE);
    assertTrue(told.endsWith(". What was logged last is in memory only"), told);
    return told;
  }

  @Test
  void aSpoolThatCanNotBeWrittenIsToldAtOnceOffline() {
    Pipeline pipeline = pipeline(offline().spoolDir(Path.of("/proc/nope")));
    log(pipeline, "m");
    for (Executable call :
        List.<Executable>of(
            () -> pipeline.flush(5 * MINUTE), () -> pipeline.close(5 * MINUTE, false))) {
      String told = stuck(call);
      assertTrue(told.startsWith("the spool in /proc/nope can not be written: "), told);
      assertFalse(told.contains("0 frames"), told);
    }
  }

  @Test
  void aFullSpoolIsToldAtOnceOfflineWithWhatLiesThere() {
    RunwireClient client = offline().spoolBytes(4096).timeout(Duration.ofMinutes(5)).build();
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

  private static String late(Executable call) {
    String told = assertThrows(DeadlineExceededException.class, call).getMessage();
    assertFalse(told.contains("0 frames"), told);
    return told;
  }

  @Test
  void aSpoolThatCanNotBeWrittenIsNamedWhenTheTimeIsOver() {
    Pipeline pipeline = pipeline(away().spoolDir(Path.of("/proc/nope")));
    log(pipeline, "m");
    String memory = "What was logged last is in memory only: the spool in /proc/nope can not be";
    String told;
    do {
      // On a slow machine the time may be over before it was tried to write there.
      told = late(() -> pipeline.flush(SECOND));
    } while (!told.contains(memory));
    told = late(() -> pipeline.close(SECOND, false));
    assertTrue(told.contains(memory), told);
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
  void whoHearsThatAMarkIsReachedFindsNothingLeft() throws Exception {
    Disk disk = new Disk(offline());
    Cutter cutter = new Cutter(disk.lanes, Map.of());
    Folding folding =
        new Folding(disk.settings, disk.guard, disk.buffer, disk.lanes, cutter, () -> {});
    Field thread = Folding.class.getDeclaredField("thread");
    thread.setAccessible(true);
    folding.start();
    disk.guard.lock();
    try {
      disk.buffer.mark();
      // At the mark, for which it needs the guard.
      while (((Thread) thread.get(folding)).getState() != Thread.State.WAITING) {
        Thread.sleep(1);
      }
      assertFalse(folding.isBusy());
      assertEquals(0, disk.buffer.size());
      folding.close();
    } finally {
      disk.guard.unlock();
    }
    folding.join(TimeUnit.SECONDS.toMillis(Patience.SECONDS));
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
    assertTrue(written.get(Patience.SECONDS, TimeUnit.SECONDS));
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
    assertFalse(written.get(Patience.SECONDS, TimeUnit.SECONDS));
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
    Duration time = Duration.ofMinutes(5);
    RunwireClient client = away().retry(new Retry().connectTimeout(time)).build();
    client.logger(RUN).logMetric("m", 1);
    CompletableFuture<RunwireException> left = new CompletableFuture<>();
    Thread first =
        new Thread(
            () -> left.complete(assertThrows(RunwireException.class, () -> client.close(time))));
    first.start();
    while (first.getState() != Thread.State.TIMED_WAITING) {
      Thread.yield();
    }
    Thread second = new Thread(client::close);
    second.start();
    second.join(500);
    assertTrue(second.isAlive());
    first.interrupt();
    assertInstanceOf(CancelledException.class, left.get(Patience.SECONDS, TimeUnit.SECONDS));
    second.join();
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
            .retry(new Retry().initial(pause).maximum(pause).connectTimeout(Duration.ofMinutes(5)))
            .timeout(Duration.ofMinutes(5))
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
          assertThrows(
              ExecutionException.class, () -> call.get(Patience.SECONDS, TimeUnit.SECONDS));
      assertInstanceOf(IllegalStateException.class, ended.getCause());
    }
  }

  @Test
  void aDiskThatCanNotBeSyncedIsToldAtOnce() throws Exception {
    Pipeline pipeline = pipeline(offline());
    log(pipeline, "m");
    pipeline.flush(2 * MINUTE);
    Path spool = spools().get(0);
    Path away = folder.resolve("away");
    Files.move(spool, away);
    log(pipeline, "m");
    long start = System.nanoTime();
    InternalException told =
        assertThrows(InternalException.class, () -> pipeline.flush(5 * MINUTE));
    assertTrue(System.nanoTime() - start < MINUTE);
    assertTrue(told.getMessage().contains("can not be synced"), told.getMessage());
    Files.move(away, spool);
    pipeline.flush(2 * MINUTE);
    pipeline.close(2 * MINUTE, false);
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
      assertTrue(service.cut.await(Patience.SECONDS, TimeUnit.SECONDS));
    } finally {
      delivery.stop(5000);
      link.close();
      server.shutdownNow();
    }
  }
}
