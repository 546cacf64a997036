package dev.runwire.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Finds the running server of a folder, by the pointer that it left there. */
final class LocalServer {
  private static final String POINTER = "server.json";
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
    Matcher pid = PID.matcher(said);
    if (pid.find() && ProcessHandle.of(Long.parseLong(pid.group(1))).isEmpty()) {
      // Who ended without saying so leaves the pointer, and somebody else may listen there now.
      throw failed(folder, "has no server any more", null);
    }
    return Address.parse(found.group(1));
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
