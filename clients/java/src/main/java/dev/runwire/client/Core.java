package dev.runwire.client;

import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/** What the views of one client share: the blocking one, the async one, those with timeouts. */
final class Core {
  private static final long IDLE_SECONDS = 10;
  private static final int MOST_WAITING = 16;

  final Settings given;
  final Link link;
  final Pipeline pipeline;
  final Sender sender;
  final Records records = new Records();
  final Works works = new Works();

  private final Set<ActiveRun> open = ConcurrentHashMap.newKeySet();
  private final List<AutoCloseable> others = new CopyOnWriteArrayList<>();
  private final AtomicBoolean resumed = new AtomicBoolean();
  private final AtomicBoolean closing = new AtomicBoolean();
  private final CountDownLatch closed = new CountDownLatch(1);
  private final ExecutorService waiting;
  private final Thread hook = Threads.daemon(this::atExit, "runwire-exit");

  Core(Settings given) {
    this.given = given;
    link = new Link(given);
    pipeline = new Pipeline(given, link);
    // What waits there waits for the delivery or for a connection, and never for another of them:
    // so a queue holds up, and locks nothing.
    ThreadPoolExecutor made =
        new ThreadPoolExecutor(
            MOST_WAITING,
            MOST_WAITING,
            IDLE_SECONDS,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            task -> Threads.daemon(task, "runwire-waiting"));
    made.allowCoreThreadTimeOut(true);
    waiting = made;
    sender = new Sender(given, link, pipeline, waiting);
    Runtime.getRuntime().addShutdownHook(hook);
  }

  void opened(ActiveRun run) {
    open.add(run);
  }

  void ended(ActiveRun run) {
    open.remove(run);
  }

  /** Has something closed with the client. */
  void closeWith(AutoCloseable other) {
    others.add(other);
  }

  void closedAlone(AutoCloseable other) {
    others.remove(other);
  }

  /** Returns RUNWIRE_RUN_ID once: the next run that is started is another one. */
  String environmentRun() {
    String named = Places.variable("RUNWIRE_RUN_ID");
    return named.isEmpty() || !resumed.compareAndSet(false, true) ? null : named;
  }

  void close(long timeout) {
    // Nobody can end them when the client is closed.
    killOpen();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException exiting) {
      // Then the hook runs too, and waits for what is closed here.
    }
    try {
      for (AutoCloseable other : others) {
        close(other);
      }
    } finally {
      closePipeline(timeout, false);
    }
  }

  private static void close(AutoCloseable other) {
    try {
      other.close();
    } catch (RuntimeException failed) {
      throw failed;
    } catch (Exception impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  /** Ends all; who comes while another thread does waits until that is done. */
  private void closePipeline(long timeout, boolean progress) {
    if (!closing.compareAndSet(false, true)) {
      awaitClosed();
      return;
    }
    try {
      pipeline.close(timeout, progress);
    } finally {
      waiting.shutdown();
      link.close();
      closed.countDown();
    }
  }

  private void awaitClosed() {
    try {
      closed.await();
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Ends the runs that are open as the process ends, and has what was logged delivered, or at least
   * spooled.
   */
  private void atExit() {
    Thread worker = Threads.daemon(this::endAll, "runwire-waiting");
    worker.start();
    try {
      // What is logged may wait for room that there never is.
      worker.join(TimeUnit.NANOSECONDS.toMillis(given.shutdownTimeout) + 1000);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void endAll() {
    killOpen();
    orTell(() -> closePipeline(given.shutdownTimeout, true));
  }

  private void killOpen() {
    open.forEach(run -> orTell(run::kill));
  }

  private static void orTell(Runnable act) {
    try {
      act.run();
    } catch (RuntimeException error) {
      Notices.tell(error.getMessage());
    }
  }
}
