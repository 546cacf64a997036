package dev.runwire.client;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Sends calls, and repeats them as need be: the core that the blocking and the async client share.
 */
final class Sender {
  private final Settings given;
  private final Link link;
  private final Pipeline pipeline;
  private final Waiting waiting;
  private volatile boolean reached;

  /**
   * Makes the sender.
   *
   * @param waiting runs what waits for the delivery of logs on behalf of async calls
   */
  Sender(Settings given, Link link, Pipeline pipeline, Waiting waiting) {
    this.given = given;
    this.link = link;
    this.pipeline = pipeline;
    this.waiting = waiting;
  }

  <Q, A, R> R send(Call<Q, A, R> call, Deadline deadline) {
    pipeline.checkOnline(call.method.getBareMethodName());
    if (call.behindLogs) {
      pipeline.deliver(deadline.left());
    }
    Attempts attempts = new Attempts(given, deadline.left(), System.nanoTime(), reached);
    while (true) {
      try {
        long connecting = reached ? 0 : attempts.connecting(System.nanoTime());
        if (connecting > 0) {
          link.connect(connecting);
        }
        List<A> answers = attempt(call, attempts.remaining(System.nanoTime()));
        reached = true;
        return call.convert.apply(answers);
      } catch (RunwireException error) {
        long pause = failed(error, attempts);
        if (pause == Attempts.NONE || Thread.currentThread().isInterrupted()) {
          throw attempts.last(error, System.nanoTime());
        }
        sleep(pause);
      }
    }
  }

  private <Q, A> List<A> attempt(Call<Q, A, ?> call, long remaining) {
    CallOptions options = options(remaining);
    try {
      if (!call.isStreaming()) {
        A answer =
            ClientCalls.blockingUnaryCall(link.channel(), call.method, options, call.request);
        return List.of(answer);
      }
      List<A> answers = new ArrayList<>();
      Iterator<A> stream =
          ClientCalls.blockingServerStreamingCall(
              link.channel(), call.method, options, call.request);
      stream.forEachRemaining(answers::add);
      return answers;
    } catch (io.grpc.StatusRuntimeException error) {
      throw Statuses.toException(error);
    }
  }

  private static CallOptions options(long remaining) {
    return CallOptions.DEFAULT.withDeadlineAfter(
        Math.max(remaining, 1_000_000), TimeUnit.NANOSECONDS);
  }

  /** Takes in that an attempt failed; returns the pause before the next one, or NONE. */
  private long failed(RunwireException error, Attempts attempts) {
    link.lost(error);
    reached = reached || isAnswer(error);
    return attempts.pause(error, System.nanoTime());
  }

  /** Says whether an error came from a Runwire server, and not from gRPC or a proxy on the way. */
  static boolean isAnswer(RunwireException error) {
    return !error.reason().isEmpty();
  }

  private static void sleep(long nanoseconds) {
    long deadline = System.nanoTime() + nanoseconds;
    long left = nanoseconds;
    while (left > 0) {
      LockSupport.parkNanos(left);
      if (Thread.currentThread().isInterrupted()) {
        throw new CancelledException(new Failure("the thread was interrupted"));
      }
      left = deadline - System.nanoTime();
    }
  }

  /** Sends a call without waiting; cancelling the future cancels the call. */
  <Q, A, R> CompletableFuture<R> sendAsync(Call<Q, A, R> call, Deadline deadline) {
    AsyncAttempts<Q, A, R> attempts = new AsyncAttempts<>(call, deadline);
    try {
      pipeline.checkOnline(call.method.getBareMethodName());
      if (call.behindLogs && pipeline.isDirty()) {
        attempts.mayWait(attempts::behindLogs);
      } else {
        attempts.start();
      }
    } catch (RuntimeException error) {
      attempts.result.completeExceptionally(error);
    }
    return attempts.result;
  }

  /** Has something done on a thread that may wait; cancelling the future interrupts it. */
  <R> CompletableFuture<R> later(Deadline deadline, Supplier<R> what) {
    CompletableFuture<R> result = new CompletableFuture<>();
    Runnable work = () -> finish(result, what, unwanted -> {});
    Future<?> queued = waiting.queue(result, deadline, work);
    ifCancelled(result, () -> queued.cancel(true));
    return result;
  }

