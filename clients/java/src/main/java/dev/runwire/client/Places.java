package dev.runwire.client;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Locale;
import java.util.Set;

/** Where the server is, and where a client keeps what is not delivered. */
final class Places {
  final Address address;
  final String spoolAddress;
  final Mode mode;
  final Path spoolRoot;
  final Path tlsCa;

  Places(RunwireClient.Builder given) {
    mode = mode(given.mode);
    String named = named(given);
    boolean brought = named.isEmpty() && given.channel != null;
    if (named.isEmpty() && !brought && mode == Mode.ONLINE) {
      throw new IllegalArgumentException(
          "no server is named: give an address such as runwire://127.0.0.1:50051, or set"
              + " RUNWIRE_TRACKING_URI");
    }
    // Offline nobody is asked, and a channel may lead anywhere: spools that name no server are for
    // whatever server they are delivered to.
    address =
        brought
            ? Address.of(given.channel)
            : Address.parse(named.isEmpty() ? "./runwire-data" : named);
    spoolAddress = named.isEmpty() ? "" : address.text;
    spoolRoot = spoolRoot(given.spoolDir);
    tlsCa = tlsCa(given.tlsCa);
  }

  private static String named(RunwireClient.Builder given) {
    if (given.address == null && given.channel != null) {
      // The environment's server may be another one than the channel's.
      return "";
    }
    return given.address != null ? given.address : variable("RUNWIRE_TRACKING_URI");
  }

  /** Reads a variable of the environment; empty if it is not set. */
  static String variable(String name) {
    String found = System.getenv(name);
    return found == null ? "" : found;
  }

  /** The user's home, as shells have it. */
  static String home() {
    String named = variable("HOME");
    return named.isEmpty() ? System.getProperty("user.home") : named;
  }

  private static Mode mode(Mode given) {
    if (given != null) {
      return given;
    }
    String named = variable("RUNWIRE_MODE");
    if (!named.isEmpty() && !named.equals("online") && !named.equals("offline")) {
      throw new IllegalArgumentException(
          "the mode must be 'online' or 'offline', and RUNWIRE_MODE is '" + named + "'");
    }
    return named.isEmpty() ? Mode.ONLINE : Mode.valueOf(named.toUpperCase(Locale.ROOT));
  }

  private Path tlsCa(Path given) {
    if (given != null && !address.secure) {
      throw new IllegalArgumentException(
          "tlsCa is for runwires:// addresses, and " + address.text + " is plain text");
    }
    String named = variable("RUNWIRE_TLS_CA");
    Path found = given != null || named.isEmpty() ? given : Paths.get(named);
    if (found != null && address.secure && !Files.isReadable(found)) {
      throw new IllegalArgumentException("the file of certificates " + found + " can not be read");
    }
    return address.secure ? found : null;
  }

  private Path spoolRoot(Path given) {
    String named = variable("RUNWIRE_SPOOL_DIR");
    if (given != null) {
      return given.toAbsolutePath().normalize();
    }
    if (!named.isEmpty()) {
      return Paths.get(named.startsWith("~/") ? home() + named.substring(1) : named)
          .toAbsolutePath()
          .normalize();
    }
    if (mode == Mode.OFFLINE) {
      return Paths.get("runwire-offline").toAbsolutePath();
    }
    return state().resolve("spool").resolve(Ids.sha256Hex(address.text, 16));
  }

  /** Finds the user's folder for state; containers may have no home that can be written. */
  private static Path state() {
    String named = variable("XDG_STATE_HOME");
    Path home = named.isEmpty() ? Paths.get(home(), ".local", "state") : Paths.get(named);
    Path there = home.toAbsolutePath();
    while (!Files.exists(there) && there.getParent() != null) {
      there = there.getParent();
    }
    if (Files.isWritable(there)) {
      return home.resolve("runwire").toAbsolutePath();
    }
    return own(temporaryState());
  }

  /** The user's folder for state where the home has none. */
  static Path temporaryState() {
    String named = variable("TMPDIR");
    String temporary = named.isEmpty() ? System.getProperty("java.io.tmpdir") : named;
    return Paths.get(temporary, "runwire-state-" + userId()).toAbsolutePath();
  }

  /** Makes a folder where everybody may, which others could have made before to read what comes. */
  static Path own(Path folder) {
    Set<PosixFilePermission> alone = PosixFilePermissions.fromString("rwx------");
    try {
      try {
        Files.createDirectory(folder, PosixFilePermissions.asFileAttribute(alone));
      } catch (FileAlreadyExistsException there) {
        PosixFileAttributes found =
            Files.readAttributes(folder, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        if (!found.isDirectory()
            || !alone.containsAll(found.permissions())
            || !Files.getAttribute(folder, "unix:uid", LinkOption.NOFOLLOW_LINKS).equals(uid())) {
          throw new AccessDeniedException(
              folder.toString(), null, "it is not a folder of this user alone");
        }
      }
      return folder;
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** The user's number. Java does not tell it, and a process's entry is its user's. */
  private static Object uid() throws IOException {
    return Files.getAttribute(Paths.get("/proc/self"), "unix:uid");
  }

  private static String userId() {
    try {
      return Integer.toUnsignedString((Integer) uid());
    } catch (IOException | UnsupportedOperationException none) {
      return System.getProperty("user.name", "user");
    }
  }
}
