package dev.runwire.client;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32;

/** A spool that nobody writes any more: what it holds, as far as its files are whole. */
final class LeftSpool {
  private static final int MARK_BYTES = 16;
  private static final Pattern DELIVERED = Pattern.compile("\"delivered\"\\s*:\\s*(\\d{1,18})");

  /** All segments with a whole head that follow on one another. */
  final List<Segments.Scan> segments = new ArrayList<>();

  /** Those behind a place where one does not follow on what is in front of it. */
  final List<Segments.Scan> strays = new ArrayList<>();

  /** Bytes at the ends of segments that are not whole, where there are such. */
  final List<Long> torn = new ArrayList<>();

  /** The last frame that is known to be acknowledged. */
  final Mark acked;

  /** The last frame that can go on as this writer. */
  final Mark cut;

  /** Whether there are rejections that nobody was told of. */
  final boolean untold;

  private final Path folder;
  private final long delivered;

  /** Reads a spool, which nobody may hold. */
  LeftSpool(Path folder) throws IOException {
    this.folder = folder;
    for (Path path : Segments.in(folder)) {
      add(Segments.scan(path));
    }
    Mark base = segments.isEmpty() ? Mark.START : segments.get(0).segment.before;
    Mark noted = noted();
    acked = noted == null || noted.sequence < base.sequence ? base : noted;
    cut = segments.isEmpty() ? base : segments.get(segments.size() - 1).end;
    untold = Files.exists(folder.resolve("rejections"));
    Long aside = aside();
    delivered = aside == null ? acked.sequence : Math.max(aside, base.sequence);
  }

  private void add(Segments.Scan scan) {
    if (scan.torn > 0) {
      torn.add(scan.torn);
    }
    if (scan.head == null) {
      return;
    }
    boolean follows =
        segments.isEmpty() || scan.head.before.isAt(segments.get(segments.size() - 1).end);
    (follows && strays.isEmpty() ? segments : strays).add(scan);
  }

  /** Reads the mark of what is acknowledged; null if it is not there, or not whole. */
  private Mark noted() throws IOException {
    byte[] data;
    try {
      data = Files.readAllBytes(folder.resolve("acked"));
    } catch (NoSuchFileException none) {
      return null;
    }
    if (data.length != MARK_BYTES) {
      return null;
    }
    ByteBuffer told = Segments.wrap(data);
    Mark mark = new Mark(told.getLong(), told.getInt());
    CRC32 crc = new CRC32();
    crc.update(Arrays.copyOf(data, told.position()));
    return told.getInt() == (int) crc.getValue() ? mark : null;
  }

  /** Reads how far the server has the frames of a writer that is over; null if it is not. */
  private Long aside() throws IOException {
    try {
      String told = Files.readString(folder.resolve("aside"), StandardCharsets.UTF_8);
      Matcher found = DELIVERED.matcher(told);
      return found.find() ? Long.valueOf(found.group(1)) : null;
    } catch (NoSuchFileException none) {
      return null;
    }
  }

  /** Counts the frames that can go on as this writer, and that the server does not have. */
  long undelivered() {
    return Math.max(0, cut.sequence - delivered);
  }

  /** Says whether somebody still needs what is in it: frames, or word of rejections. */
  boolean isNeeded() {
    return untold
        || undelivered() > 0
        || strays.stream().anyMatch(scan -> scan.segment.last > delivered);
  }
}
