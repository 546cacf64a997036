package dev.runwire.client;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;

/** Tells once of what earlier processes left undelivered. */
final class Leftovers {
  // Larger ones are taken for undelivered without reading them.
  private static final long MOST_READ = 64L * 1024 * 1024;
  // Spools are named by their writers; what else lies beside them is somebody's.
  private static final Pattern SPOOL = Pattern.compile("[0-9a-f]{32}");

  private final Path root;
  private boolean told;

  Leftovers(Path root) {
    this.root = root;
  }

  void offer() {
    if (told) {
      return;
    }
    told = true;
    int left = 0;
    try (DirectoryStream<Path> spools = Files.newDirectoryStream(root, Leftovers::isSpool)) {
      for (Path spool : spools) {
        left += !SpoolLock.isHeld(spool) && holdsFrames(spool) ? 1 : 0;
      }
    } catch (IOException | DirectoryIteratorException gone) {
      // A process that ends removes its spool: the next client looks again.
      return;
    }
    if (left > 0) {
      String what = left == 1 ? "1 spool holds" : left + " spools hold";
      Notices.tell(
          what
              + " what earlier processes did not deliver; `runwire sync "
              + root
              + "` delivers it");
    }
  }

  private static boolean isSpool(Path path) {
    return SPOOL.matcher(path.getFileName().toString()).matches() && Files.isDirectory(path);
  }

  /** Says whether a spool has frames that are not known to be acknowledged. */
  private static boolean holdsFrames(Path spool) throws IOException {
    Path acked = spool.resolve("acked");
    long mark =
        Files.exists(acked)
            ? Segments.wrap(java.util.Arrays.copyOf(Files.readAllBytes(acked), 8)).getLong()
            : 0;
    try (DirectoryStream<Path> segments = Files.newDirectoryStream(spool, "*.segment")) {
      for (Path segment : segments) {
        if (Files.size(segment) > MOST_READ || Segments.scan(segment).segment.last > mark) {
          return true;
        }
      }
    }
    return false;
  }
}
