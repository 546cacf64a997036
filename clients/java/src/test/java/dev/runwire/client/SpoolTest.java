package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SpoolTest {
  private static final long LIMIT = 8 * 4096;
  private static final byte[] PAYLOAD = new byte[3000];

  @TempDir Path root;

  private Spool spool() throws IOException {
    return Spool.create(root, Ids.hex(), "", LIMIT);
  }

  private static void append(Spool spool, Writer writer) throws IOException {
    Writer.Cut made = writer.next(PAYLOAD);
    assertTrue(spool.prepare(PAYLOAD.length) >= 0);
    spool.append(made, PAYLOAD, List.of());
    writer.kept(made);
  }

  private static Writer writer(Spool spool) {
    return new Writer(spool.writerId(), Mark.START, Mark.START, false);
  }

  private static Set<String> names(Path folder) throws IOException {
    try (Stream<Path> all = Files.list(folder)) {
      return all.map(one -> one.getFileName().toString()).collect(Collectors.toSet());
    }
  }

  @Test
  void syncLooksAtEachSegmentThatIsNotOnTheDisk() throws IOException {
    Spool spool = spool();
    Writer writer = writer(spool);
    append(spool, writer);
    append(spool, writer);
    Path first = Path.of(spool.place()).resolve("0000000000000001.segment");
    Path aside = root.resolve("aside.moved");
    Files.move(first, aside);
    assertThrows(IOException.class, spool::sync);
    Files.move(aside, first);
    spool.sync();
    Files.move(first, aside);
    append(spool, writer);
    spool.sync();
    Files.move(aside, first);
    spool.close();
  }

  @Test
  void segmentsThatHoldNothingAreNotFollowedByOthers() throws IOException {
    Spool spool = spool();
    spool.prepare(5000);
    long size = spool.size();
    spool.prepare(5000);
    assertEquals(size, spool.size());
    spool.close();
    assertEquals(Set.of(), names(root));
  }

  @Test
  void aSpoolThatCanNotBeMadeLeavesNothing() throws IOException {
    String writerId = Ids.hex();
    Files.createFile(root.resolve(writerId));
    assertThrows(IOException.class, () -> Spool.create(root, writerId, "", LIMIT));
    assertEquals(Set.of(writerId), names(root));
    String locked = Ids.hex();
    Files.createDirectories(root.resolve("." + locked).resolve("lock"));
    assertThrows(IOException.class, () -> Spool.create(root, locked, "", LIMIT));
    assertEquals(Set.of(writerId), names(root));
  }

  @Test
  void whatSomebodyPutIntoASpoolStays() throws IOException {
    Spool spool = spool();
    Writer writer = writer(spool);
    append(spool, writer);
    spool.acknowledge(writer.cut());
    Path folder = Path.of(spool.place());
    Files.createFile(folder.resolve("successor"));
    Files.createFile(folder.resolve("00000000000000ff.segment"));
    Files.createFile(folder.resolve("mine.txt"));
    spool.close();
    assertEquals(Set.of("mine.txt"), names(folder));
  }

  @Test
  void foldersBesideSpoolsAreSomebodys() throws IOException {
    Spool spool = spool();
    append(spool, writer(spool));
    spool.close();
    Path left = Path.of(spool.place());
    Files.delete(left.resolve("lock"));
    assertTrue(offered().contains("1 spool holds"));
    Files.move(left, root.resolve("notes"));
    assertEquals("", offered());
    assertFalse(Files.exists(root.resolve("notes").resolve("lock")));
  }

  private String offered() {
    PrintStream usual = System.err;
    ByteArrayOutputStream said = new ByteArrayOutputStream();
    System.setErr(new PrintStream(said, true, StandardCharsets.UTF_8));
    try {
      new Leftovers(root).offer();
    } finally {
      System.setErr(usual);
    }
    return said.toString(StandardCharsets.UTF_8);
  }
}
