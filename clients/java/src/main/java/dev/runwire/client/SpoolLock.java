package dev.runwire.client;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Says who has a spool: the one process that writes it, or delivers it once its writer is gone.
 *
 * <p>Java has record locks ({@code fcntl}) and no others, so who takes a spool over asks for such a
 * lock too. It ends with the process, or when the process closes any descriptor of the file: so
 * nothing else here opens the lock file of a spool.
 */
final class SpoolLock implements AutoCloseable {
  // Of the whole process, as record locks are.
  private static final Set<String> HELD = ConcurrentHashMap.newKeySet();

  private final FileChannel file;
  private final String writerId;

  private SpoolLock(FileChannel file, String writerId) {
    this.file = file;
    this.writerId = writerId;
  }

  /** Says whether a process that is alive has a spool, as far as its lock file tells. */
  static boolean isHeld(Path folder) throws IOException {
    if (HELD.contains(folder.getFileName().toString())) {
      return true;
    }
    try {
      String pid = Files.readString(folder.resolve("lock")).strip();
      return pid.isEmpty() || ProcessHandle.of(Long.parseLong(pid)).isPresent();
    } catch (NoSuchFileException gone) {
      return false;
    } catch (NumberFormatException garbled) {
      return true;
    }
  }

  /** Takes a spool that was just made. */
  static SpoolLock take(Path folder, String writerId) throws IOException {
    FileChannel file = Segments.open(folder.resolve("lock"));
    HELD.add(writerId);
    try {
      FileLock held = file.tryLock();
      if (held == null) {
        throw new IOException("the spool " + folder + " is in use by another process");
      }
      String pid = Long.toString(ProcessHandle.current().pid());
      file.truncate(0);
      file.write(ByteBuffer.wrap(pid.getBytes(StandardCharsets.US_ASCII)), 0);
      return new SpoolLock(file, writerId);
    } catch (IOException | OverlappingFileLockException failed) {
      file.close();
      HELD.remove(writerId);
      throw new IOException("the spool " + folder + " can not be locked", failed);
    }
  }

  @Override
  public void close() throws IOException {
    file.close();
    HELD.remove(writerId);
  }
}
