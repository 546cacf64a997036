package dev.runwire.client;

import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;

/** What the views of one client share: the blocking one, the async one, those with timeouts. */
final class Core {
  final Settings given;
  final Link link;
  final Pipeline pipeline;
  final Waiting waiting;
  final Sender sender;
  final Records records = new Records();
  final Works works = new Works();

  private final Set<ActiveRun> open = ConcurrentHashMap.newKeySet();
  private final List<AutoCloseable> others = new CopyOnWriteArrayList<>();
  private final AtomicBoolean resumed = new AtomicBoolean();
  private final AtomicBoolean closing = new AtomicBoolean();
  private final CountDownLatch closed = new CountDownLatch(1);
  // Shared by those who start a run; who closes waits for them.
  private final ReentrantReadWriteLock starting = new ReentrantReadWriteLock();
  private final Thread hook = Threads.daemon(this::atExit, "runwire-exit");

  Core(Settings given) {
    this.given = given;
    link = new Link(given);
    pipeline = new Pipeline(given, link);
    waiting = new Waiting(given);
    sender = new Sender(given, link, pipeline, waiting);
    Runtime.getRuntime().addShutdownHook(hook);
  }

  void opened(ActiveRun run) {
    open.add(run);
  }

  void ended(ActiveRun run) {
    open.remove(run);
  }

  /** Throws once the client is being closed. */
  void checkOpen() {
    if (closing.get()) {
      throw Link.closed();
    }
  }

  /** Starts a run; one that is started while the client is closed is ended at once. */
  ActiveRun start(Supplier<ActiveRun> what) {
    checkOpen();
    starting.readLock().lock();
    try {
      checkOpen();
      ActiveRun run = what.get();
      if (closing.get()) {
        run.kill();
        throw Link.closed();
      }
      return run;
    } finally {
      starting.readLock().unlock();
    }
  }

  /** Makes the call that changes a run, which is told of its end here, too. */
  Call<?, ?, Run> updateRun(String runId, RunStatus status, String name) {
    Call<?, ?, Run> call = Requests.updateRun(runId, status, name);
    return call.map(
        run -> {
          if (Records.isEnd(status)) {
            pipeline.endedThere(runId);
            // Closing the client would give it another status.
            open.removeIf(one -> one.runId().equals(runId));
          }
          return run;
        });
  }

  /** Has something closed with the client. */
  void closeWith(AutoCloseable other) {
    others.add(other);
    if (closing.get()) {
      others.remove(other);
      throw Link.closed();
    }
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
    close(timeout, false);
  }

  /** Ends all; who comes while another thread does waits until that is done. */
  private void close(long timeout, boolean progress) {
    if (!closing.compareAndSet(false, true)) {
      awaitClosed();
      return;
    }
    Deadline deadline = Deadline.in(timeout);
    try {
      removeHook();
      awaitStarted(deadline);
      // Nobody can end them when the client is closed.
      open.forEach(run -> orTell(run::kill));
      for (AutoCloseable other : others) {
        close(other);
      }
    } finally {
      closePipeline(deadline.left(), progress);
    }
  }

  private void removeHook() {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException exiting) {
      // Then the hook runs too, and waits for what is closed here.
      return;
    }
  }

  private void awaitStarted(Deadline deadline) {
    try {
      if (starting.writeLock().tryLock(deadline.left(), TimeUnit.NANOSECONDS)) {
        starting.writeLock().unlock();
      }
    } catch (InterruptedException interrupted) {
      // What follows does not wait either.
      Thread.currentThread().interrupt();
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

  private void closePipeline(long timeout, boolean progress) {
    try {
      pipeline.close(timeout, progress);
    } finally {
      link.close();
      waiting.close();
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
    Runnable end = () -> orTell(() -> close(given.shutdownTimeout, true));
    Thread worker = Threads.daemon(end, "runwire-waiting");
    worker.start();
    // What is logged may wait for room that there never is.
    Threads.join(worker, TimeUnit.NANOSECONDS.toMillis(given.shutdownTimeout) + 1000);
  }

  private static void orTell(Runnable act) {
    try {
      act.run();
    } catch (RuntimeException error) {
      Notices.tell(error.getMessage());
    }
  }
}
