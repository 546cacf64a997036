package dev.runwire.client;

import dev.runwire.v1.Ack;
import dev.runwire.v1.Hello;
import dev.runwire.v1.Rejection;
import dev.runwire.v1.Welcome;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.zip.CRC32;

/**
 * One writer, as its client sees it: the client's side of the protocol of frames, a state machine
 * without I/O and without a clock.
 *
 * <p>It knows which frames were cut, sent and acknowledged, never what is in them. Whoever drives
 * it keeps the frames, carries the messages, and asks it what is next. {@code StreamFrames} in
 * {@code metric.proto} is the protocol.
 */
final class Writer {
  /**
   * Reasons after which a writer is over: what it holds has to be set aside. WRITER_FENCED is none:
   * a writer's own hello may fence it, from a connection that was given up and whose bytes still
   * arrive.
   */
  static final Set<String> FINAL = Set.of("SERVER_BEHIND", "WRITER_UNKNOWN", "WRITER_DIVERGED");

  // Bounds the memory of what is on its way where frames are tiny.
  private static final int MOST_IN_FLIGHT = 16_384;

  final String writerId;

  /** Whether it makes its frames again instead of keeping them. */
  final boolean replayable;

  private final Deque<Flying> flying = new ArrayDeque<>();
  private final Map<String, Long> noted = new HashMap<>();
  private Mark cut;
  private Mark acked;
  private long sent;
  private long confirm;
  private boolean open;
  private long window;
  private long bytes;

  Writer(String writerId, Mark acked, Mark cut, boolean replayable) {
    this.writerId = writerId;
    this.acked = acked;
    this.cut = cut;
    this.replayable = replayable;
    this.sent = acked.sequence;
  }

  /** Tells the chained CRC of a frame that was cut; null where it is not known any more. */
  interface Memory {
    /** Finds the CRC of a frame. */
    Integer crcAt(long sequence);
  }

  /** A frame that was cut: its place, the chained CRC of the one before it, and its own. */
  static final class Cut {
    final long sequence;
    final int previousCrc;
    final int crc;

    Cut(long sequence, int previousCrc, int crc) {
      this.sequence = sequence;
      this.previousCrc = previousCrc;
      this.crc = crc;
    }

    Mark mark() {
      return new Mark(sequence, crc);
    }
  }

  private static final class Flying {
    final long sequence;
    final int crc;
    final int size;

    Flying(long sequence, int crc, int size) {
      this.sequence = sequence;
      this.crc = crc;
      this.size = size;
    }
  }

  /** Computes the chained CRC of a frame, which stands for all frames up to it. */
  static int chained(int previousCrc, byte[] payload) {
    CRC32 crc = new CRC32();
    for (int shift = 0; shift < 32; shift += 8) {
      crc.update(previousCrc >>> shift);
    }
    crc.update(payload);
    return (int) crc.getValue();
  }

  /** The last frame that was cut. */
  Mark cut() {
    return cut;
  }

  /** The last frame that is known to be on the server's disk. */
  Mark acked() {
    return acked;
  }

  /** The last frame that was sent on this stream, or that needs not be sent. */
  long sent() {
    return sent;
  }

  boolean isOpen() {
    return open;
  }

  /** How many frames are cut and not acknowledged. */
  long pending() {
    return Math.max(0, cut.sequence - acked.sequence);
  }

  /** Computes the place of the next frame; it counts as cut once it is {@link #kept}. */
  Cut next(byte[] payload) {
    return new Cut(cut.sequence + 1, cut.crc, chained(cut.crc, payload));
  }

  void kept(Cut made) {
    cut = made.mark();
  }

  /** Opens a new stream: what was sent and not acknowledged counts as unsent. */
  Hello hello() {
    lost();
    return Hello.newBuilder()
        .setWriterId(writerId)
        .setAckedSequence(acked.sequence)
        .setAckedCrc(acked.crc)
        .setReplayable(replayable)
        .build();
  }

  /** Notes that the stream is over. */
  void lost() {
    open = false;
    flying.clear();
    bytes = 0;
    sent = acked.sequence;
  }

