package dev.runwire.client;

import com.google.protobuf.ByteString;
import dev.runwire.v1.Group;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/**
 * Writes blocks and records in the protobuf wire format, straight from arrays.
 *
 * <p>The generated classes would turn each number into an object and back. Here a column of a block
 * is the bytes of an array behind a tag and a length, which is what a packed field of fixed width
 * is on the wire.
 */
final class Wire {
  /** From this many keys on a block may name its keys by a group. */
  static final int GROUP_KEYS = 9;

  // Tags: field number << 3 | wire type (1: 8 bytes, 2: length and bytes).
  private static final int KEY = 0x0a;
  private static final int GROUP = 0x12;
  private static final int STEPS = 0x1a;
  private static final int RANGE = 0x22;
  private static final int TIMES = 0x2a;
  private static final int VALUES = 0x32;
  private static final int STEP_LIST = 0x0a;
  private static final int FIRST = 0x09;
  private static final int STRIDE = 0x11;
  private static final int RUN_ID = 0x0a;
  private static final int BLOCK = 0x12;
  private static final int BATCH = 0x1a;
  private static final int RECORD = 0x0a;
  private static final int RANGE_BYTES = 18;

  private Wire() {}

  private static int varintSize(int number) {
    int size = 1;
    for (int rest = number >>> 7; rest != 0; rest >>>= 7) {
      size++;
    }
    return size;
  }

  private static int fieldSize(int length) {
    return 1 + varintSize(length) + length;
  }

  private static ByteBuffer open(ByteBuffer to, int tag, int length) {
    to.put((byte) tag);
    int rest = length;
    for (; rest >= 128; rest >>>= 7) {
      to.put((byte) (rest & 127 | 128));
    }
    return to.put((byte) rest);
  }

  private static ByteBuffer buffer(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Writes the keys of a block. */
  static byte[] names(List<String> keys) {
    ByteArrayOutputStream found = new ByteArrayOutputStream();
    for (String key : keys) {
      byte[] text = key.getBytes(StandardCharsets.UTF_8);
      found.writeBytes(field(KEY, text));
    }
    return found.toByteArray();
  }

  /** Writes the group that stands for the keys of a block. */
  static byte[] named(Group group) {
    return field(GROUP, group.getHash().toByteArray());
  }

  private static byte[] field(int tag, byte[] data) {
    return open(buffer(fieldSize(data.length)), tag, data.length).put(data).array();
  }

  /**
   * Writes a block.
   *
   * @param header what {@link #names} or {@link #named} wrote
   * @param steps the steps; regular ones, the usual case, take 20 bytes, others 8 each
   * @param times as many times, unix ms
   * @param values the rows' values, of which a row has {@code width}
   * @param start the first row
   * @param end behind the last row
   * @param from the first column
   * @param to behind the last column
   */
  static byte[] block(
      byte[] header,
      long[] steps,
      long[] times,
      double[] values,
      int width,
      int start,
      int end,
      int from,
      int to) {
    int rows = end - start;
    boolean regular = isRegular(steps, start, end);
    int listed = fieldSize(8 * rows);
    int axis = regular ? RANGE_BYTES : listed;
    int cells = 8 * rows * (to - from);
    ByteBuffer made =
        buffer(header.length + fieldSize(axis) + fieldSize(8 * rows) + fieldSize(cells));
    made.put(header);
    open(made, regular ? RANGE : STEPS, axis);
    if (regular) {
      long stride = rows > 1 ? steps[start + 1] - steps[start] : 0;
      made.put((byte) FIRST).putLong(steps[start]).put((byte) STRIDE).putLong(stride);
    } else {
      open(made, STEP_LIST, 8 * rows);
      putLongs(made, steps, start, rows);
    }
    open(made, TIMES, 8 * rows);
    putLongs(made, times, start, rows);
    open(made, VALUES, cells);
    if (to - from == width) {
      made.asDoubleBuffer().put(values, start * width, rows * width);
    } else {
      for (int row = start; row < end; row++) {
        made.asDoubleBuffer().put(values, row * width + from, to - from);
        made.position(made.position() + 8 * (to - from));
      }
    }
    return made.array();
  }

  private static void putLongs(ByteBuffer to, long[] from, int start, int count) {
    to.asLongBuffer().put(from, start, count);
    to.position(to.position() + 8 * count);
  }

  private static boolean isRegular(long[] steps, int start, int end) {
    if (end - start < 2) {
      return true;
    }
    long stride = steps[start + 1] - steps[start];
    for (int i = start + 1; i < end; i++) {
      long step = steps[i] - steps[i - 1];
      // A distance that overflowed is none that the server could go.
      boolean overflow = ((steps[i] ^ steps[i - 1]) & (steps[i] ^ step)) < 0;
      if (step != stride || overflow) {
        return false;
      }
    }
    return true;
  }

  /** Makes the record that adds blocks to a run. */
  static byte[] batch(String runId, List<byte[]> blocks) {
    byte[] id = runId.getBytes(StandardCharsets.UTF_8);
    int size = fieldSize(id.length);
    for (byte[] block : blocks) {
      size += fieldSize(block.length);
    }
    ByteBuffer made = buffer(fieldSize(size));
    open(made, BATCH, size);
    open(made, RUN_ID, id.length).put(id);
    for (byte[] block : blocks) {
      open(made, BLOCK, block.length).put(block);
    }
    return made.array();
  }

  /** Makes the payload of a frame. */
  static byte[] payload(List<byte[]> records) {
    int size = 0;
    for (byte[] record : records) {
      size += fieldSize(record.length);
    }
    ByteBuffer made = buffer(size);
    for (byte[] record : records) {
      open(made, RECORD, record.length).put(record);
    }
    return made.array();
  }

  /** Makes the declaration of a group, named by the hash of its keys. */
  static Group group(List<String> keys) {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    for (String key : keys) {
      text.writeBytes(key.getBytes(StandardCharsets.UTF_8));
      text.write(0);
    }
    byte[] hash = Arrays.copyOf(Ids.sha256(text.toByteArray()), 16);
    return Group.newBuilder().setHash(ByteString.copyFrom(hash)).addAllKeys(keys).build();
  }
}
