package dev.runwire.client;

import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A few threads on which async calls wait for the delivery or for a connection.
 *
 * <p>What waits there never waits for another of them: so a queue holds up, and locks nothing. What
 * users have done when a future is done may wait for anything, and runs elsewhere.
 */
final class Waiting {
  private static final long IDLE_SECONDS = 10;
  private static final int MOST = 16;

  private final Settings given;
  private final Executor own = new CompletableFuture<>().defaultExecutor();
  private final Set<CompletableFuture<Void>> queued = ConcurrentHashMap.newKeySet();
  private final ThreadPoolExecutor threads =
      new ThreadPoolExecutor(
          MOST,
          MOST,
          IDLE_SECONDS,
          TimeUnit.SECONDS,
          new LinkedBlockingQueue<>(),
          task -> Threads.daemon(task, "runwire-waiting"));

  Waiting(Settings given) {
    this.given = given;
    threads.allowCoreThreadTimeOut(true);
  }

  /**
   * Has something done as soon as a thread is free; what does not begin in time fails.
   *
   * @param result what fails then, or when the client is closed before
   * @return what cancels it
   */
  Future<?> queue(CompletableFuture<?> result, Deadline deadline, Runnable what) {
    CompletableFuture<Void> begun = new CompletableFuture<>();
    FutureTask<Void> task =
        new FutureTask<>(
            () -> {
              if (begun.complete(null)) {
                what.run();
              }
            },
            null);
    queued.add(begun);
    begun.whenComplete(
        (nothing, error) -> {
          queued.remove(begun);
          if (error != null) {
            fail(result, error instanceof TimeoutException ? late() : error);
          }
        });
    try {
      threads.execute(task);
      begun.orTimeout(deadline.left(), TimeUnit.NANOSECONDS);
    } catch (RejectedExecutionException closed) {
      begun.completeExceptionally(Link.closed());
    }
    return task;
  }

  private DeadlineExceededException late() {
    return new DeadlineExceededException(
        new Failure("the call did not begin in time: too many others of this client wait")
            .fact("address", given.address.text));
  }

  /** Has a future fail, on a thread that is its user's. */
  void fail(CompletableFuture<?> result, Throwable error) {
    tell(() -> result.completeExceptionally(error));
  }

  /** Has something done on a thread that is the user's, as telling him of a result. */
  void tell(Runnable what) {
    try {
      (given.executor == null ? own : given.executor).execute(what);
    } catch (RejectedExecutionException shutDown) {
      own.execute(what);
    }
  }

  /** Lets what has begun end, and all else fail. */
  void close() {
    threads.shutdown();
    queued.forEach(begun -> begun.completeExceptionally(Link.closed()));
  }
}
