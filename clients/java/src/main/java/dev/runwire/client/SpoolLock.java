package dev.runwire.client;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Says who has a spool: the one process that writes it, or delivers it once its writer is gone.
 *
 * <p>Java has record locks ({@code fcntl}) and no others, so all who write a spool or take one over
 * hold such a lock too. It ends with the process, or when the process closes any descriptor of the
 * file: so nobody opens the lock file of a spool that is held in this process.
 */
final class SpoolLock implements AutoCloseable {
  // Of the whole process, as record locks are: also where this class is loaded more than once.
  private static final String HELD = "dev.runwire.client.spool.";

  private final FileChannel file;
  private final String writerId;

  private SpoolLock(FileChannel file, String writerId) {
    this.file = file;
    this.writerId = writerId;
  }

  /**
   * Says whether anybody has a spool. The pid in the file is for people: it may be of another
   * machine's or container's processes.
   */
  static boolean isHeld(Path folder) throws IOException {
    if (System.getProperty(HELD + folder.getFileName()) != null) {
      return true;
    }
    try (FileChannel file = FileChannel.open(folder.resolve("lock"), StandardOpenOption.WRITE);
        FileLock taken = file.tryLock()) {
      return taken == null;
    } catch (NoSuchFileException gone) {
      return false;
    } catch (OverlappingFileLockException here) {
      return true;
    }
  }

  /** Takes a spool that was just made. */
  static SpoolLock take(Path folder, String writerId) throws IOException {
    FileChannel file = Segments.open(folder.resolve("lock"));
    System.setProperty(HELD + writerId, "held");
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
      System.clearProperty(HELD + writerId);
      throw new IOException("the spool " + folder + " can not be locked", failed);
    }
  }

  @Override
  public void close() throws IOException {
    file.close();
    System.clearProperty(HELD + writerId);
  }
}
