package dev.runwire.client;

import dev.runwire.v1.Group;
import java.io.IOException;
import java.util.Collection;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** Takes the frames of one client: makes spools, writes to them, waits for room in them. */
final class Lanes {
  static final long PULSE = TimeUnit.SECONDS.toNanos(1);

  private static final int BACKLOG_FRAMES = 8;

  private final Settings given;
  private final Guard guard;
  private final Buffer buffer;
  private final Runnable pulse;
  private Consumer<Lane> carry;
  private Lane lane;
  private Spool spool;
  private String stuck = "";
  private volatile boolean closing;

  /**
   * Makes the lanes.
   *
   * @param guard guards lanes and writers
   * @param buffer refuses more when there is no room
   * @param pulse called about every second while there is no room
   */
  Lanes(Settings given, Guard guard, Buffer buffer, Runnable pulse) {
    this.given = given;
    this.guard = guard;
    this.buffer = buffer;
    this.pulse = pulse;
  }

  /** The pipeline ends while the folding thread waits for room. */
  static final class ClosingException extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  /** The writer that takes the next frame, and a number that changes with its segment. */
  static final class Place {
    final Lane lane;
    final long segment;

    Place(Lane lane, long segment) {
      this.lane = lane;
      this.segment = segment;
    }
  }

  /** Says who carries the frames to the server: told of each new lane, the guard held. */
  void carryBy(Consumer<Lane> given) {
    carry = given;
  }

  /** The writer that takes frames now; null before the first. The guard is held. */
  Lane current() {
    return lane;
  }

  /** The spool of the current writer; null before the first. The guard is held. */
  Spool spool() {
    return spool;
  }

  /** Why no frame can be written; empty if it can. The guard is held. */
  String stuck() {
    return stuck;
  }

  void close() {
    closing = true;
  }

  /** Finds the writer that takes the next frame, and waits until its spool has room. */
  Place open(int size) {
    while (true) {
      guard.lock();
      try {
        if (lane == null || lane.over != null) {
          newLane();
        }
        long segment = spool.prepare(size);
        if (segment >= 0) {
          unstick();
          return new Place(lane, segment);
        }
        stick(
            "the spool "
                + spool.place()
                + " is full: it holds "
                + given.spoolBytes
                + " bytes that are not delivered");
        guard.await(PULSE);
      } catch (IOException error) {
        stick("the spool in " + given.spoolRoot + " can not be written: " + error);
        guard.await(PULSE);
      } finally {
        guard.unlock();
      }
      pulse.run();
      if (closing) {
        throw new ClosingException();
      }
    }
  }

  private void stick(String why) {
    if (stuck.isEmpty()) {
      Notices.tell(why);
    }
    stuck = why;
    if (given.onSpoolFull == OnSpoolFull.ERROR || given.offline()) {
      buffer.refuse(new ResourceExhaustedException(new Failure(why)));
    }
    guard.signal();
  }

  private void unstick() {
    if (!stuck.isEmpty()) {
      stuck = "";
      buffer.refuse(null);
    }
  }

  private void newLane() throws IOException {
    lane = null;
    spool = Spool.create(given.spoolRoot, Ids.hex(), given.spoolAddress, given.spoolBytes);
    lane = new Lane(spool, new Writer(spool.writerId(), Mark.START, Mark.START, false));
    if (carry != null) {
      carry.accept(lane);
    }
  }

  /**
   * Cuts a frame and hands it to the delivery.
   *
   * @return whether it was cut; not if the writer is over meanwhile, or its spool needs another
   *     segment: to be made again for what {@link #open} finds
   */
  boolean write(Lane to, byte[] payload, Collection<Group> groups) {
    while (true) {
      guard.lock();
      try {
        if (to.over != null) {
          return false;
        }
        Writer.Cut made = to.writer.next(payload);
        spool.append(made, payload, groups);
        to.writer.kept(made);
        unstick();
        guard.signal();
        return true;
      } catch (IOException error) {
        if (reclaimed()) {
          return false;
        }
        stick("the spool " + to.frames.place() + " can not be written: " + error);
        guard.await(PULSE);
      } finally {
        guard.unlock();
      }
      pulse.run();
      if (closing) {
        throw new ClosingException();
      }
    }
  }

  private boolean reclaimed() {
    try {
      return spool.reclaim();
    } catch (IOException failed) {
      // What is not deleted is forgotten all the same: the next frame needs another segment.
      return true;
    }
  }

  /** Says how large the next frame should be. */
  int target(Lane to) {
    guard.lock();
    try {
      boolean behind = to.writer.cut().sequence - to.writer.sent() > BACKLOG_FRAMES;
      return behind ? Cutter.LARGE_FRAME_BYTES : Cutter.FRAME_BYTES;
    } finally {
      guard.unlock();
    }
  }
}
