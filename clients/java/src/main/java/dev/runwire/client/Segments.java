package dev.runwire.client;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.runwire.v1.Group;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.zip.CRC32;

/**
 * The bytes of a spool: what a segment file holds, and how it is read when its end is torn.
 *
 * <p>A segment starts with the 8 bytes {@code RWSPOOL1}; entries follow, without gaps. All numbers
 * are little-endian:
 *
 * <pre>
 * entry      u32 size of the body, u32 CRC-32 (of zlib) of kind and body, u8 kind, body
 * kind 1     head, the first entry: 16 bytes writer id, u64 sequence of the segment's first frame,
 *            u32 chained CRC of the frame before it, u16 size of an address, the address in UTF-8
 * kind 2     group: a serialised Group. Groups that frames of the segment name stand before them
 * kind 3     frame: u64 sequence, u32 chained CRC of the frame before it, the payload
 * kind 4     rejection: a serialised Rejection (in the file "rejections" only, which has no head)
 * </pre>
 *
 * <p>Each segment can be read alone. An entry that is cut short, or whose CRC is wrong, ends the
 * segment: a process or a machine stopped while it was written.
 */
final class Segments {
  static final byte[] MAGIC = "RWSPOOL1".getBytes(StandardCharsets.US_ASCII);
  static final int HEAD = 1;
  static final int GROUP = 2;
  static final int FRAME = 3;
  static final int REJECTION = 4;

  private static final int ENTRY_BYTES = 9;
  private static final int HEAD_BYTES = 30;
  private static final int FRAME_BYTES = 12;
  // No entry is larger; a size beyond it is garbage, and not worth the memory of reading on.
  private static final int MOST_BYTES = 64 * 1024 * 1024;

  private Segments() {}

  /** One segment file. */
  static final class Segment {
    final Path path;

    /** The place in front of its first frame. */
    final Mark before;

    /** Sequence of its last frame; that of {@code before} if it has none. */
    long last;

    /** Bytes of its whole entries. */
    long size;

    Segment(Path path, Mark before, long last, long size) {
      this.path = path;
      this.before = before;
      this.last = last;
      this.size = size;
    }
  }

  static ByteBuffer buffer(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }

