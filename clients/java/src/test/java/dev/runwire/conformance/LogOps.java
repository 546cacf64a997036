package dev.runwire.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.runwire.client.Batch;
import dev.runwire.client.RunLogger;
import dev.runwire.client.RunwireClient;
import dev.runwire.client.RunwireException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The ops that log to a run. */
final class LogOps {
  private static final int SIZE = 1000;

  private LogOps() {}

  private static long timestamp(Arguments args) {
    return args.whole("timestamp").orElseGet(System::currentTimeMillis);
  }

  private static RunLogger logger(RunwireClient client, Arguments args) {
    return client.logger(args.text("run_id"));
  }

  /** Lists the ops by name. */
  static Map<String, Ops.Deed> all() {
    Map<String, Ops.Deed> ops = new HashMap<>();
    ops.put(
        "log_metric",
        (client, args) ->
            logger(client, args)
                .logMetric(
                    args.text("key"),
                    args.bits("value"),
                    args.whole("step").orElse(0L),
                    timestamp(args)));
    ops.put(
        "log_metrics",
        (client, args) ->
            logger(client, args)
                .logMetrics(
                    args.metrics("metrics"), args.whole("step").orElse(0L), timestamp(args)));
    ops.put("log_series", LogOps::logSeries);
    ops.put("log_batch", LogOps::logBatch);
    ops.put(
        "log_param",
        (client, args) -> logger(client, args).logParam(args.text("key"), args.text("value")));
    ops.put("log_params", (client, args) -> logger(client, args).logParams(args.pairs("params")));
    ops.put(
        "set_tag",
        (client, args) -> logger(client, args).setTag(args.text("key"), args.text("value")));
    ops.put("set_tags", (client, args) -> logger(client, args).setTags(args.pairs("tags")));
    ops.put("delete_tag", (client, args) -> logger(client, args).deleteTag(args.text("key")));
    ops.put("log_inputs", (client, args) -> logger(client, args).logInputs(args.inputs("inputs")));
    ops.put("log_many", LogOps::logMany);
    ops.put("log_bulk", LogOps::logBulk);
    return ops;
  }

  private static void logSeries(RunwireClient client, Arguments args) {
    double[] values = args.doubles("values");
    long[] times = null;
    if (args.has("timestamps")) {
      if (args.raw("timestamps").isJsonArray()) {
        times = args.wholes("timestamps");
      } else {
        times = new long[values.length];
        Arrays.fill(times, args.whole("timestamps").get());
      }
    }
    logger(client, args).logSeries(args.text("key"), values, args.wholes("steps"), times);
  }

  private static void logBatch(RunwireClient client, Arguments args) {
    Batch batch = new Batch().params(args.pairs("params")).tags(args.pairs("tags"));
    for (Arguments point : args.objects("metrics")) {
      batch.metric(
          point.text("key"), point.bits("value"), point.whole("step").orElse(0L), timestamp(point));
    }
    logger(client, args).logBatch(batch);
  }

  private static void logBulk(RunwireClient client, Arguments args) {
    int count = args.integer("count").orElse(1);
    int times = args.integer("times").orElse(1);
    double[] values = new double[count];
    Arrays.setAll(values, i -> i);
    RunLogger logger = logger(client, args);
    for (int time = 0; time < times; time++) {
      long[] steps = new long[count];
      long first = (long) time * count;
      Arrays.setAll(steps, i -> first + i);
      logger.logSeries(args.text("key"), values, steps);
    }
  }

  /** Logs arrays of 1,000 points until one is refused. */
  static JsonElement untilFull(RunwireClient client, Arguments args) {
    long most = args.integer("most").orElse(0);
    JsonObject made = new JsonObject();
    double[] values = new double[SIZE];
    long[] steps = new long[SIZE];
    long first = 0;
    try {
      for (; first < most; first += SIZE) {
        long offset = first;
        Arrays.setAll(steps, i -> offset + i);
        Arrays.setAll(values, i -> offset + i);
        logger(client, args).logSeries(args.text("key"), values, steps);
      }
    } catch (RunwireException full) {
      made.add("error", Driver.failure(full));
    }
    made.add("count", Shapes.whole(first));
    return made;
  }

  private static void logMany(RunwireClient client, Arguments args) throws InterruptedException {
    int count = args.integer("threads").orElse(1);
    if (count == 1) {
      logSteps(client, args, args.text("key"));
      return;
    }
    List<Thread> threads = new ArrayList<>();
    for (int t = 0; t < count; t++) {
      String key = args.text("key") + "-" + t;
      Thread thread = new Thread(() -> logSteps(client, args, key));
      thread.start();
      threads.add(thread);
    }
    for (Thread thread : threads) {
      thread.join();
    }
  }

  private static void logSteps(RunwireClient client, Arguments args, String key) {
    RunLogger logger = logger(client, args);
    long first = args.whole("first_step").orElse(0L);
    int count = args.integer("count").orElse(1);
    for (long step = first; step < first + count; step++) {
      logger.logMetric(key, step, step, timestamp(args));
    }
  }
}
