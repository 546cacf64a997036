package dev.runwire.client;

import dev.runwire.v1.HeartbeatRequest;
import dev.runwire.v1.HeartbeatResponse;
import dev.runwire.v1.MetricServiceGrpc;
import dev.runwire.v1.Rejection;
import dev.runwire.v1.StreamFramesRequest;
import dev.runwire.v1.StreamFramesResponse;
import dev.runwire.v1.Welcome;
import io.grpc.Channel;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The thread that carries frames to the server: one stream, opened again whenever it breaks. */
final class Delivery {
  // A stream whose frames are not acknowledged for so long is cut and opened again: the way may be
  // a black hole.
  private static final long SILENCE = TimeUnit.SECONDS.toNanos(30);
  private static final long FOREVER = TimeUnit.DAYS.toNanos(1);
  private static final int MOST_BEATS = 1000;

  private final Settings given;
  private final Link link;
  private final Guard guard;
  private final Contact contact;
  private final Thread thread;
  private final List<Rejection> rejections = new ArrayList<>();
  private final List<Lane> ended = new ArrayList<>();
  private FrameStream stream;
  private Lane lane;
  private boolean stopping;

  /**
   * Makes the delivery; {@link #start} starts it.
   *
   * @param guard guards lanes and writers
   */
  Delivery(Settings given, Link link, Guard guard) {
    this.given = given;
    this.link = link;
    this.guard = guard;
    this.contact = new Contact(given);
    this.thread = Threads.daemon(this::run, "runwire-delivery");
  }

  void start() {
    thread.start();
  }

  /** Says whose frames to carry; the guard is held. */
  void carry(Lane to) {
    lane = to;
    guard.signal();
  }

  /** How the server answers; the guard is held. */
  Contact contact() {
    return contact;
  }

  /** Says whether there is no hope for who has waited since a time, or null; the guard is held. */
  RunwireException givenUp(long start, long now) {
    boolean before = contact.isHurried();
    RunwireException error = contact.givenUp(start, now);
    if (contact.isHurried() != before) {
      guard.signal();
    }
    return error;
  }

  /** Takes out what the server rejected, and nobody was told of yet; the guard is held. */
  List<Rejection> takeRejections() {
    List<Rejection> found = new ArrayList<>(rejections);
    rejections.clear();
    return found;
  }

  /** Takes out the writers that are over, and nobody was told of yet; the guard is held. */
  List<Lane> takeEnded() {
    List<Lane> found = new ArrayList<>(ended);
    ended.clear();
    return found;
  }

  /** Ends the stream and the thread. */
  void stop(long milliseconds) {
    guard.lock();
    try {
      stopping = true;
      if (stream != null) {
        stream.fail(null);
      }
      guard.signal();
    } finally {
      guard.unlock();
    }
    Threads.join(thread, milliseconds);
  }

  /** Cuts a stream on which nothing was acknowledged for long; called from time to time. */
  void watch() {
    guard.lock();
    try {
      watchHeld();
    } finally {
      guard.unlock();
    }
  }

  /** The same, with the guard held. */
  void watchHeld() {
    if (stream == null) {
      return;
    }
    Writer writer = stream.of.writer;
    boolean waiting = !writer.isOpen() || writer.sent() > writer.acked().sequence;
    if (waiting && System.nanoTime() - stream.progress >= SILENCE) {
      stream.fail(
          new ServerUnavailableException(
              new Failure("nothing was acknowledged for 30 s: the stream is opened again")));
    }
  }

  /** Says that runs are alive, without waiting for an answer; no stream need be open. */
  void heartbeat(List<String> runIds) {
    Channel channel;
    try {
      channel = link.channel();
    } catch (RuntimeException gone) {
      // The next beat finds it, or the client is closed; what can not be is told by the delivery.
      return;
    }
    MetricServiceGrpc.MetricServiceStub stub =
        MetricServiceGrpc.newStub(channel).withDeadlineAfter(10, TimeUnit.SECONDS);
    for (int start = 0; start < runIds.size(); start += MOST_BEATS) {
      List<String> some = runIds.subList(start, Math.min(start + MOST_BEATS, runIds.size()));
      stub.heartbeat(HeartbeatRequest.newBuilder().addAllRunIds(some).build(), new Beat());
    }
  }

  /** A heartbeat on its way. One that finds no server has the next look where it is. */
  private final class Beat implements StreamObserver<HeartbeatResponse> {
    @Override
    public void onNext(HeartbeatResponse alive) {}

    @Override
    public void onError(Throwable error) {
      link.lost(Statuses.toException(error));
    }

    @Override
    public void onCompleted() {}
  }

  private void run() {
    while (true) {
      Lane to;
      guard.lock();
      try {
        while (!stopping && !isNeeded()) {
          guard.await(FOREVER);
        }
        if (stopping) {
          return;
        }
        to = lane;
      } finally {
        guard.unlock();
      }
      long began = System.nanoTime();
      RunwireException error = carryOnce(to);
      if (error != null) {
        pause(to, error, began);
      }
    }
  }

