package dev.runwire.client;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What the environment says, to processes of their own: nobody changes that of this one. */
@ExtendWith(ServerExtension.class)
class EnvironmentTest {
  @TempDir Path folder;

  /** Runs a program with variables set, and returns what it prints. */
  private static String said(Map<String, String> variables, String... command)
      throws IOException, InterruptedException {
    ProcessBuilder program =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
    program.environment().remove("XDG_STATE_HOME");
    program.environment().putAll(variables);
    Process process = program.start();
    String printed = new String(process.getInputStream().readAllBytes(), UTF_8);
    assertEquals(0, process.waitFor(), printed);
    return printed.strip();
  }

  private static String said(Map<String, String> variables, Class<?> main, Object... given)
      throws IOException, InterruptedException {
    String java = Paths.get(System.getProperty("java.home"), "bin", "java").toString();
    String classes = System.getProperty("java.class.path");
    List<String> command = new ArrayList<>(List.of(java, "-cp", classes, main.getName()));
    Stream.of(given).map(Object::toString).forEach(command::add);
    return said(variables, command.toArray(new String[0]));
  }

  /** Logs by a channel that leads to no server. */
  static final class LogsByChannel {
    public static void main(String[] arguments) {
      ManagedChannel channel =
          Grpc.newChannelBuilder("127.0.0.1:1", InsecureChannelCredentials.create()).build();
      RunwireClient client =
          Patience.client()
              .channel(channel)
              .spoolDir(Paths.get(arguments[0]))
              .retry(new Retry().connectTimeout(Duration.ofMillis(300)))
              .build();
      System.out.println(client.address());
      client.logger(client.beginRun(new RunSpec().experimentId("0"))).logMetric("m", 1);
      try {
        client.close();
      } catch (ServerUnavailableException away) {
        System.out.println(away.metadata().get("address"));
      }
      channel.shutdownNow();
    }
  }

  @Test
  void aChannelThatIsGivenGoesBeforeTheEnvironmentsServer() throws Exception {
    String printed =
        said(Map.of("RUNWIRE_TRACKING_URI", "runwire://127.0.0.1:2"), LogsByChannel.class, folder);
    assertEquals(List.of("127.0.0.1:1", "127.0.0.1:1"), List.of(printed.split("\n")));
    // Who delivers it says where to.
    assertEquals(List.of(""), addresses());
  }

