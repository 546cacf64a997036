package dev.runwire.client;

import com.google.protobuf.UnsafeByteOperations;
import dev.runwire.v1.Frame;
import dev.runwire.v1.Group;
import dev.runwire.v1.StreamFramesRequest;
import dev.runwire.v1.StreamFramesResponse;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/** One stream of frames, from hello to its end. Its fields are read and written under the guard. */
final class FrameStream
    implements ClientResponseObserver<StreamFramesRequest, StreamFramesResponse> {
  // The status of a call that ended is told by another thread, and soon.
  private static final long PATIENCE = TimeUnit.SECONDS.toNanos(5);

  /** Whose frames it carries. */
  final Lane of;

  /** When the server last acknowledged something, or had nothing to acknowledge. */
  long progress;

  /** Whether it has ended, from whichever side. */
  boolean over;

  /** How it ended; null if it ended well. */
  RunwireException error;

  private final Guard guard;
  private final Answers answers;
  private final Set<Group> declared = new HashSet<>();
  private ClientCallStreamObserver<StreamFramesRequest> call;
  private Stored next;

  /** Takes what the server says. */
  interface Answers {
    /** Takes an answer; the guard is held. */
    void take(Lane of, StreamFramesResponse response) throws Disagreement, IOException;
  }

  /**
   * Makes a stream, which is opened by the stub that it is given to.
   *
   * @param of whose frames it carries
   */
  FrameStream(Lane of, Guard guard, Answers answers) {
    this.of = of;
    this.guard = guard;
    this.answers = answers;
  }

  @Override
  public void beforeStart(ClientCallStreamObserver<StreamFramesRequest> requests) {
    call = requests;
    requests.setOnReadyHandler(this::ready);
  }

  private void ready() {
    guard.lock();
    try {
      guard.signal();
    } finally {
      guard.unlock();
    }
  }

  @Override
  public void onNext(StreamFramesResponse response) {
    guard.lock();
    try {
      if (!over) {
        progress = System.nanoTime();
        answers.take(of, response);
      }
    } catch (Disagreement disagreement) {
      fail(disagreement.told());
    } catch (IOException failed) {
      fail(new UnavailableException(new Failure(failed.toString()).cause(failed)));
    } finally {
      guard.unlock();
    }
  }

  /** Ends the stream from this side; the guard is held. */
  void fail(RunwireException why) {
    if (!over) {
      over = true;
      error = why;
      guard.signal();
      call.cancel("the client ended the stream", null);
    }
  }

  @Override
  public void onError(Throwable thrown) {
    end(Statuses.toException(thrown));
  }

  @Override
  public void onCompleted() {
    end(null);
  }

  private void end(RunwireException why) {
    guard.lock();
    try {
      if (!over) {
        over = true;
        error = why;
        guard.signal();
      }
    } finally {
      guard.unlock();
    }
  }

  /** Says something to the server. */
  void say(StreamFramesRequest said) {
    call.onNext(said);
  }

  /** Says that nothing more comes; the guard is held. */
  void leave() {
    call.onCompleted();
  }

  /** Finds what to say next, nothing while the server has to speak first; the guard is held. */
  List<StreamFramesRequest> next() throws IOException {
    Writer writer = of.writer;
    if (!writer.isOpen()) {
      return List.of();
    }
    long confirmed = writer.takeConfirmation();
    if (confirmed > 0) {
      return List.of(StreamFramesRequest.newBuilder().setConfirmedThrough(confirmed).build());
    }
    if (next == null && writer.sent() < writer.cut().sequence) {
      next = of.frames.take(writer.sent() + 1);
    }
    Stored frame = next;
    if (frame == null || !call.isReady() || !writer.maySend(frame.payload.length)) {
      return List.of();
    }
    if (writer.sent() == writer.acked().sequence) {
      // The silence before the first frame was nobody's fault.
      progress = System.nanoTime();
    }
    next = null;
    return sending(writer, frame);
  }

  private List<StreamFramesRequest> sending(Writer writer, Stored frame) {
    int crc = Writer.chained(frame.previousCrc, frame.payload);
    writer.sending(frame.sequence, crc, frame.payload.length);
    List<StreamFramesRequest> said = new ArrayList<>();
    for (Group group : frame.groups) {
      if (declared.add(group)) {
        said.add(StreamFramesRequest.newBuilder().setDeclare(group).build());
      }
    }
    Frame message =
        Frame.newBuilder()
            .setSequence(frame.sequence)
            .setPreviousCrc(frame.previousCrc)
            .setPayload(UnsafeByteOperations.unsafeWrap(frame.payload))
            .build();
    said.add(StreamFramesRequest.newBuilder().setFrame(message).build());
    return said;
  }

  /** Waits for the status of a call that ended while it was written to; null if it ended well. */
  RunwireException waitForEnd(IllegalStateException why) {
    guard.lock();
    try {
      long deadline = System.nanoTime() + PATIENCE;
      while (!over && deadline - System.nanoTime() > 0) {
        guard.await(deadline - System.nanoTime());
      }
      return over ? error : new UnavailableException(new Failure(why.toString()).cause(why));
    } finally {
      guard.unlock();
    }
  }
}
