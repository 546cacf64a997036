package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(ServerExtension.class)
class ConnectionTest {
  @TempDir Path folder;

  private RunwireClient.Builder builder() {
    return RunwireClient.builder().spoolDir(folder.resolve("spool"));
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
  void theServerOfAFolderIsFoundByItsPointer(ServerProcess server) throws Exception {
    Path data = folder.resolve("data");
    Files.createDirectories(data);
    try (RunwireClient client =
        builder()
            .address(data.toString())
            .retry(new Retry().connectTimeout(Duration.ofMillis(300)))
            .build()) {
      ServerUnavailableException none =
          assertThrows(ServerUnavailableException.class, client::serverInfo);
      assertTrue(none.getMessage().contains("runwire server --data-dir " + data));
      Files.writeString(
          data.resolve("server.json"),
          "{\"address\": \""
              + server.address()
              + "\", \"pid\": "
              + ProcessHandle.current().pid()
              + "}");
      assertEquals("sqlite", client.serverInfo().database());
    }
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
            .retry(new Retry().connectTimeout(Duration.ofSeconds(60)))
            .timeout(Duration.ofSeconds(60))
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
      waiting.join(10_000);
      assertTrue(thrown.isDone() && thrown.get() instanceof RunwireException, thrown.toString());
    }
  }
}
