package dev.runwire.client;

import dev.runwire.v1.Rejection;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32;

/**
 * What lies beside the segments of a spool: how far it is delivered, what was rejected, and why its
 * writer is over.
 */
final class SpoolNotes {
  // In the order in which they are removed.
  private static final List<String> NAMES =
      List.of("rejections", "aside", "successor", "successor.new", "acked", "lock");
  private static final int MARK_BYTES = 16;
  private static final Pattern DELIVERED = Pattern.compile("\"delivered\"\\s*:\\s*(\\d{1,18})");

  private final Path folder;
  private FileChannel markFile;

  SpoolNotes(Path folder) {
    this.folder = folder;
  }

  /** Writes how far the frames are acknowledged. */
  void acknowledge(Mark mark) {
    byte[] data = Segments.buffer(12).putLong(mark.sequence).putInt(mark.crc).array();
    byte[] whole = Segments.buffer(MARK_BYTES).put(data).putInt(crc(data)).array();
    try {
      if (markFile == null) {
        markFile = Segments.open(folder.resolve("acked"));
      }
      markFile.write(ByteBuffer.wrap(whole), 0);
    } catch (IOException full) {
      // A mark that a full disk does not take is a longer welcome, and no loss. Opened anew the
      // next time: the thread may have been interrupted, which closes a channel.
      forget();
    }
  }

  private void forget() {
    try {
      close();
    } catch (IOException failed) {
      markFile = null;
    }
  }

  private static int crc(byte[] data) {
    CRC32 crc = new CRC32();
    crc.update(data);
    return (int) crc.getValue();
  }

  /** Reads how far the frames are acknowledged; null if that is not there, or not whole. */
  Mark acked() throws IOException {
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
    return told.getInt() == crc(Arrays.copyOf(data, 12)) ? mark : null;
  }

  private Path rejections() {
    return folder.resolve("rejections");
  }

  /** Keeps rejections, synced, until a person was told of them. */
  void note(List<Rejection> rejections) throws IOException {
    if (rejections.isEmpty()) {
      return;
    }
    ByteArrayOutputStream data = new ByteArrayOutputStream();
    for (Rejection one : rejections) {
      data.writeBytes(Segments.entry(Segments.REJECTION, one.toByteArray()));
    }
    try (FileChannel notes = Segments.open(rejections())) {
      Segments.writeWhole(notes, data.toByteArray(), notes.size());
      notes.force(true);
    }
  }

  /** Whether there are rejections that nobody was told of. */
  boolean untold() {
    return Files.exists(rejections());
  }

  /** Forgets the rejections, of which a person was told. */
  void told() throws IOException {
    Files.deleteIfExists(rejections());
  }

  /** Writes why the frames can not go on as their writer, and the last that the server has. */
  void setAside(String reason, String message, long delivered) throws IOException {
    String text =
        "{\"reason\": "
            + quoted(reason)
            + ", \"message\": "
            + quoted(message)
            + ", \"delivered\": "
            + delivered
            + "}";
    try (FileChannel aside =
        Segments.open(folder.resolve("aside"), StandardOpenOption.TRUNCATE_EXISTING)) {
      Segments.writeWhole(aside, text.getBytes(StandardCharsets.US_ASCII), 0);
    }
  }

  /** Writes a text as JSON has it. */
  private static String quoted(String text) {
    StringBuilder made = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') {
        made.append('\\').append(c);
      } else if (c < 0x20 || c > 0x7e) {
        made.append(String.format("\\u%04x", (int) c));
      } else {
        made.append(c);
      }
    }
    return made.append('"').toString();
  }

  /** Reads the last frame that the server has of a writer that is over; null if it is not. */
  Long delivered() throws IOException {
    try {
      Matcher found = DELIVERED.matcher(Files.readString(folder.resolve("aside")));
      return found.find() ? Long.valueOf(found.group(1)) : null;
    } catch (NoSuchFileException none) {
      return null;
    }
  }

  /** Removes all notes, and the lock. */
  void remove() throws IOException {
    for (String name : NAMES) {
      Files.deleteIfExists(folder.resolve(name));
    }
  }

  void close() throws IOException {
    if (markFile != null) {
      markFile.close();
      markFile = null;
    }
  }
}
