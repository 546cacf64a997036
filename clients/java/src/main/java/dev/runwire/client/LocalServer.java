package dev.runwire.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Finds the running server of a folder, by the pointer that it left there. */
final class LocalServer {
  private static final String POINTER = "server.json";
  private static final String LOCK = "runwire.lock";

  // What processes have locked, of Linux: "3: FLOCK  ADVISORY  WRITE 22339 fe:00:10782659 0 EOF".
  private static final Path LOCKS = Paths.get("/proc/locks");

  private static final Pattern ADDRESS = Pattern.compile("\"address\"\\s*:\\s*\"([^\"\\\\]+)\"");

  private static final Pattern PID = Pattern.compile("\"pid\"\\s*:\\s*(\\d{1,18})");

  private LocalServer() {}

  static Address find(Path folder) {
    String said;
    try {
      said = Files.readString(folder.resolve(POINTER));
    } catch (NoSuchFileException none) {
      throw failed(folder, "has no server", none);
    } catch (IOException wrong) {
      throw failed(folder, "can not be read: " + wrong.getMessage(), wrong);
    }
    Matcher found = ADDRESS.matcher(said);
    if (!found.find()) {
      throw failed(folder, "does not say where its server listens", null);
    }
    if (!isOwned(folder, said)) {
      // Who ended without saying so leaves the pointer, and somebody else may listen there now.
      throw failed(folder, "has no server any more", null);
    }
    return Address.parse(found.group(1));
  }

  /** Says whether a server holds the folder's lock; where nobody tells, whether one may live. */
  private static boolean isOwned(Path folder, String pointer) {
    String locks;
    try {
      // Java has no flock to try it with.
      locks = Files.readString(LOCKS);
    } catch (IOException untold) {
      Matcher pid = PID.matcher(pointer);
      return !pid.find() || ProcessHandle.of(Long.parseLong(pid.group(1))).isPresent();
    }
    try {
      // By the inode alone: on overlays and btrfs, the device there is not the one of the file.
      Object inode = Files.getAttribute(folder.resolve(LOCK), "unix:ino");
      return Pattern.compile("(?m)^\\d+: FLOCK +ADVISORY +WRITE +\\S+ +\\w+:\\w+:" + inode + " ")
          .matcher(locks)
          .find();
    } catch (NoSuchFileException none) {
      return false;
    } catch (IOException wrong) {
      throw failed(folder, "can not be read: " + wrong.getMessage(), wrong);
    }
  }

  private static ServerUnavailableException failed(Path folder, String what, Throwable cause) {
    return new ServerUnavailableException(
        new Failure(
                folder
                    + " "
                    + what
                    + ". Start one with `runwire server --data-dir "
                    + folder
                    + "`, or name another with RUNWIRE_TRACKING_URI")
            .fact("folder", folder.toString())
            .cause(cause));
  }
}
