package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.runwire.v1.Ack;
import dev.runwire.v1.Hello;
import dev.runwire.v1.Rejection;
import dev.runwire.v1.Welcome;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

class WriterTest {
  private static final String ID = "0".repeat(32);

  private static byte[] payload(long number) {
    return Long.toString(number).getBytes(StandardCharsets.US_ASCII);
  }

  private static Writer writer(boolean replayable, int cut) {
    Writer writer = new Writer(ID, Mark.START, Mark.START, replayable);
    for (int i = 1; i <= cut; i++) {
      writer.kept(writer.next(payload(i)));
    }
    return writer;
  }

  private static Welcome welcome(long sequence, int crc, long window) {
    return Welcome.newBuilder()
        .setCommittedSequence(sequence)
        .setCommittedCrc(crc)
        .setWindowBytes(window)
        .build();
  }

  private static Ack ack(long sequence, int crc) {
    return Ack.newBuilder().setSequence(sequence).setCrc(crc).build();
  }

  @Test
  void theChainStandsForAllFramesBefore() {
    // As zlib computes them: crc32(b"ab", crc32(bytes(4))) and so on.
    int first = Writer.chained(0, "ab".getBytes(StandardCharsets.US_ASCII));
    int second = Writer.chained(first, "ab".getBytes(StandardCharsets.US_ASCII));
    assertTrue(first != second);
    assertEquals(second, Writer.chained(first, "ab".getBytes(StandardCharsets.US_ASCII)));
  }

  @Test
  void framesGoOutWithinTheWindow() throws Disagreement {
    Writer writer = writer(false, 3);
    assertFalse(writer.maySend(1));
    writer.hello();
    writer.welcomed(welcome(0, 0, 10), sequence -> null);
    assertTrue(writer.maySend(100));
    writer.sending(1, 7, 9);
    assertFalse(writer.maySend(2));
    assertTrue(writer.maySend(1));
    writer.acknowledged(ack(1, 7));
    assertTrue(writer.maySend(100));
    assertEquals(2, writer.pending());
  }

  @Test
  void twoHistoriesAreToldApart() throws Disagreement {
    Writer writer = writer(false, 2);
    Mark cut = writer.cut();
    assertThrows(Disagreement.class, () -> writer.welcomed(welcome(3, 1, 10), sequence -> null));
    assertThrows(
        Disagreement.class, () -> writer.welcomed(welcome(2, cut.crc + 1, 10), sequence -> null));
    assertThrows(Disagreement.class, () -> writer.welcomed(welcome(1, 5, 10), sequence -> 6));
    writer.welcomed(welcome(2, cut.crc, 10), sequence -> null);
    assertEquals(0, writer.pending());
    assertThrows(Disagreement.class, () -> writer.welcomed(welcome(1, 5, 10), sequence -> null));
    assertThrows(Disagreement.class, () -> writer.acknowledged(ack(9, 0)));
  }

  @Test
  void aReplayableWriterTakesWhatItsOtherSelfDid() throws Disagreement {
    Writer writer = writer(true, 2);
    writer.hello();
    writer.welcomed(welcome(5, 99, 10), sequence -> null);
    assertEquals(0, writer.pending());
    assertFalse(writer.maySend(1));
    for (int i = 3; i <= 6; i++) {
      writer.kept(writer.next(payload(i)));
    }
    assertEquals(1, writer.pending());
    assertTrue(writer.maySend(1));
    assertEquals(5, writer.sent());
  }

  @Test
  void rejectionsAreNewOnceAndConfirmedOnce() {
    Writer writer = writer(false, 1);
    Rejection one = Rejection.newBuilder().setRunId("r").setReason("X").setLastSequence(4).build();
    assertEquals(List.of(one), writer.news(List.of(one)));
    writer.noted(List.of(one));
    assertEquals(List.of(), writer.news(List.of(one)));
    assertEquals(4, writer.takeConfirmation());
    assertEquals(0, writer.takeConfirmation());
  }

  /** A server that stores each frame once, and forgets connections, by chance. */
  @RepeatedTest(50)
  void everyFrameIsStoredOnceWhateverBreaks(RepetitionInfo info) throws Disagreement {
    Random chance = new Random(info.getCurrentRepetition());
    Writer writer = writer(false, 0);
    Map<Long, byte[]> spool = new HashMap<>();
    Map<Long, Writer.Cut> cuts = new HashMap<>();
    List<Long> stored = new ArrayList<>();
    int serverCrc = 0;
    Deque<Long> way = new ArrayDeque<>();
    for (int step = 0; step < 400; step++) {
      switch (chance.nextInt(5)) {
        case 0:
          Writer.Cut made = writer.next(payload(step));
          writer.kept(made);
          spool.put(made.sequence, payload(step));
          cuts.put(made.sequence, made);
          break;
        case 1:
          writer.lost();
          way.clear();
          break;
        case 2:
          if (!writer.isOpen()) {
            Hello hello = writer.hello();
            assertTrue(hello.getAckedSequence() <= stored.size());
            writer.welcomed(welcome(stored.size(), serverCrc, 8), at -> cuts.get(at).crc);
          }
          break;
        case 3:
          byte[] next = spool.get(writer.sent() + 1);
          if (next != null && writer.maySend(next.length)) {
            long sequence = writer.sent() + 1;
            writer.sending(sequence, cuts.get(sequence).crc, next.length);
            way.add(sequence);
          }
          break;
        default:
          if (!way.isEmpty()) {
            long sequence = way.remove();
            if (sequence == stored.size() + 1) {
              assertEquals(serverCrc, cuts.get(sequence).previousCrc);
              stored.add(sequence);
              serverCrc = cuts.get(sequence).crc;
            }
            if (chance.nextBoolean()) {
              writer.acknowledged(ack(sequence, cuts.get(sequence).crc));
            }
          }
          break;
      }
      assertTrue(writer.acked().sequence <= stored.size());
    }
  }
}
