package dev.runwire.client;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.time.Duration;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** What the environment says, to processes of their own: nobody changes that of this one. */
class EnvironmentTest {
  @TempDir Path folder;

  /** Runs a program with a variable set, and returns what it prints. */
  private static String said(String variable, String value, String... command)
      throws IOException, InterruptedException {
    ProcessBuilder program =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
    program.environment().put(variable, value);
    Process process = program.start();
    String printed = new String(process.getInputStream().readAllBytes(), UTF_8);
    assertEquals(0, process.waitFor(), printed);
    return printed.strip();
  }

  private static String said(String variable, String value, Class<?> main, Path given)
      throws IOException, InterruptedException {
    String java = Paths.get(System.getProperty("java.home"), "bin", "java").toString();
    String classes = System.getProperty("java.class.path");
    return said(variable, value, java, "-cp", classes, main.getName(), given.toString());
  }

  /** Logs by a channel that leads to no server. */
  static final class LogsByChannel {
    public static void main(String[] arguments) {
      ManagedChannel channel =
          Grpc.newChannelBuilder("127.0.0.1:1", InsecureChannelCredentials.create()).build();
      RunwireClient client =
          RunwireClient.builder()
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
        said("RUNWIRE_TRACKING_URI", "runwire://127.0.0.1:2", LogsByChannel.class, folder);
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
    String number = said("LC_ALL", "C", "id", "-u");
    String printed = said("TMPDIR", folder.toString(), PrintsState.class, folder);
    assertEquals(folder.resolve("runwire-state-" + number).toString(), printed);
  }
}
