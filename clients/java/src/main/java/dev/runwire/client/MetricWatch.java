package dev.runwire.client;

import dev.runwire.v1.MetricServiceGrpc;
import dev.runwire.v1.WatchMetricsRequest;
import dev.runwire.v1.WatchMetricsResponse;
import io.grpc.CallOptions;
import io.grpc.Context;
import io.grpc.stub.ClientCalls;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * New points of watched runs, event by event, for ever; {@link #close} ends it, from any thread.
 *
 * <p>A connection that breaks is made again, with back-off, and goes on where it was: without loss
 * or repeat. The first event comes at once, and may be empty; it says that the watch is in place.
 *
 * <p>{@link #hasNext} waits for an event. It throws {@link NotFoundException} when a watched run
 * was purged, {@link InvalidArgumentException} if the server can make nothing of the cursor, and
 * {@link CancelledException} when the thread is interrupted. A watch is closed with its client,
 * too. Apart from {@link #close}, it is for one thread.
 */
public final class MetricWatch implements Iterator<MetricEvent>, AutoCloseable {
  private final Core core;
  private final long timeout;
  private final CountDownLatch closed = new CountDownLatch(1);
  private volatile Context.CancellableContext context;
  private volatile WatchMetricsRequest request;
  private Iterator<WatchMetricsResponse> stream;
  private Attempts attempts;
  private boolean reached;
  private boolean began;
  private MetricEvent next;

  MetricWatch(Core core, long timeout, WatchSpec spec) {
    this.core = core;
    this.timeout = timeout;
    this.request = Requests.watchMetrics(spec);
    core.closeWith(this);
  }

  /**
   * Tells where to go on behind the last event, with another watch.
   *
   * @return the cursor; empty before the first event
   */
  public String cursor() {
    return request.getCursor();
  }

  /**
   * Waits for the next event.
   *
   * @return whether there is one: not once the watch is closed
   */
  @Override
  public boolean hasNext() {
    while (next == null && closed.getCount() > 0) {
      try {
        take(message());
      } catch (RuntimeException error) {
        leave();
        if (closed.getCount() == 0) {
          break;
        }
        if (!(error instanceof RunwireException)) {
          throw error;
        }
        pause((RunwireException) error);
      }
    }
    return next != null && closed.getCount() > 0;
  }

  @Override
  public MetricEvent next() {
    if (!hasNext()) {
      throw new NoSuchElementException("the watch is closed");
    }
    MetricEvent event = next;
    next = null;
    return event;
  }

  private WatchMetricsResponse message() {
    try {
      if (stream == null) {
        open();
      }
      if (stream.hasNext()) {
        return stream.next();
      }
      throw new ServerUnavailableException(new Failure("the server ended the watch"));
    } catch (io.grpc.StatusRuntimeException error) {
      throw Statuses.toException(error);
    }
  }

  private void open() {
    core.pipeline.checkOnline("WatchMetrics");
    if (!began) {
      core.pipeline.deliver(timeout);
    }
    if (!reached) {
      core.link.connect(Values.nanoseconds("connectTimeout", core.given.retry.connectTimeout()));
    }
    Context.CancellableContext made = Context.ROOT.withCancellation();
    context = made;
    Context before = made.attach();
    try {
      stream =
          ClientCalls.blockingServerStreamingCall(
              core.link.channel(),
              MetricServiceGrpc.getWatchMetricsMethod(),
              CallOptions.DEFAULT,
              request);
    } finally {
      made.detach(before);
    }
    if (closed.getCount() == 0) {
      made.cancel(null);
    }
  }

  private void take(WatchMetricsResponse message) {
    MetricEvent event = Convert.event(message);
    // From now on, each connection goes on behind this event.
    request = request.toBuilder().setCursor(event.cursor()).build();
    attempts = null;
    reached = true;
    if (!began || !event.blocks().isEmpty() || !event.resyncRunIds().isEmpty()) {
      next = event;
    }
    began = true;
  }

  private void pause(RunwireException given) {
    if (given instanceof CancelledException && Thread.currentThread().isInterrupted()) {
      // It broke here, and is no server that went away.
      throw given;
    }
    RunwireException error = broken(given);
    core.link.lost(error);
    long now = System.nanoTime();
    if (attempts == null) {
      attempts = new Attempts(core.given, Long.MAX_VALUE / 2, now, reached);
    }
    reached = reached || Sender.isAnswer(given);
    long pause = attempts.pause(error, now);
    if (pause == Attempts.NONE || Thread.currentThread().isInterrupted()) {
      throw attempts.last(error, now);
    }
    try {
      closed.await(pause, TimeUnit.NANOSECONDS);
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
      throw new CancelledException(new Failure("the thread was interrupted").cause(stop));
    }
  }

  /** Takes a stream that broke, in whatever words, for a server that went away. */
  private static RunwireException broken(RunwireException error) {
    boolean broke =
        error instanceof InternalException
            || error instanceof UnknownException
            || error instanceof CancelledException;
    return broke && error.reason().isEmpty()
        ? new ServerUnavailableException(new Failure(error.getMessage()).cause(error))
        : error;
  }

  private void leave() {
    stream = null;
    Context.CancellableContext old = context;
    if (old != null) {
      old.cancel(null);
    }
  }

  /** Ends the watch; who waits for an event gets none. */
  @Override
  public void close() {
    closed.countDown();
    core.closedAlone(this);
    Context.CancellableContext running = context;
    if (running != null) {
      running.cancel(null);
    }
  }
}
