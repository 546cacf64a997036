package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class ContactTest {
  private static final Duration WINDOW = Duration.ofSeconds(3);
  private static final Retry RETRY = new Retry().connectTimeout(WINDOW);

  private final Contact contact =
      new Contact(new Settings(RunwireClient.builder().address("host").retry(RETRY)));

  private static ServerUnavailableException refused() {
    return new ServerUnavailableException(new Failure("refused"));
  }

  /** Returns a time that lies between what was done before and what is done next. */
  private static long between() {
    long start = System.nanoTime();
    long now = start;
    while (now == start) {
      now = System.nanoTime();
    }
    long found = now;
    while (now == found) {
      now = System.nanoTime();
    }
    return found;
  }

  @Test
  void theAttemptThatDecidesBeginsBehindTheWindow() {
    long began = System.nanoTime();
    long enough = between();
    long start = enough - WINDOW.toNanos();
    assertNull(contact.givenUp(start, System.nanoTime()));
    contact.failed(refused(), began, "a spool");
    assertFalse(contact.isHurried());
    // It failed behind the window, and may have only because all stood still.
    assertNull(contact.givenUp(start, System.nanoTime()));
    assertTrue(contact.isHurried());
    began = System.nanoTime();
    assertNull(contact.givenUp(start, System.nanoTime()));
    ServerUnavailableException last = refused();
    contact.failed(last, began, "a spool");
    assertFalse(contact.isHurried());
    assertSame(last, contact.givenUp(start, System.nanoTime()));
  }

  @Test
  void whoWasReachedIsWaitedFor() {
    contact.welcomed();
    contact.failed(refused(), System.nanoTime(), "a spool");
    contact.failed(refused(), System.nanoTime(), "a spool");
    assertNull(contact.givenUp(System.nanoTime() - 2 * WINDOW.toNanos(), System.nanoTime()));
    assertFalse(contact.isHurried());
  }

  @Test
  void anAttemptConnectsWhateverFailedBefore() throws Exception {
    Retry once = new Retry().connectTimeout(Patience.LONG).maxAttempts(1);
    // A port that is bound is nobody else's, and refuses connections until somebody listens.
    try (Socket bound = new Socket()) {
      bound.setReuseAddress(true);
      bound.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      int port = bound.getLocalPort();
      try (RunwireClient client =
          Patience.client().address("runwire://127.0.0.1:" + port).retry(once).build()) {
        for (int i = 0; i < 2; i++) {
          // Once it has failed, the channel connects by itself again, a second and more later.
          assertThrows(ServerUnavailableException.class, client::serverInfo);
        }
        Server server =
            Grpc.newServerBuilderForPort(port, InsecureServerCredentials.create()).build().start();
        try {
          assertThrows(UnimplementedException.class, client::serverInfo);
        } finally {
          server.shutdownNow();
        }
      }
    }
  }
}
