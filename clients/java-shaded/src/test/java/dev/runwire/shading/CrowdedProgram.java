package dev.runwire.shading;

import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.runwire.client.MetricHistory;
import dev.runwire.client.NotFoundException;
import dev.runwire.client.Retry;
import dev.runwire.client.RunwireClient;
import java.time.Duration;

/**
 * A program that uses an old protobuf and the shaded client: logs a run, and prints what it got.
 */
public final class CrowdedProgram {
  private CrowdedProgram() {}

  /**
   * Runs it.
   *
   * @param arguments the server's address
   * @throws InvalidProtocolBufferException the old protobuf does not work
   */
  public static void main(String[] arguments) throws InvalidProtocolBufferException {
    FileDescriptorProto file = FileDescriptorProto.newBuilder().setName("old.proto").build();
    System.out.println("old=" + FileDescriptorProto.parseFrom(file.toByteArray()).getName());
    System.out.println("from=" + jarOf(FileDescriptorProto.class));
    System.out.println("client=" + jarOf(RunwireClient.class));
    // The first connection of a process takes a while on a slow machine.
    try (RunwireClient client =
        RunwireClient.builder()
            .address(arguments[0])
            .timeout(Duration.ofMinutes(2))
            .retry(new Retry().connectTimeout(Duration.ofMinutes(2)))
            .build()) {
      String runId =
          client.call(
              "crowded",
              run -> {
                for (int step = 0; step < 1000; step++) {
                  run.logMetric("m", step, step);
                }
                return run.runId();
              });
      MetricHistory history = client.getMetricHistory(runId, "m");
      System.out.println("points=" + history.size());
      try {
        client.getRun("0".repeat(32));
      } catch (NotFoundException missing) {
        System.out.println("reason=" + missing.reason());
      }
    }
  }

  private static String jarOf(Class<?> kind) {
    String place = kind.getProtectionDomain().getCodeSource().getLocation().getPath();
    return place.substring(place.lastIndexOf('/') + 1);
  }
}
