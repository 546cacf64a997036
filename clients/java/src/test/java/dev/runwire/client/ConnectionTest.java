package dev.runwire.client;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Context;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(ServerExtension.class)
class ConnectionTest {
  @TempDir Path folder;

  private RunwireClient.Builder builder() {
    return Patience.client().spoolDir(folder.resolve("spool"));
  }

  @Test
  void aChannelThatIsGivenStaysOpen(ServerProcess server) {
    ManagedChannel channel =
        Grpc.newChannelBuilder(server.address(), InsecureChannelCredentials.create()).build();
    try {
      for (int i = 0; i < 2; i++) {
        try (RunwireClient client = builder().channel(channel).build()) {
          client.run("mine", run -> run.logMetric("m", 1));
          assertEquals("sqlite", client.serverInfo().database());
        }
        assertFalse(channel.isShutdown());
      }
    } finally {
      channel.shutdownNow();
    }
  }

  @Test
  void callbacksRunWhereTheCallerWants(ServerProcess server) {
    AtomicInteger made = new AtomicInteger();
    ExecutorService executor =
        Executors.newCachedThreadPool(
            task -> {
              made.incrementAndGet();
              Thread thread = new Thread(task);
              thread.setDaemon(true);
              return thread;
            });
    try (RunwireClient client = builder().address(server.address()).executor(executor).build()) {
      client.run("mine", run -> run.logMetric("m", 1));
    } finally {
      executor.shutdown();
    }
    assertTrue(made.get() > 0);
  }

  @Test
  void theThreadThatRunsCallbacksMayCall(ServerProcess server) throws Exception {
    ExecutorService executor = Executors.newSingleThreadExecutor();
    try (RunwireClient client = builder().address(server.address()).executor(executor).build()) {
      assertEquals("sqlite", executor.submit(client::serverInfo).get().database());
    } finally {
      executor.shutdown();
    }
  }

  @Test
  void runsThatAreOpenWhenTheClientIsClosedAreKilled(ServerProcess server) {
    try (RunwireClient other = builder().address(server.address()).build()) {
      ActiveRun run;
      try (RunwireClient client = builder().address(server.address()).build()) {
        run = client.startRun("open");
        run.logMetric("m", 1);
      }
      Run found = other.getRun(run.runId());
      assertEquals(RunStatus.KILLED, found.status());
      assertEquals(1, found.metrics().get("m").count());
      run.close();
    }
  }

  @Test
  void aFileWithoutCertificatesIsNamed() throws Exception {
    Path file = Files.writeString(folder.resolve("none.pem"), "nothing of the kind\n");
    try (RunwireClient client = builder().address("runwires://127.0.0.1:1").tlsCa(file).build()) {
      IllegalArgumentException told =
          assertThrows(IllegalArgumentException.class, client::serverInfo);
      assertTrue(told.getMessage().contains(file + " can not be read"), told.getMessage());
    }
  }

  @Test
  void aCallForWhoGaveUpIsNotRepeated(ServerProcess server) {
    try (RunwireClient client =
        builder().address(server.address()).timeout(Duration.ofMinutes(5)).build()) {
      client.serverInfo();
      Context.CancellableContext givenUp = Context.current().withCancellation();
      givenUp.cancel(null);
      long start = System.nanoTime();
      givenUp.run(() -> assertThrows(CancelledException.class, client::serverInfo));
      assertTrue(System.nanoTime() - start < 60_000_000_000L);
      assertEquals("sqlite", client.serverInfo().database());
    }
  }

  private RunwireClient.Builder ofFolder(Path data) {
    // One look, so that no server is told of at once.
    return builder()
        .address(data.toString())
        .retry(new Retry().connectTimeout(Patience.LONG).maxAttempts(1));
  }

  @Test
  void theServerOfAFolderIsFound(ServerProcess server) {
    try (RunwireClient client = ofFolder(server.dataDir()).build()) {
      assertEquals("sqlite", client.serverInfo().database());
    }
  }

  /** Locks a file as servers do, until the input of the process is closed. */
  private static Process lock(Path file) throws IOException {
    Process holder =
        new ProcessBuilder("flock", "-F", file.toString(), "sh", "-c", "echo held; exec cat")
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    assertEquals("held\n", new String(holder.getInputStream().readNBytes(5), UTF_8));
    return holder;
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void aPointerCountsOnlyWhileTheFolderIsLocked(ServerProcess server) throws Exception {
    Path data = Files.createDirectories(folder.resolve("data"));
    Path lock = data.resolve("runwire.lock");
    String pointer =
        String.format(
            "{\"address\": \"%s\", \"pid\": %d}", server.address(), ProcessHandle.current().pid());
    try (RunwireClient client = ofFolder(data).build()) {
      isToldToStartOne(data, client);
      // A process of this id lives, but it is no server.
      Files.writeString(data.resolve("server.json"), pointer);
      isToldToStartOne(data, client);
      Files.createFile(lock);
      isToldToStartOne(data, client);
      Process holder = lock(lock);
      try {
        assertEquals("sqlite", client.serverInfo().database());
      } finally {
        holder.getOutputStream().close();
        holder.waitFor();
      }
    }
    try (RunwireClient client = ofFolder(data).build()) {
      isToldToStartOne(data, client);
    }
  }

  private static void isToldToStartOne(Path data, RunwireClient client) {
    ServerUnavailableException none =
        assertThrows(ServerUnavailableException.class, client::serverInfo);
    assertTrue(none.getMessage().contains("runwire server --data-dir " + data), none.getMessage());
  }

  @Test
  void aCallThatIsGivenUpIsCancelled(ServerProcess server) {
    try (RunwireClient client = builder().address(server.address()).build()) {
      CompletableFuture<ServerInfo> asked = client.async().serverInfo();
      asked.cancel(true);
      assertThrows(CancellationException.class, asked::join);
      assertEquals("sqlite", client.serverInfo().database());
    }
  }

  @Test
  void aThreadThatIsInterruptedStopsWaiting() throws Exception {
    try (RunwireClient client =
        builder()
            .address("runwire://127.0.0.1:1")
            .retry(new Retry().connectTimeout(Duration.ofMinutes(5)))
            .timeout(Duration.ofMinutes(5))
            .build()) {
      CompletableFuture<Throwable> thrown = new CompletableFuture<>();
      Thread waiting =
          new Thread(
              () -> {
                try {
                  client.serverInfo();
                  thrown.complete(null);
                } catch (RuntimeException error) {
                  thrown.complete(error);
                }
              });
      waiting.start();
      waiting.interrupt();
      waiting.join(Patience.LONG.toMillis());
      assertTrue(thrown.isDone() && thrown.get() instanceof RunwireException, thrown.toString());
    }
  }
}
