package dev.runwire.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.runwire.client.MetricHistory;
import dev.runwire.client.Mode;
import dev.runwire.client.OnSpoolFull;
import dev.runwire.client.PurgeResult;
import dev.runwire.client.RunSpec;
import dev.runwire.client.RunStatus;
import dev.runwire.client.RunwireClient;
import dev.runwire.client.RunwireException;
import dev.runwire.client.SeriesKey;
import dev.runwire.client.WatchSpec;
import java.nio.file.Paths;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.function.Function;

/** What the driver can be asked for, on the public API of the client. */
final class Ops {
  private final Map<String, Op> known = new HashMap<>();
  private final Map<String, RunwireClient> clients = new HashMap<>();
  private final Map<String, Watching> watches = new HashMap<>();

  /** One op. */
  interface Op {
    /** Does it. */
    JsonElement call(Arguments args) throws Exception;
  }

  /** One op of a client. */
  interface ClientOp {
    /** Does it. */
    JsonElement call(RunwireClient client, Arguments args) throws Exception;
  }

  /** One op that has no result. */
  interface Deed {
    /** Does it. */
    void call(RunwireClient client, Arguments args) throws Exception;
  }

  Ops(OpenRuns.Stay stay) {
    known.put("connect", this::connect);
    known.put("exit", Ops::exit);
    known.put("watch_until", this::watchUntil);
    known.put("watch_close", this::watchClose);
    known.put("sleep", Ops::sleep);
    life();
    experiments();
    server();
    runs();
    OpenRuns open = new OpenRuns(stay);
    op("start_run", open::start);
    op("with_run", open::within);
    LogOps.all().forEach(this::deed);
    op("log_until_full", LogOps::untilFull);
    reads();
  }

  Op find(String op) {
    return known.get(op);
  }

  private void op(String name, ClientOp op) {
    known.put(name, args -> op.call(clients.get(args.optional("client").orElse("c")), args));
  }

  private void deed(String name, Deed deed) {
    op(
        name,
        (client, args) -> {
          deed.call(client, args);
          return null;
        });
  }

  private JsonElement connect(Arguments args) {
    RunwireClient.Builder builder = RunwireClient.builder();
    args.optional("address").ifPresent(builder::address);
    args.optional("token").ifPresent(builder::token);
    args.optional("tls_ca").ifPresent(path -> builder.tlsCa(Paths.get(path)));
    args.seconds("timeout").ifPresent(builder::timeout);
    args.optional("mode").ifPresent(mode -> builder.mode(Mode.valueOf(Given.upper(mode))));
    args.optional("spool_dir").ifPresent(path -> builder.spoolDir(Paths.get(path)));
    args.real("spool_bytes").ifPresent(bytes -> builder.spoolBytes(bytes.longValue()));
    args.optional("on_spool_full")
        .ifPresent(full -> builder.onSpoolFull(OnSpoolFull.valueOf(Given.upper(full))));
    args.seconds("shutdown_timeout").ifPresent(builder::shutdownTimeout);
    args.object("retry").ifPresent(given -> builder.retry(Given.retry(given)));
    RunwireClient client = builder.build();
    clients.put(args.optional("client").orElse("c"), client);
    JsonObject made = new JsonObject();
    made.addProperty("address", client.address());
    made.addProperty("mode", client.mode().name().toLowerCase(Locale.ROOT));
    return made;
  }

  private static JsonElement exit(Arguments args) {
    String how = args.optional("how").orElse("normal");
    if (how.equals("hard")) {
      Runtime.getRuntime().halt(0);
    }
    if (how.equals("exception")) {
      throw new Driver.OwnException();
    }
    System.exit(0);
    return null;
  }

  private static JsonElement sleep(Arguments args) throws InterruptedException {
    Thread.sleep(args.seconds("seconds").orElse(Duration.ZERO).toMillis());
    return null;
  }

  private static JsonObject one(String name, String value) {
    JsonObject made = new JsonObject();
    made.addProperty(name, value);
    return made;
  }

