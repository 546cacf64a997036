package dev.runwire.client;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A real server as a child process, for tests; {@link #start} and {@link #kill} may alternate.
 *
 * <p>What starts it is told by the system property {@code runwire.server.command} or the variable
 * {@code RUNWIRE_SERVER_COMMAND}, and is {@code .venv/bin/runwire} of the repository by default.
 */
public final class ServerProcess implements AutoCloseable {
  private static final Pattern READY = Pattern.compile("ready at (?:runwires?://)?(\\S+)");

  private final Path folder;
  private final List<String> arguments;
  private Process process;
  private long pid;
  private String address = "";
  private String port = "0";

  /**
   * Describes a server.
   *
   * @param folder a folder of its own, made if there is none
   * @param arguments further arguments of {@code runwire server}
   */
  public ServerProcess(Path folder, String... arguments) {
    this.folder = folder;
    this.arguments = List.of(arguments);
  }

  /** The command that is {@code runwire}. */
  public static String command() {
    String property = System.getProperty("runwire.server.command", "");
    String variable = System.getenv("RUNWIRE_SERVER_COMMAND");
    if (!property.isEmpty()) {
      return property;
    }
    if (variable != null && !variable.isEmpty()) {
      return variable;
    }
    Path there = Paths.get("").toAbsolutePath();
    while (there != null && !Files.exists(there.resolve("protos/runwire"))) {
      there = there.getParent();
    }
    if (there == null) {
      throw new IllegalStateException("the tests have to run inside of the repository");
    }
    return there.resolve(".venv/bin/runwire").toString();
  }

  /** Starts it, and waits until it is ready. */
  public ServerProcess start() {
    try {
      Files.createDirectories(folder);
      Path log = folder.resolve("server.log");
      Path told = folder.resolve("ready.json");
      process =
          new ProcessBuilder(line(told))
              .redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()))
              .start();
      BufferedReader output =
          new BufferedReader(
              new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
      String said = output.readLine();
      Matcher ready = READY.matcher(said == null ? "" : said);
      if (!ready.find()) {
        throw new IllegalStateException(
            "the server did not start: " + said + "\n" + Files.readString(log));
      }
      address = ready.group(1);
      Matcher number = Pattern.compile("\"pid\": *(\\d+)").matcher(Files.readString(told));
      pid = number.find() ? Long.parseLong(number.group(1)) : process.pid();
      if (!address.startsWith("unix:")) {
        port = address.substring(address.lastIndexOf(':') + 1);
      }
      return this;
    } catch (IOException failed) {
      throw new UncheckedIOException(
          "the tests need a server: " + command() + " can not be run", failed);
    }
  }

  private List<String> line(Path told) {
    List<String> line =
        new ArrayList<>(
            List.of(
                command(),
                "server",
                "--data-dir",
                folder.resolve("data").toString(),
                "--grpc-port",
                port,
                "--ready-file",
                told.toString()));
    line.addAll(arguments);
    return line;
  }

  /** Where it listens: {@code host:port}, the same over restarts, or {@code unix:path}. */
  public String address() {
    return address;
  }

  /** The folder that holds its data. */
  public Path dataDir() {
    return folder.resolve("data");
  }

  /** Ends it as kill -9 does. */
  public void kill() {
    ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly);
    process.destroyForcibly();
    await();
  }

  /** Asks it to stop, and waits until it has. */
  public void stop() {
    ProcessHandle.of(pid).ifPresent(ProcessHandle::destroy);
    await();
  }

  private void await() {
    try {
      process.waitFor();
      ProcessHandle.of(pid).ifPresent(handle -> handle.onExit().join());
      process = null;
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    if (process != null) {
      kill();
    }
  }
}
