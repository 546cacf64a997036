package dev.runwire.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.runwire.v1.Rejection;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
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

  @Test
  void rejectionsThatNobodyWasToldOfAreLeftToo() throws IOException {
    Spool spool = spool();
    Writer writer = writer(spool);
    append(spool, writer);
    spool.note(List.of(Rejection.newBuilder().setReason("RUN_DELETED").setRecords(1).build()));
    spool.acknowledge(writer.cut());
    assertEquals("", offered());
    spool.close();
    assertTrue(offered().contains("1 spool holds"));
    Files.delete(Path.of(spool.place()).resolve("rejections"));
    assertEquals("", offered());
  }

  @Test
  void spoolsThatNobodyCanReadAreNoReasonToStop() throws IOException {
    Path strange = Files.createDirectory(root.resolve(Ids.hex()));
    ByteArrayOutputStream segment = new ByteArrayOutputStream();
    segment.writeBytes(Segments.MAGIC);
    segment.writeBytes(Segments.entry(Segments.HEAD, new byte[3]));
    Files.write(strange.resolve("0000000000000001.segment"), segment.toByteArray());
    assertEquals("", offered());
  }

  @Test
  void aMarkThatTheDiskDoesNotTakeLeavesNoFileOpen() throws IOException {
    SpoolNotes notes = new SpoolNotes(root);
    Path mark = Files.createSymbolicLink(root.resolve("acked"), Path.of("/dev/full"));
    notes.acknowledge(new Mark(1, 1));
    long files = files();
    for (int i = 0; i < 100; i++) {
      notes.acknowledge(new Mark(i, i));
    }
    assertTrue(files() < files + 50);
    Files.delete(mark);
  }

  private static long files() throws IOException {
    try (Stream<Path> open = Files.list(Path.of("/proc/self/fd"))) {
      return open.count();
    }
  }

  /** Writes a spool until its input ends, and dies. */
  static final class Writes {
    public static void main(String[] arguments) throws IOException {
      Spool spool = Spool.create(Path.of(arguments[0]), Ids.hex(), "", LIMIT);
      append(spool, writer(spool));
      System.out.println(spool.place());
      System.in.read();
      Runtime.getRuntime().halt(0);
    }
  }

  @Test
  void aSpoolIsHeldByItsLockWhateverItSaysOfThePid() throws Exception {
    Process other =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Writes.class.getName(),
                root.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    BufferedReader said =
        new BufferedReader(new InputStreamReader(other.getInputStream(), StandardCharsets.UTF_8));
    Path lock = Path.of(said.readLine()).resolve("lock");
    // As in another container: nobody here has the number that it has there ...
    Files.writeString(lock, "999999999");
    assertEquals("", offered());
    other.getOutputStream().close();
    other.waitFor();
    // ... or somebody else has it.
    Files.writeString(lock, Long.toString(ProcessHandle.current().pid()));
    assertTrue(offered().contains("1 spool holds"));
  }

  @Test
  void lookingAtASpoolOfThisProcessLeavesItLocked() throws Exception {
    Spool spool = spool();
    append(spool, writer(spool));
    assertTrue(SpoolLock.isHeld(Path.of(spool.place())));
    assertTrue(isHeldToAnotherLoader(Path.of(spool.place())));
    Process other =
        new ProcessBuilder(ServerProcess.command(), "sync", spool.place())
            .redirectErrorStream(true)
            .start();
    String said = new String(other.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(said.contains("in use by process " + ProcessHandle.current().pid()), said);
    spool.close();
  }

  /** Asks the client that another library has brought along. */
  private static boolean isHeldToAnotherLoader(Path spool) throws Exception {
    URL[] classes = {SpoolLock.class.getProtectionDomain().getCodeSource().getLocation()};
    try (URLClassLoader loader = new URLClassLoader(classes, null)) {
      Method isHeld =
          loader.loadClass(SpoolLock.class.getName()).getDeclaredMethod("isHeld", Path.class);
      isHeld.setAccessible(true);
      return (boolean) isHeld.invoke(null, spool);
    }
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