  private List<String> addresses() throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      List<Path> segments =
          files.filter(file -> file.toString().endsWith(".segment")).collect(Collectors.toList());
      List<String> found = new java.util.ArrayList<>();
      for (Path segment : segments) {
        found.add(Segments.scan(segment).head.address);
      }
      return found;
    }
  }

  /** Prints where state is kept if not at home. */
  static final class PrintsState {
    public static void main(String[] arguments) {
      System.out.println(Places.temporaryState());
    }
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void stateThatIsNotAtHomeIsNamedByTheUsersNumber() throws Exception {
    String number = said(Map.of("LC_ALL", "C"), "id", "-u");
    String printed = said(Map.of("TMPDIR", folder.toString()), PrintsState.class);
    assertEquals(folder.resolve("runwire-state-" + number).toString(), printed);
  }

  @Test
  void stateThatIsNotAtHomeIsInAFolderOfTheUserAlone() throws IOException {
    Path made = Places.own(folder.resolve("made"));
    assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(made)));
    assertEquals(made, Places.own(made));
    Files.setPosixFilePermissions(made, PosixFilePermissions.fromString("rwxr-x---"));
    assertThrows(UncheckedIOException.class, () -> Places.own(made));
    Path elsewhere = Places.own(folder.resolve("elsewhere"));
    Path link = Files.createSymbolicLink(folder.resolve("link"), elsewhere);
    assertThrows(UncheckedIOException.class, () -> Places.own(link));
  }

  /** Starts two runs, and prints their ids. */
  static final class StartsRuns {
    public static void main(String[] arguments) {
      try (RunwireClient client =
          Patience.client().address(arguments[0]).spoolDir(Paths.get(arguments[1])).build()) {
        for (int i = 0; i < 2; i++) {
          RunSpec spec = RunSpec.named("r" + i).params(Map.of("p", i)).tags(Map.of("t", i));
          System.out.println(client.<String, RuntimeException>call(spec, RunLogger::runId));
        }
      }
    }
  }

  private List<String> started(ServerProcess server, String variable, String value)
      throws IOException, InterruptedException {
    String printed = said(Map.of(variable, value), StartsRuns.class, server.address(), folder);
    return List.of(printed.split("\n"));
  }

  @Test
  void runsGoIntoTheEnvironmentsExperiment(ServerProcess server) throws Exception {
    String name = "environment-" + Ids.hex();
    List<String> runIds = started(server, "RUNWIRE_EXPERIMENT", name);
    try (RunwireClient client = Patience.client().address(server.address()).build()) {
      String experimentId = client.getExperimentByName(name).orElseThrow().experimentId();
      for (String runId : runIds) {
        assertEquals(experimentId, client.getRun(runId).experimentId());
      }
    }
  }

  @Test
  void theFirstRunThatIsStartedIsTheEnvironments(ServerProcess server) throws Exception {
    try (RunwireClient client = Patience.client().address(server.address()).build()) {
      String runId = client.createRun(RunSpec.named("theirs")).runId();
      client.finishRun(runId, RunStatus.KILLED);
      List<String> runIds = started(server, "RUNWIRE_RUN_ID", runId);
      assertEquals(runId, runIds.get(0));
      assertNotEquals(runId, runIds.get(1));
      Run resumed = client.getRun(runId);
      assertEquals(RunStatus.FINISHED, resumed.status());
      assertEquals(Map.of("p", "0"), resumed.params());
      assertEquals("0", resumed.tags().get("t"));
    }
  }

  /** Asks a server which database it has, and prints why not. */
  static final class Asks {
    public static void main(String[] arguments) {
      try (RunwireClient client =
          Patience.client()
              .address(arguments[0])
              .retry(new Retry().connectTimeout(Duration.ofSeconds(Long.parseLong(arguments[1]))))
              .build()) {
        System.out.println(client.serverInfo().database());
      } catch (ServerUnavailableException refused) {
        System.out.println("refused");
      }
    }
  }

  @Test
  void theEnvironmentsCertificatesAreTrusted() throws Exception {
    Path pair = Paths.get("../../tests/client").toAbsolutePath().normalize();
    String certificate = pair.resolve("localhost.pem").toString();
    String key = pair.resolve("localhost.key").toString();
    try (ServerProcess server =
        new ServerProcess(folder, "--tls-cert", certificate, "--tls-key", key).start()) {
      String address = "runwires://" + server.address();
      assertEquals(
          "sqlite",
          said(Map.of("RUNWIRE_TLS_CA", certificate), Asks.class, address, Patience.SECONDS));
      assertEquals("refused", said(Map.of(), Asks.class, address, 3));
    }
  }

  /** Logs to a server that is away, and prints its address and where that waits. */
  static final class LogsToNowhere {
    public static void main(String[] arguments) {
      RunwireClient client =
          Patience.client()
              .address("runwire://127.0.0.1:1")
              .retry(new Retry().connectTimeout(Duration.ofMillis(300)))
              .build();
      System.out.println(client.address());
      client.logger(client.beginRun(new RunSpec().experimentId("0"))).logMetric("m", 1);
      try {
        client.close();
      } catch (ServerUnavailableException away) {
        System.out.println(Paths.get(away.metadata().get("spool")).getParent());
      }
    }
  }

  static Stream<Arguments> homes() {
    return Stream.of(
        Arguments.of("HOME", "home/.local/state"), Arguments.of("XDG_STATE_HOME", "home"));
  }

  @ParameterizedTest
  @MethodSource("homes")
  void spoolsOfAServerLieInTheUsersState(String variable, String state) throws Exception {
    Path home = folder.resolve("home");
    String printed = said(Map.of(variable, home.toString()), LogsToNowhere.class);
    String[] lines = printed.split("\n");
    byte[] hash = MessageDigest.getInstance("SHA-256").digest(lines[0].getBytes(UTF_8));
    String name = Ids.toHex(hash).substring(0, 16);
    assertEquals(folder.resolve(state).resolve("runwire/spool").resolve(name).toString(), lines[1]);
    assertEquals("rwx------", permissions(folder.resolve(state).resolve("runwire/spool")));
  }

  private static String permissions(Path path) throws IOException {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
  }
}
