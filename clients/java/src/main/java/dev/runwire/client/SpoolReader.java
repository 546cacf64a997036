package dev.runwire.client;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/**
 * Gives the frames of a spool to who sends them: from memory where it keeps up, else from files.
 */
final class SpoolReader {
  // Frames that are not sent yet stay in memory up to this; beyond it they are read back.
  private static final long TAIL_BYTES = 8L * 1024 * 1024;

  private final Deque<Stored> tail = new ArrayDeque<>();
  private long wanted;
  private long bytes;
  private Segments.Cursor cursor;

  /**
   * Makes a reader.
   *
   * @param wanted the frame that is asked for first
   */
  SpoolReader(long wanted) {
    this.wanted = wanted;
  }

  /** Takes a frame that was just written, if it follows on what waits here and there is room. */
  void offer(Stored frame) {
    long expected = tail.isEmpty() ? wanted : tail.peekLast().sequence + 1;
    if (frame.sequence == expected && bytes + frame.payload.length <= TAIL_BYTES) {
      tail.addLast(frame);
      bytes += frame.payload.length;
    }
  }

  /** Returns a frame; null if there is no such frame. */
  Stored take(long sequence, List<Segments.Segment> segments) throws IOException {
    while (!tail.isEmpty() && tail.peekFirst().sequence < sequence) {
      bytes -= tail.removeFirst().payload.length;
    }
    Stored found;
    if (!tail.isEmpty() && tail.peekFirst().sequence == sequence) {
      found = tail.removeFirst();
      bytes -= found.payload.length;
    } else {
      found = read(sequence, segments);
    }
    wanted = found == null ? sequence : sequence + 1;
    return found;
  }

  private Stored read(long sequence, List<Segments.Segment> segments) throws IOException {
    for (Segments.Segment segment : segments) {
      if (segment.before.sequence < sequence && sequence <= segment.last) {
        if (cursor == null || cursor.segment != segment || cursor.next > sequence) {
          close();
          cursor = new Segments.Cursor(segment);
        }
        return cursor.read(sequence);
      }
    }
    return null;
  }

  /** Forgets a segment that is deleted. */
  void drop(Segments.Segment segment) throws IOException {
    if (cursor != null && cursor.segment == segment) {
      close();
    }
  }

  void close() throws IOException {
    if (cursor != null) {
      cursor.close();
      cursor = null;
    }
  }
}