  /**
   * Has a run started on such a thread; cancelling the future ends it.
   *
   * <p>Its call is not interrupted: nobody would know whether there is a run to end.
   */
  CompletableFuture<ActiveRun> start(Deadline deadline, Supplier<ActiveRun> what) {
    CompletableFuture<ActiveRun> result = new CompletableFuture<>();
    waiting.queue(
        result,
        deadline,
        () -> {
          if (!result.isDone()) {
            finish(result, what, ActiveRun::kill);
          }
        });
    return result;
  }

  private <R> void finish(
      CompletableFuture<R> result, Supplier<R> what, Consumer<? super R> unwanted) {
    try {
      R found = what.get();
      waiting.tell(
          () -> {
            if (!result.complete(found)) {
              unwanted.accept(found);
            }
          });
    } catch (RuntimeException | Error error) {
      waiting.fail(result, error);
    }
  }

  /** Has something done when a caller cancels a future. */
  static void ifCancelled(CompletableFuture<?> result, Runnable what) {
    result.whenComplete(
        (value, error) -> {
          if (result.isCancelled()) {
            what.run();
          }
        });
  }

  /** One call of the async client, with its repeats. */
  private final class AsyncAttempts<Q, A, R> implements StreamObserver<A> {
    private final Call<Q, A, R> call;
    private final Deadline deadline;
    private final CompletableFuture<R> result = new CompletableFuture<>();
    private Attempts attempts;
    private List<A> answers;
    private volatile ClientCall<Q, A> current;

    AsyncAttempts(Call<Q, A, R> call, Deadline deadline) {
      this.call = call;
      this.deadline = deadline;
      ifCancelled(result, this::cancel);
    }

    private void cancel() {
      ClientCall<Q, A> running = current;
      if (running != null) {
        running.cancel("cancelled by the caller", null);
      }
    }

    void behindLogs() {
      try {
        pipeline.deliver(deadline.left());
        start();
      } catch (RuntimeException error) {
        waiting.fail(result, error);
      }
    }

    void start() {
      attempts = new Attempts(given, deadline.left(), System.nanoTime(), reached);
      if (reached) {
        attempt();
      } else {
        mayWait(this::attempt);
      }
    }

    private void attempt() {
      if (result.isDone()) {
        return;
      }
      try {
        long connecting = reached ? 0 : attempts.connecting(System.nanoTime());
        if (connecting > 0) {
          link.connect(connecting);
        }
        answers = new ArrayList<>();
        CallOptions options = options(attempts.remaining(System.nanoTime()));
        ClientCall<Q, A> made = link.channel().newCall(call.method, options);
        current = made;
        if (result.isDone()) {
          // It was cancelled while the connection was made.
          cancel();
          return;
        }
        if (call.isStreaming()) {
          ClientCalls.asyncServerStreamingCall(made, call.request, this);
        } else {
          ClientCalls.asyncUnaryCall(made, call.request, this);
        }
      } catch (RunwireException error) {
        onError(error);
      } catch (RuntimeException error) {
        waiting.fail(result, error);
      }
    }

    @Override
    public void onNext(A answer) {
      answers.add(answer);
    }

    @Override
    public void onError(Throwable thrown) {
      RunwireException error = Statuses.toException(thrown);
      long pause = failed(error, attempts);
      if (pause == Attempts.NONE) {
        waiting.fail(result, attempts.last(error, System.nanoTime()));
      } else {
        CompletableFuture.delayedExecutor(pause, TimeUnit.NANOSECONDS, this::mayWait)
            .execute(this::attempt);
      }
    }

    private void mayWait(Runnable what) {
      waiting.queue(result, deadline, what);
    }

    @Override
    public void onCompleted() {
      reached = true;
      try {
        R found = call.convert.apply(answers);
        waiting.tell(() -> result.complete(found));
      } catch (RuntimeException error) {
        waiting.fail(result, error);
      }
    }
  }
}
