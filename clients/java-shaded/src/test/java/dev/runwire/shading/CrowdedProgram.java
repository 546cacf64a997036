package dev.runwire.shading;

import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.runwire.client.MetricHistory;
import dev.runwire.client.NotFoundException;
import dev.runwire.client.RunwireClient;

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
    try (RunwireClient client = RunwireClient.connect(arguments[0])) {
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
