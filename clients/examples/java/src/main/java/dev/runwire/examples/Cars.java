package dev.runwire.examples;

import dev.runwire.client.ActiveRun;
import dev.runwire.client.Dataset;
import dev.runwire.client.DatasetInput;
import dev.runwire.client.MetricHistory;
import dev.runwire.client.RunSpec;
import dev.runwire.client.RunwireClient;
import java.io.IOException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Fits the fuel consumption of cars by gradient descent, and logs each epoch. */
public final class Cars {
  private static final List<String> FEATURES = List.of("wt", "hp", "qsec", "am");
  private static final int EPOCHS = 400;

  private final Table table;
  private final double[] target;
  private final double[][] features;
  private final double[] weights = new double[FEATURES.size()];
  private double bias;

  private Cars(Path file) throws IOException {
    table = new Table(file);
    target = table.column("mpg");
    features = FEATURES.stream().map(table::standardised).toArray(double[][]::new);
  }

  /**
   * Trains with several rates of learning, a run for each.
   *
   * @param arguments the CSV file
   * @throws IOException it can not be read
   */
  public static void main(String[] arguments) throws IOException {
    Path file = Paths.get(arguments[0]);
    // RUNWIRE_TRACKING_URI says where.
    try (RunwireClient client = RunwireClient.builder().experiment("cars").build()) {
      for (double rate : new double[] {0.003, 0.01, 0.1}) {
        new Cars(file).train(client, rate);
      }
    }
  }

  private void train(RunwireClient client, double rate) {
    RunSpec spec =
        RunSpec.named("descent-" + rate)
            .params(Map.of("model", "linear", "rate", rate, "epochs", EPOCHS))
            .tags(Map.of("language", "java"));
    try (ActiveRun run = client.startRun(spec)) {
      Dataset cars = Dataset.of("mtcars", table.digest()).withSource("csv", "mtcars.csv");
      run.logInputs(List.of(DatasetInput.of(cars, "training")));
      for (int epoch = 0; epoch < EPOCHS; epoch++) {
        run.logMetric("mse", descend(rate), epoch);
      }
      run.logMetric("r2", explained(), EPOCHS);
      // Last, as a commit: a run that is closed without it has failed.
      run.finish();
      MetricHistory errors = client.getMetricHistory(run.runId(), "mse");
      System.out.printf(
          "%s: rate %.3f, mse %.3f -> %.3f, r2 %.4f%n",
          run.name(), rate, errors.values()[0], errors.values()[EPOCHS - 1], explained());
    }
  }

  /** Takes one step down the gradient; returns the mean squared error before it. */
  private double descend(double rate) {
    double[] misses = misses();
    int size = table.size();
    for (int k = 0; k < weights.length; k++) {
      double slope = 0;
      for (int i = 0; i < size; i++) {
        slope += 2 * misses[i] * features[k][i] / size;
      }
      weights[k] -= rate * slope;
    }
    bias -= rate * 2 * Arrays.stream(misses).average().orElse(0);
    return Arrays.stream(misses).map(miss -> miss * miss).average().orElse(0);
  }

  private double[] misses() {
    double[] misses = new double[table.size()];
    for (int i = 0; i < misses.length; i++) {
      double guess = bias;
      for (int k = 0; k < weights.length; k++) {
        guess += weights[k] * features[k][i];
      }
      misses[i] = guess - target[i];
    }
    return misses;
  }

  /** The share of the variance that the model explains. */
  private double explained() {
    double mean = Arrays.stream(target).average().orElse(0);
    double all = Arrays.stream(target).map(y -> (y - mean) * (y - mean)).sum();
    double left = Arrays.stream(misses()).map(miss -> miss * miss).sum();
    return 1 - left / all;
  }
}
