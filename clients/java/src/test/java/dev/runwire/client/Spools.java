package dev.runwire.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Looks at what clients leave on the disk. */
final class Spools {
  private Spools() {}

  /** Returns what lies in a folder of spools; nothing if there is none. */
  static List<Path> in(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return List.of();
    }
    try (Stream<Path> all = Files.list(folder)) {
      return all.collect(Collectors.toList());
    }
  }
}