  private boolean isNeeded() {
    return lane != null && lane.over == null && lane.writer.pending() > 0;
  }

  /** Runs one stream to its end; returns how it failed, or null. */
  private RunwireException carryOnce(Lane to) {
    FrameStream opened = new FrameStream(to, guard, this::take);
    try {
      open(opened);
      while (true) {
        List<StreamFramesRequest> said = waitForNext(opened);
        if (said.isEmpty()) {
          return opened.error;
        }
        said.forEach(opened::say);
      }
    } catch (RunwireException error) {
      return error;
    } catch (IllegalStateException ended) {
      // The call ended while it was written to; its status is told by the other side.
      return opened.waitForEnd(ended);
    } catch (IOException | RuntimeException | Error error) {
      // The thread lives on whatever happens: who waits is told of it when his time is over.
      return new UnavailableException(new Failure(error.toString()).cause(error));
    } finally {
      guard.lock();
      try {
        if (stream == opened) {
          // Nothing, if it has ended.
          opened.fail(null);
        }
        opened.over = true;
        stream = null;
        to.writer.lost();
        guard.signal();
      } finally {
        guard.unlock();
      }
    }
  }

  private void open(FrameStream opened) {
    Channel channel = link.channel();
    if (!isReachedNow()) {
      link.connect(Values.nanoseconds("connectTimeout", given.retry.connectTimeout()));
    }
    StreamFramesRequest hello;
    guard.lock();
    try {
      if (stopping) {
        opened.over = true;
        return;
      }
      hello = StreamFramesRequest.newBuilder().setHello(opened.of.writer.hello()).build();
      opened.progress = System.nanoTime();
    } finally {
      guard.unlock();
    }
    MetricServiceGrpc.newStub(channel).streamFrames(opened);
    guard.lock();
    try {
      stream = opened;
      if (stopping) {
        opened.fail(null);
      }
    } finally {
      guard.unlock();
    }
    opened.say(hello);
  }

  private boolean isReachedNow() {
    guard.lock();
    try {
      return contact.isReached();
    } finally {
      guard.unlock();
    }
  }

  /** Waits until there is something to say; nothing once the stream is over. */
  private List<StreamFramesRequest> waitForNext(FrameStream opened) throws IOException {
    guard.lock();
    try {
      boolean left = false;
      while (!opened.over) {
        if (!left && opened.of != lane) {
          // Another writer has taken over: this one's last acknowledgements still come.
          left = true;
          opened.leave();
        }
        List<StreamFramesRequest> said = left ? List.of() : opened.next();
        if (!said.isEmpty()) {
          return said;
        }
        guard.await(FOREVER);
      }
      return List.of();
    } finally {
      guard.unlock();
    }
  }

  /** Takes an answer in; the guard is held. */
  void take(Lane of, StreamFramesResponse response) throws Disagreement, IOException {
    Writer writer = of.writer;
    List<Rejection> found;
    if (response.hasWelcome()) {
      Welcome welcome = response.getWelcome();
      writer.welcomed(welcome, of.frames);
      contact.welcomed();
      found = welcome.getRejectionsList();
    } else {
      writer.acknowledged(response.getAck());
      contact.acknowledged();
      found = response.getAck().getRejectionsList();
    }
    // First, because it frees disk.
    of.frames.acknowledge(writer.acked());
    reject(of, found);
    guard.signal();
  }

  private void reject(Lane of, List<Rejection> found) {
    if (found.isEmpty()) {
      return;
    }
    List<Rejection> news = of.writer.news(found);
    for (Rejection one : news) {
      if (!rejections.contains(one)) {
        rejections.add(one);
      }
    }
    try {
      of.frames.note(news);
      of.writer.noted(found);
    } catch (IOException full) {
      // They are in memory only, and with the server, which is not told that it may forget.
      return;
    }
  }

  /** Decides what follows a stream that began then and failed, and waits. */
  private void pause(Lane of, RunwireException error, long began) {
    guard.lock();
    try {
      if (stopping) {
        return;
      }
      if (Writer.FINAL.contains(error.reason())) {
        setAside(of, error);
        return;
      }
      long pause = contact.failed(error, began, of.frames.place());
      link.lost(error);
      long deadline = System.nanoTime() + pause;
      guard.signal();
      while (!stopping && !contact.isHurried() && deadline - System.nanoTime() > 0) {
        guard.await(deadline - System.nanoTime());
      }
    } finally {
      guard.unlock();
    }
  }

  private void setAside(Lane of, RunwireException error) {
    String delivered = error.metadata().getOrDefault("committed_sequence", "");
    long known = delivered.matches("\\d{1,18}") ? Long.parseLong(delivered) : 0;
    if (error.reason().equals("WRITER_DIVERGED")) {
      known = of.writer.acked().sequence;
    }
    try {
      of.frames.setAside(error.reason(), error.getMessage(), known);
    } catch (IOException full) {
      Notices.tell("it can not be noted in " + of.frames.place() + " why it ended: " + full);
    }
    of.over = error;
    ended.add(of);
    if (lane == of) {
      lane = null;
    }
    guard.signal();
  }
}
