package dev.runwire.client;

import com.google.protobuf.ByteString;
import dev.runwire.v1.Group;
import dev.runwire.v1.Rejection;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * A writer's spool: the frames that the server has not acknowledged, in files.
 *
 * <p>A spool is a folder of its own, named by its writer:
 *
 * <pre>
 * lock          held by the one process that writes or delivers the spool; its text is the pid
 * HEX.segment   segments, named by the sequence of their first frame in 16 hex digits; Segments
 *               has their bytes
 * acked         u64 sequence, u32 chained CRC, u32 CRC-32 of these 12 bytes: what is known to be
 *               acknowledged; a stale or torn one costs nothing but a longer welcome
 * rejections    entries of kind 4: what the server rejected, until a person was told
 * aside         JSON: why this spool's frames can not go on as their writer
 * </pre>
 *
 * <p>A frame's bytes are handed to the operating system before they are sent, so that they outlive
 * the process. They are not synced to disk one by one: online, the server's acknowledgement is the
 * promise; {@link #sync} is for those who have no server. Segments whose frames are all
 * acknowledged are deleted. Guarded by who calls.
 */
final class Spool implements Frames {
  private static final long SEGMENT_BYTES = 16L * 1024 * 1024;
  private static final long LEAST_OF_FREE = 256L * 1024;
  private static final int OVERHEAD = 64;

  private final Path folder;
  private final String writerId;
  private final String address;
  private final long limit;
  private final SpoolLock lock;
  private final List<Segments.Segment> segments = new ArrayList<>();
  private final Set<Segments.Segment> unsynced = new LinkedHashSet<>();
  private final SpoolNotes notes;
  private final SpoolReader reader = new SpoolReader(1);
  private FileChannel file;
  private Set<ByteString> declared = new HashSet<>();
  private Mark acked = Mark.START;
  private Mark cut = Mark.START;
  private long segmentBytes;
  private Long floor;
  private boolean closed;

  private Spool(Path folder, String writerId, String address, long limit, SpoolLock lock) {
    this.folder = folder;
    this.writerId = writerId;
    this.address = address;
    this.limit = limit;
    this.lock = lock;
    this.notes = new SpoolNotes(folder);
  }

  /** Makes the spool of a new writer. */
  static Spool create(Path root, String writerId, String address, long limit) throws IOException {
    makeFolders(root);
    // Nobody looks into it before the lock is held: names with a dot are not spools.
    Path hidden = root.resolve("." + writerId);
    makeFolders(hidden);
    Path folder = root.resolve(writerId);
    SpoolLock lock = null;
    try {
      lock = SpoolLock.take(hidden, writerId);
      Files.move(hidden, folder, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException failed) {
      Files.deleteIfExists(hidden.resolve("lock"));
      Files.deleteIfExists(hidden);
      if (lock != null) {
        lock.close();
      }
      throw failed;
    }
    return new Spool(folder, writerId, address, limit, lock);
  }

  private static void makeFolders(Path path) throws IOException {
    if (path.getFileSystem().supportedFileAttributeViews().contains("posix")) {
      Files.createDirectories(
          path, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } else {
      Files.createDirectories(path);
    }
  }

  String writerId() {
    return writerId;
  }

  /** Bytes of all segments. */
  long size() {
    return segments.stream().mapToLong(segment -> segment.size).sum();
  }

  private long pending() {
    return Math.max(0, cut.sequence - acked.sequence);
  }

  @Override
  public long undelivered() {
    if (floor == null) {
      return pending();
    }
    long base = segments.isEmpty() ? cut.sequence : segments.get(0).before.sequence;
    return Math.max(0, cut.sequence - Math.max(base, floor));
  }

  @Override
  public String place() {
    return folder.toString();
  }

  /**
   * Finds room for a frame, in a new segment if need be.
   *
   * @param length bytes of the frame to come, about
   * @return a number that changes with the segment; -1 if the spool is full
   */
  long prepare(int length) throws IOException {
    int size = length + OVERHEAD;
    Segments.Segment current = file == null ? null : segments.get(segments.size() - 1);
    boolean filled = current != null && isFilled(current);
    if (filled && current.last <= acked.sequence) {
      if (current.size > segmentBytes / 2 || current.size + size > segmentBytes) {
        drop(segments.size());
        current = null;
      }
    }
    if (pending() > 0 && size() + size > limit) {
      return -1;
    }
    if (current == null || (filled && current.size + size > segmentBytes)) {
      beginSegment();
    }
    return segments.get(segments.size() - 1).before.sequence;
  }

  private static boolean isFilled(Segments.Segment segment) {
    return segment.last > segment.before.sequence;
  }

  private void beginSegment() throws IOException {
    // A part of what is free, so that acknowledgements free some.
    // Not asked of the file store, for which Java looks through the mounts: a container may hide
    // them.
    long free = Math.max(LEAST_OF_FREE, folder.toFile().getUsableSpace() / 4);
    Path path = folder.resolve(String.format("%016x.segment", cut.sequence + 1));
    byte[] data = Segments.head(writerId, cut, address);
    FileChannel made = Segments.open(path, StandardOpenOption.TRUNCATE_EXISTING);
    try {
      Segments.writeWhole(made, data, 0);
    } catch (IOException failed) {
      made.close();
      Files.deleteIfExists(path);
      throw failed;
    }
    closeFile();
    file = made;
    declared = new HashSet<>();
    segmentBytes = Math.max(4096, Math.min(Math.min(SEGMENT_BYTES, limit / 8), free));
    segments.add(new Segments.Segment(path, cut, cut.sequence, data.length));
  }

  private void closeFile() throws IOException {
    if (file != null) {
      file.close();
      file = null;
    }
  }

  /** Writes a frame, in the segment that {@link #prepare} found; all of it or nothing. */
  void append(Writer.Cut made, byte[] payload, Collection<Group> groups) throws IOException {
    ByteArrayOutputStream data = new ByteArrayOutputStream(payload.length + OVERHEAD);
    Set<ByteString> added = new HashSet<>();
    for (Group group : groups) {
      if (!declared.contains(group.getHash()) && added.add(group.getHash())) {
        data.writeBytes(Segments.entry(Segments.GROUP, group.toByteArray()));
      }
    }
    data.writeBytes(Segments.frame(made.sequence, made.previousCrc, payload));
    Segments.Segment segment = segments.get(segments.size() - 1);
    Segments.writeWhole(file, data.toByteArray(), segment.size);
    declared.addAll(added);
    unsynced.add(segment);
    segment.size += data.size();
    segment.last = made.sequence;
    cut = made.mark();
    reader.offer(new Stored(made.sequence, made.previousCrc, payload, groups));
  }

  @Override
  public Stored take(long sequence) throws IOException {
    return reader.take(sequence, segments);
  }

  @Override
  public Integer crcAt(long sequence) {
    for (Segments.Segment segment : segments) {
      if (segment.before.sequence == sequence) {
        return segment.before.crc;
      }
      if (segment.before.sequence < sequence && sequence <= segment.last) {
        try {
          return Segments.crcIn(segment, sequence);
        } catch (IOException unreadable) {
          // Then it can not be compared; the frames themselves will tell.
          return null;
        }
      }
    }
    return null;
  }

  @Override
  public void acknowledge(Mark mark) throws IOException {
    if (mark.sequence <= acked.sequence) {
      return;
    }
    acked = mark;
    notes.acknowledge(mark);
    int whole = 0;
    while (whole < segments.size() - 1 && segments.get(whole).last <= mark.sequence) {
      whole++;
    }
    drop(whole);
  }

  /**
   * Deletes what is written if all of it is acknowledged: the way on when the disk is full.
   *
   * @return whether that freed anything; the next frame needs {@link #prepare} then
   */
  boolean reclaim() throws IOException {
    if (pending() > 0 || segments.stream().noneMatch(Spool::isFilled)) {
      return false;
    }
    drop(segments.size());
    return true;
  }

  /** Deletes the first segments. */
  private void drop(int count) throws IOException {
    List<Segments.Segment> gone = new ArrayList<>(segments.subList(0, count));
    segments.subList(0, count).clear();
    if (!gone.isEmpty() && segments.isEmpty()) {
      closeFile();
    }
    for (Segments.Segment segment : gone) {
      unsynced.remove(segment);
      reader.drop(segment);
      Files.deleteIfExists(segment.path);
    }
  }

  /** Has everything on the disk. */
  void sync() throws IOException {
    while (!unsynced.isEmpty()) {
      Segments.Segment next = unsynced.iterator().next();
      try (FileChannel written = FileChannel.open(next.path, StandardOpenOption.WRITE)) {
        written.force(false);
      }
      unsynced.remove(next);
    }
    // Its own name stands in the folder of spools.
    for (Path one : List.of(folder, folder.toAbsolutePath().getParent())) {
      try (FileChannel entries = FileChannel.open(one, StandardOpenOption.READ)) {
        entries.force(true);
      }
    }
  }

  @Override
  public void note(List<Rejection> rejections) throws IOException {
    notes.note(rejections);
  }

  /** Forgets the rejections, of which a person was told. */
  void told() throws IOException {
    notes.told();
  }

  @Override
  public void setAside(String reason, String message, long delivered) throws IOException {
    floor = delivered;
    notes.setAside(reason, message, delivered);
  }

  /** Lets go of the spool, and removes it if it holds nothing that anybody needs. */
  void close() throws IOException {
    if (closed) {
      return;
    }
    closed = true;
    if (undelivered() == 0 && !notes.untold()) {
      // The mark of what is delivered goes last: a crash in between must not bring frames back.
      for (Path segment : Segments.in(folder)) {
        Files.deleteIfExists(segment);
      }
      notes.remove();
      removeFolder();
    }
    release();
  }

  private void removeFolder() throws IOException {
    try {
      Files.deleteIfExists(folder);
    } catch (DirectoryNotEmptyException shared) {
      // What else lies there is somebody's.
      return;
    }
  }

  private void release() throws IOException {
    closeFile();
    reader.close();
    notes.close();
    lock.close();
  }
}
