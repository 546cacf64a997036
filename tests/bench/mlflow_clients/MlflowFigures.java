import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.mlflow.api.proto.Service.Metric;
import org.mlflow.tracking.MlflowClient;

/** Times MLflow's client for Java: URL, calls, batches. */
public final class MlflowFigures {
  private static final int BATCH = 1_000;

  private MlflowFigures() {}

  public static void main(String[] arguments) throws Exception {
    int calls = Integer.parseInt(arguments[1]);
    int batches = Integer.parseInt(arguments[2]);
    try (MlflowClient client = new MlflowClient(arguments[0])) {
      String run = client.createRun("0").getRunId();
      for (int i = 0; i < 20; i++) {
        client.logMetric(run, "warm", i, System.currentTimeMillis(), i);
      }
      long began = System.nanoTime();
      for (int i = 0; i < calls; i++) {
        client.logMetric(run, "loop", i, System.currentTimeMillis(), i);
      }
      double loop = (System.nanoTime() - began) / 1e9;
      began = System.nanoTime();
      for (int batch = 0; batch < batches; batch++) {
        client.logBatch(run, points(batch), null, null);
      }
      double bulk = (System.nanoTime() - began) / 1e9;
      System.out.printf(
          Locale.ROOT,
          "{\"call_us\": %f, \"calls_per_s\": %f, \"bulk_per_s\": %f}%n",
          loop / calls * 1e6, calls / loop, batches * BATCH / bulk);
    }
  }

  private static List<Metric> points(int batch) {
    List<Metric> points = new ArrayList<>();
    for (int i = 0; i < BATCH; i++) {
      long step = (long) batch * BATCH + i;
      points.add(Metric.newBuilder().setKey("bulk").setValue(step).setTimestamp(0).setStep(step).build());
    }
    return points;
  }
}