  static ByteBuffer wrap(byte[] data) {
    return ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Writes an entry. */
  static byte[] entry(int kind, byte[] body) {
    return buffer(ENTRY_BYTES + body.length)
        .putInt(body.length)
        .putInt(crc(kind, body))
        .put((byte) kind)
        .put(body)
        .array();
  }

  private static int crc(int kind, byte[] body) {
    CRC32 crc = new CRC32();
    crc.update(kind);
    crc.update(body);
    return (int) crc.getValue();
  }

  /** Writes what a segment starts with. */
  static byte[] head(String writerId, Mark before, String address) {
    byte[] text = address.getBytes(StandardCharsets.UTF_8);
    byte[] body =
        buffer(HEAD_BYTES + text.length)
            .put(Ids.fromHex(writerId))
            .putLong(before.sequence + 1)
            .putInt(before.crc)
            .putShort((short) text.length)
            .put(text)
            .array();
    byte[] entry = entry(HEAD, body);
    return buffer(MAGIC.length + entry.length).put(MAGIC).put(entry).array();
  }

  /** Writes a frame's entry. */
  static byte[] frame(long sequence, int previousCrc, byte[] payload) {
    byte[] body =
        buffer(FRAME_BYTES + payload.length)
            .putLong(sequence)
            .putInt(previousCrc)
            .put(payload)
            .array();
    return entry(FRAME, body);
  }

  /** Finds the segments of a spool, in the order of their frames. */
  static List<Path> in(Path folder) throws IOException {
    List<Path> found = new ArrayList<>();
    try (DirectoryStream<Path> all = Files.newDirectoryStream(folder, "*.segment")) {
      all.forEach(found::add);
    } catch (DirectoryIteratorException failed) {
      throw failed.getCause();
    }
    Collections.sort(found);
    return found;
  }

  /** Opens a file for reading and writing, made for its owner alone if there is none. */
  static FileChannel open(Path path, OpenOption... more) throws IOException {
    Set<OpenOption> options = new HashSet<>(Arrays.asList(more));
    options.addAll(
        Set.of(StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE));
    if (!path.getFileSystem().supportedFileAttributeViews().contains("posix")) {
      return FileChannel.open(path, options);
    }
    return FileChannel.open(
        path,
        options,
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
  }

  /** Writes at a place of a file, and leaves no part there if not all of it fits on the disk. */
  static void writeWhole(FileChannel file, byte[] data, long at) throws IOException {
    ByteBuffer rest = ByteBuffer.wrap(data);
    try {
      while (rest.hasRemaining()) {
        file.write(rest, at + rest.position());
      }
    } catch (IOException failed) {
      file.truncate(at);
      throw failed;
    }
  }

  /** Reads the entries of a file, up to the first that is not whole. */
  static final class Entries implements AutoCloseable {
    private final FileChannel file;

    /** Where the next entry starts. */
    long at;

    int kind;
    byte[] body;

    Entries(Path path, long start) throws IOException {
      file = FileChannel.open(path, StandardOpenOption.READ);
      at = start;
    }

    boolean startsWithMagic() throws IOException {
      byte[] found = read(0, MAGIC.length);
      return found != null && Arrays.equals(found, MAGIC);
    }

    /** Reads the next entry; returns whether there is a whole one before {@code end}. */
    boolean next(long end) throws IOException {
      byte[] front = at + ENTRY_BYTES > end ? null : read(at, ENTRY_BYTES);
      if (front == null) {
        return false;
      }
      ByteBuffer told = wrap(front);
      int size = told.getInt();
      int crc = told.getInt();
      int found = told.get() & 0xff;
      if (size < 0 || size > MOST_BYTES || at + ENTRY_BYTES + size > end) {
        return false;
      }
      byte[] data = read(at + ENTRY_BYTES, size);
      if (data == null || crc(found, data) != crc) {
        return false;
      }
      kind = found;
      body = data;
      at += ENTRY_BYTES + size;
      return true;
    }

    private byte[] read(long from, int size) throws IOException {
      ByteBuffer to = ByteBuffer.allocate(size);
      while (to.hasRemaining()) {
        if (file.read(to, from + to.position()) < 0) {
          return null;
        }
      }
      return to.array();
    }

    @Override
    public void close() throws IOException {
      file.close();
    }
  }

  /** What the body of a head says. */
  static final class Head {
    final String writerId;
    final Mark before;
    final String address;

    Head(byte[] body) {
      ByteBuffer from = wrap(body);
      byte[] id = new byte[16];
      from.get(id);
      writerId = Ids.toHex(id);
      long first = from.getLong();
      before = new Mark(first - 1, from.getInt());
      byte[] text = new byte[from.getShort() & 0xffff];
      from.get(text);
      address = new String(text, StandardCharsets.UTF_8);
    }
  }

  /** Reads the body of a frame. */
  static Stored readFrame(byte[] body, Map<?, Group> groups) {
    ByteBuffer from = wrap(body);
    long sequence = from.getLong();
    int crc = from.getInt();
    byte[] payload = Arrays.copyOfRange(body, FRAME_BYTES, body.length);
    return new Stored(sequence, crc, payload, groups.values());
  }

  /** Reads the frames of one segment in their order, also while more are written behind them. */
  static final class Cursor implements AutoCloseable {
    final Segment segment;
    long next;
    private final Entries entries;
    private final Map<Object, Group> groups = new LinkedHashMap<>();

    Cursor(Segment segment) throws IOException {
      this.segment = segment;
      this.entries = new Entries(segment.path, MAGIC.length);
      this.next = segment.before.sequence + 1;
    }

    /**
     * Reads on to a frame, at or behind {@code next}; returns it with all groups that stand before
     * it, or null if the segment has none such yet.
     */
    Stored read(long sequence) throws IOException {
      while (entries.next(segment.size)) {
        if (entries.kind == GROUP) {
          Group group = group(entries.body);
          groups.put(group.getHash(), group);
        } else if (entries.kind == FRAME) {
          Stored found = readFrame(entries.body, groups);
          next = found.sequence + 1;
          if (found.sequence == sequence) {
            return found;
          }
        }
      }
      return null;
    }

    @Override
    public void close() throws IOException {
      entries.close();
    }
  }

  private static Group group(byte[] body) throws IOException {
    try {
      return Group.parseFrom(body);
    } catch (InvalidProtocolBufferException wrong) {
      throw new IOException("a group in a spool can not be read", wrong);
    }
  }

  /** Finds a frame's chained CRC; null if the segment has no such frame. */
  static Integer crcIn(Segment segment, long sequence) throws IOException {
    try (Cursor cursor = new Cursor(segment)) {
      Stored found = cursor.read(sequence);
      return found == null ? null : (Integer) Writer.chained(found.previousCrc, found.payload);
    }
  }

  /** A segment read from its start to its end, or to where it is torn. */
  static final class Scan {
    /** What its head says; null if not even that is whole. */
    final Head head;

    /** The segment, as far as it is whole. */
    final Segment segment;

    /** The place of its last whole frame. */
    final Mark end;

    /** How many bytes at its end are not whole. */
    final long torn;

    private Scan(Head head, Segment segment, Mark end, long torn) {
      this.head = head;
      this.segment = segment;
      this.end = end;
      this.torn = torn;
    }
  }

  static Scan scan(Path path) throws IOException {
    try (Entries entries = new Entries(path, MAGIC.length)) {
      long size = Files.size(path);
      Head head = null;
      Mark end = Mark.START;
      long whole = 0;
      boolean good = entries.startsWithMagic();
      while (good && entries.next(size)) {
        if (head == null) {
          good = entries.kind == HEAD;
          head = good ? new Head(entries.body) : null;
          end = good ? head.before : end;
        } else if (entries.kind == FRAME) {
          Stored frame = readFrame(entries.body, Map.of());
          good = frame.sequence == end.sequence + 1 && frame.previousCrc == end.crc;
          end = good ? new Mark(frame.sequence, Writer.chained(end.crc, frame.payload)) : end;
        }
        whole = good ? entries.at : whole;
      }
      Mark before = head == null ? Mark.START : head.before;
      return new Scan(head, new Segment(path, before, end.sequence, whole), end, size - whole);
    }
  }
}
