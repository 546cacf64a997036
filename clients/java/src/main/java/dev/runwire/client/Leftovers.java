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
        left += isLeft(spool) ? 1 : 0;
      }
    } catch (IOException | DirectoryIteratorException failed) {
      // Nobody asked for a word on it: the next client looks again.
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

  private static boolean isLeft(Path spool) {
    try {
      if (SpoolLock.isHeld(spool)) {
        return false;
      }
      long size = 0;
      for (Path segment : Segments.in(spool)) {
        size += Files.size(segment);
      }
      return size > MOST_READ || new LeftSpool(spool).isNeeded();
    } catch (IOException | RuntimeException unreadable) {
      // A process that ends removes its spool, and `runwire sync` does; and what nobody can read is
      // no reason to stop.
      return false;
    }
  }
}