  private void life() {
    deed(
        "close",
        (client, args) -> {
          if (args.has("timeout")) {
            client.close(args.seconds("timeout").get());
          } else {
            client.close();
          }
        });
    deed(
        "flush",
        (client, args) -> {
          if (args.has("timeout")) {
            client.flush(args.seconds("timeout").get());
          } else {
            client.flush();
          }
        });
  }

  private void experiments() {
    op(
        "create_experiment",
        (client, args) ->
            one("experiment_id", client.createExperiment(args.text("name"), args.pairs("tags"))));
    op(
        "get_experiment",
        (client, args) -> Shapes.experiment(client.getExperiment(args.text("experiment_id"))));
    op(
        "get_experiment_by_name",
        (client, args) ->
            client.getExperimentByName(args.text("name")).map(Shapes::experiment).orElse(null));
    op(
        "search_experiments",
        (client, args) ->
            Shapes.page(
                client.searchExperiments(Given.experimentSearch(args)), Shapes::experiment));
    op(
        "list_experiments",
        (client, args) ->
            items(client.listExperiments(Given.experimentSearch(args)), args, Shapes::experiment));
    deed(
        "rename_experiment",
        (client, args) -> client.renameExperiment(args.text("experiment_id"), args.text("name")));
    deed(
        "delete_experiment", (client, args) -> client.deleteExperiment(args.text("experiment_id")));
    deed(
        "restore_experiment",
        (client, args) -> client.restoreExperiment(args.text("experiment_id")));
    deed(
        "set_experiment_tag",
        (client, args) ->
            client.setExperimentTag(
                args.text("experiment_id"), args.text("key"), args.text("value")));
    deed(
        "set_experiment_tags",
        (client, args) -> client.setExperimentTags(args.text("experiment_id"), args.pairs("tags")));
    deed(
        "delete_experiment_tag",
        (client, args) -> client.deleteExperimentTag(args.text("experiment_id"), args.text("key")));
  }

  private void server() {
    op("server_info", (client, args) -> Shapes.serverInfo(client.serverInfo()));
    op("storage_stats", (client, args) -> Shapes.storageStats(client.storageStats()));
    op("purge", Ops::purge);
    op("raw", Ops::raw);
  }

  private static JsonElement purge(RunwireClient client, Arguments args) {
    PurgeResult found = client.purge(args.seconds("older_than").orElse(Duration.ZERO));
    JsonObject made = new JsonObject();
    made.add("runs", Shapes.whole(found.runs()));
    made.add("experiments", Shapes.whole(found.experiments()));
    return made;
  }

  private static JsonElement raw(RunwireClient client, Arguments args) throws InterruptedException {
    try {
      return RawCalls.send(client, args);
    } catch (ExecutionException failed) {
      throw RunwireException.of(failed.getCause());
    }
  }

  private static <T> JsonElement items(
      Iterable<T> found, Arguments args, Function<T, JsonElement> shape) {
    int limit = args.integer("limit").orElse(Integer.MAX_VALUE);
    JsonArray items = new JsonArray();
    for (T one : found) {
      if (items.size() == limit) {
        break;
      }
      items.add(shape.apply(one));
    }
    JsonObject made = new JsonObject();
    made.add("items", items);
    return made;
  }

  private void runs() {
    op("create_run", (client, args) -> Shapes.run(client.createRun(Given.runSpec(args))));
    op("begin_run", (client, args) -> one("run_id", client.beginRun(Given.runSpec(args))));
    op(
        "get_run",
        (client, args) -> Shapes.run(client.getRun(args.text("run_id"), Given.mask(args))));
    op(
        "search_runs",
        (client, args) -> Shapes.page(client.searchRuns(Given.runSearch(args)), Shapes::run));
    op(
        "list_runs",
        (client, args) -> items(client.listRuns(Given.runSearch(args)), args, Shapes::run));
    op(
        "update_run",
        (client, args) ->
            Shapes.run(
                client.updateRun(
                    args.text("run_id"),
                    args.optional("status").map(RunStatus::valueOf).orElse(null),
                    args.optional("name").orElse(null))));
    op(
        "finish_run",
        (client, args) ->
            Shapes.run(
                client.finishRun(
                    args.text("run_id"),
                    args.optional("status").map(RunStatus::valueOf).orElse(RunStatus.FINISHED),
                    args.time("end_time").orElse(null))));
    deed("delete_run", (client, args) -> client.deleteRun(args.text("run_id")));
    deed("restore_run", (client, args) -> client.restoreRun(args.text("run_id")));
    op("log_runs", Ops::logRuns);
  }