  /** Takes the server's answer to hello. */
  void welcomed(Welcome welcome, Memory memory) throws Disagreement {
    Mark there = new Mark(welcome.getCommittedSequence(), welcome.getCommittedCrc());
    if (there.sequence < acked.sequence) {
      throw new Disagreement(
          "SERVER_BEHIND",
          "the server has frames up to "
              + there.sequence
              + " of this writer and had acknowledged "
              + acked.sequence
              + ": it was restored from a backup");
    }
    if (!replayable) {
      compare(there, memory);
    }
    acked = there;
    sent = there.sequence;
    window = welcome.getWindowBytes();
    open = true;
  }

  private void compare(Mark there, Memory memory) throws Disagreement {
    if (there.sequence > cut.sequence) {
      throw new Disagreement(
          "WRITER_DIVERGED",
          "the server has frames of this writer up to "
              + there.sequence
              + ", and only "
              + cut.sequence
              + " were cut here: a copy of the spool was used elsewhere, or its last part was lost"
              + " with the machine");
    }
    Integer known = known(there.sequence, memory);
    if (known != null && known != there.crc) {
      throw new Disagreement(
          "WRITER_DIVERGED",
          "the server has another frame "
              + there.sequence
              + " of this writer than was cut here: a copy of the spool was used elsewhere");
    }
  }

  private Integer known(long sequence, Memory memory) {
    for (Mark mark : List.of(Mark.START, acked, cut)) {
      if (mark.sequence == sequence) {
        return mark.crc;
      }
    }
    return memory.crcAt(sequence);
  }

  /** Says whether the next frame may go out now; one frame alone always fits the window. */
  boolean maySend(int size) {
    if (!open || sent >= cut.sequence) {
      return false;
    }
    return flying.isEmpty() || (bytes + size <= window && flying.size() < MOST_IN_FLIGHT);
  }

  /** Notes that a frame goes out, the one behind {@link #sent}. */
  void sending(long sequence, int crc, int size) {
    sent = sequence;
    flying.addLast(new Flying(sequence, crc, size));
    bytes += size;
  }

  /** Takes an acknowledgement. */
  void acknowledged(Ack ack) throws Disagreement {
    if (ack.getSequence() > sent) {
      throw new Disagreement(
          "WRITER_DIVERGED",
          "the server acknowledged frame "
              + ack.getSequence()
              + ", and "
              + sent
              + " was the last one sent");
    }
    while (!flying.isEmpty() && flying.peekFirst().sequence <= ack.getSequence()) {
      Flying frame = flying.removeFirst();
      bytes -= frame.size;
      if (frame.sequence == ack.getSequence() && frame.crc != ack.getCrc() && !replayable) {
        throw new Disagreement(
            "WRITER_DIVERGED",
            "the server acknowledged another frame " + ack.getSequence() + " than was sent");
      }
    }
    if (ack.getSequence() > acked.sequence) {
      acked = new Mark(ack.getSequence(), ack.getCrc());
    }
  }

  /** Picks the rejections that were not noted before; a welcome repeats those of a lost ack. */
  List<Rejection> news(List<Rejection> rejections) {
    List<Rejection> found = new ArrayList<>();
    for (Rejection one : rejections) {
      if (one.getLastSequence() > noted.getOrDefault(place(one), 0L)) {
        found.add(one);
      }
    }
    return found;
  }

  /** Notes that rejections are kept on this side, so that the server may forget them. */
  void noted(List<Rejection> rejections) {
    for (Rejection one : rejections) {
      noted.merge(place(one), one.getLastSequence(), Math::max);
      confirm = Math.max(confirm, one.getLastSequence());
    }
  }

  private static String place(Rejection one) {
    return one.getRunId() + " " + one.getReason();
  }

  /** Returns what to send as {@code confirmed_through}, once; 0 if there is nothing to send. */
  long takeConfirmation() {
    long told = confirm;
    confirm = 0;
    // Who keeps nothing has noted nothing: each attempt at the same work has to be told.
    return replayable ? 0 : told;
  }
}
