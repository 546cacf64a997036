package dev.runwire.client;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A spool that nobody writes any more: what it holds, as far as its files are whole. */
final class LeftSpool {
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

  private final long delivered;

  /** Reads a spool, which nobody may hold. */
  LeftSpool(Path folder) throws IOException {
    SpoolNotes notes = new SpoolNotes(folder);
    for (Path path : Segments.in(folder)) {
      add(Segments.scan(path));
    }
    Mark base = segments.isEmpty() ? Mark.START : segments.get(0).segment.before;
    Mark noted = notes.acked();
    acked = noted == null || noted.sequence < base.sequence ? base : noted;
    cut = segments.isEmpty() ? base : segments.get(segments.size() - 1).end;
    untold = notes.untold();
    Long aside = notes.delivered();
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