  private static JsonElement logRuns(RunwireClient client, Arguments args) {
    List<String> found = new ArrayList<>();
    int count = args.integer("count").orElse(1);
    for (int i = 0; i < count; i++) {
      String runId =
          client.beginRun(
              RunSpec.named(args.text("prefix") + "-" + i)
                  .experimentId(args.text("experiment_id")));
      client.logger(runId).logMetric("m", i, 0);
      found.add(runId);
    }
    found.forEach(runId -> client.endRun(runId, RunStatus.FINISHED));
    client.flush();
    JsonObject made = new JsonObject();
    made.add("run_ids", Shapes.texts(found));
    return made;
  }

  private void reads() {
    op(
        "get_metric_history",
        (client, args) ->
            Shapes.series(
                client.getMetricHistory(
                    args.text("run_id"),
                    args.text("key"),
                    args.whole("min_step").orElse(null),
                    args.whole("max_step").orElse(null))));
    op("get_metric_histories", Ops::histories);
    op(
        "get_metric_curve",
        (client, args) ->
            Shapes.curve(
                client.getMetricCurve(args.text("run_id"), args.text("key"), Given.options(args))));
    op("get_metric_curves", Ops::curves);
    op(
        "heartbeat",
        (client, args) -> {
          JsonObject made = new JsonObject();
          made.add("run_ids", Shapes.texts(client.heartbeat(args.texts("run_ids"))));
          return made;
        });
    op("watch_open", this::watchOpen);
  }

  private static JsonElement histories(RunwireClient client, Arguments args) {
    List<String> runIds = args.texts("run_ids");
    Map<String, Map<String, MetricHistory>> found =
        client.getMetricHistories(
            runIds,
            args.texts("keys"),
            args.whole("min_step").orElse(null),
            args.whole("max_step").orElse(null));
    List<MetricHistory> series = new ArrayList<>();
    runIds.forEach(runId -> series.addAll(found.get(runId).values()));
    JsonObject made = new JsonObject();
    made.add("series", Shapes.all(series, Shapes::series));
    return made;
  }

  private static JsonElement curves(RunwireClient client, Arguments args) {
    List<SeriesKey> series = new ArrayList<>();
    for (Arguments one : args.objects("series")) {
      series.add(SeriesKey.of(one.text("run_id"), one.text("key")));
    }
    JsonObject made = new JsonObject();
    made.add(
        "curves", Shapes.all(client.getMetricCurves(series, Given.options(args)), Shapes::curve));
    return made;
  }

  private JsonElement watchOpen(RunwireClient client, Arguments args) throws InterruptedException {
    WatchSpec spec = new WatchSpec().runIds(args.texts("run_ids")).keys(args.texts("keys"));
    spec = args.optional("cursor").map(spec::cursor).orElse(spec);
    spec = args.flag("from_start").map(spec::fromStart).orElse(spec);
    Watching watch = new Watching(client.watchMetrics(spec));
    watches.put(args.text("watch"), watch);
    return one("cursor", watch.cursor());
  }

  private JsonElement watchUntil(Arguments args) throws InterruptedException {
    return watches
        .get(args.text("watch"))
        .until(args.integer("points").orElse(0), args.real("timeout").orElse(120.0));
  }

  private JsonElement watchClose(Arguments args) throws InterruptedException {
    watches.get(args.text("watch")).close();
    return null;
  }
}
