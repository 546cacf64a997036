package dev.runwire.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import dev.runwire.client.Dataset;
import dev.runwire.client.DatasetInput;
import dev.runwire.client.Experiment;
import dev.runwire.client.LifecycleStage;
import dev.runwire.client.MetricCurve;
import dev.runwire.client.MetricHistory;
import dev.runwire.client.MetricSummary;
import dev.runwire.client.Page;
import dev.runwire.client.Run;
import dev.runwire.client.RunStatus;
import dev.runwire.client.ServerInfo;
import dev.runwire.client.StoragePart;
import dev.runwire.client.StorageStats;
import java.time.Instant;
import java.util.Collection;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/** Writes what the client gives as the JSON of the cases. */
final class Shapes {
  private Shapes() {}

  static JsonElement bits(double value) {
    return new JsonPrimitive(String.format("%016x", Double.doubleToRawLongBits(value)));
  }

  static JsonElement whole(long value) {
    return new JsonPrimitive(Long.toString(value));
  }

  static JsonElement time(Optional<Instant> time) {
    return time.map(one -> whole(one.toEpochMilli())).orElse(JsonNull.INSTANCE);
  }

  static JsonArray wholes(long[] values) {
    JsonArray made = new JsonArray();
    for (long value : values) {
      made.add(whole(value));
    }
    return made;
  }

  static JsonArray doubles(double[] values) {
    JsonArray made = new JsonArray();
    for (double value : values) {
      made.add(bits(value));
    }
    return made;
  }

  static JsonArray texts(Collection<String> values) {
    JsonArray made = new JsonArray();
    values.forEach(made::add);
    return made;
  }

  static JsonObject pairs(Map<String, String> values) {
    JsonObject made = new JsonObject();
    values.forEach(made::addProperty);
    return made;
  }

  static <T> JsonArray all(Iterable<T> items, Function<T, JsonElement> shape) {
    JsonArray made = new JsonArray();
    items.forEach(item -> made.add(shape.apply(item)));
    return made;
  }

  static <T> JsonObject page(Page<T> page, Function<T, JsonElement> shape) {
    JsonObject made = new JsonObject();
    made.add("items", all(page, shape));
    page.nextPageToken().ifPresent(token -> made.addProperty("next_page_token", token));
    return made;
  }

  private static void stage(JsonObject to, LifecycleStage stage) {
    if (stage != LifecycleStage.UNKNOWN) {
      to.addProperty("lifecycle_stage", stage.name().toLowerCase(Locale.ROOT));
    }
  }

  static JsonElement experiment(Experiment found) {
    JsonObject made = new JsonObject();
    made.addProperty("experiment_id", found.experimentId());
    made.addProperty("name", found.name());
    stage(made, found.lifecycleStage());
    made.add("create_time", whole(found.createTime().toEpochMilli()));
    made.add("update_time", whole(found.updateTime().toEpochMilli()));
    made.add("tags", pairs(found.tags()));
    return made;
  }

  static JsonElement run(Run found) {
    JsonObject made = new JsonObject();
    made.addProperty("run_id", found.runId());
    made.addProperty("experiment_id", found.experimentId());
    made.addProperty("name", found.name());
    if (found.status() != RunStatus.UNKNOWN) {
      made.addProperty("status", found.status().name());
    }
    made.add("start_time", time(found.startTime()));
    made.add("end_time", time(found.endTime()));
    stage(made, found.lifecycleStage());
    found.parentRunId().ifPresent(parent -> made.addProperty("parent_run_id", parent));
    made.add("params", pairs(found.params()));
    made.add("tags", pairs(found.tags()));
    JsonObject metrics = new JsonObject();
    found.metrics().forEach((key, summary) -> metrics.add(key, summary(summary)));
    made.add("metrics", metrics);
    made.add("inputs", all(found.inputs(), Shapes::input));
    return made;
  }

  private static JsonElement summary(MetricSummary found) {
    JsonObject made = new JsonObject();
    made.add("value", bits(found.value()));
    made.add("first", bits(found.first()));
    found.min().ifPresent(value -> made.add("min", bits(value)));
    found.max().ifPresent(value -> made.add("max", bits(value)));
    made.add("step", whole(found.step()));
    made.add("first_step", whole(found.firstStep()));
    found.minStep().ifPresent(step -> made.add("min_step", whole(step)));
    found.maxStep().ifPresent(step -> made.add("max_step", whole(step)));
    made.add("timestamp", whole(found.timestamp()));
    made.add("first_timestamp", whole(found.firstTimestamp()));
    made.add("count", whole(found.count()));
    made.add("nan_count", whole(found.nanCount()));
    return made;
  }

  private static JsonElement input(DatasetInput found) {
    Dataset it = found.dataset();
    JsonObject made = new JsonObject();
    made.addProperty("name", it.name());
    made.addProperty("digest", it.digest());
    made.addProperty("source_type", it.sourceType());
    made.addProperty("source", it.source());
    made.addProperty("schema", it.schema());
    made.addProperty("profile", it.profile());
    made.addProperty("context", found.context());
    return made;
  }

  static JsonElement series(MetricHistory found) {
    JsonObject made = new JsonObject();
    made.addProperty("run_id", found.runId());
    made.addProperty("key", found.key());
    made.add("steps", wholes(found.steps()));
    made.add("timestamps", wholes(found.timestamps()));
    made.add("values", doubles(found.values()));
    return made;
  }

  static JsonElement curve(MetricCurve found) {
    JsonObject made = new JsonObject();
    made.addProperty("run_id", found.runId());
    made.addProperty("key", found.key());
    made.addProperty("axis", found.axis().name().toLowerCase(Locale.ROOT));
    made.add("points", whole(found.points()));
    made.add("first_x", wholes(found.firstX()));
    made.add("last_x", wholes(found.lastX()));
    made.add("min_x", wholes(found.minX()));
    made.add("max_x", wholes(found.maxX()));
    made.add("count", wholes(found.count()));
    made.add("nan_count", wholes(found.nanCount()));
    made.add("first", doubles(found.first()));
    made.add("last", doubles(found.last()));
    made.add("min", doubles(found.min()));
    made.add("max", doubles(found.max()));
    return made;
  }

  static JsonElement serverInfo(ServerInfo found) {
    JsonObject made = new JsonObject();
    made.addProperty("version", found.version());
    made.addProperty("api_version", found.apiVersion());
    made.addProperty("database", found.database());
    made.add("features", texts(found.features()));
    JsonObject limits = new JsonObject();
    found.limits().forEach((name, value) -> limits.add(name, whole(value)));
    made.add("limits", limits);
    return made;
  }

  static JsonElement storageStats(StorageStats found) {
    JsonObject made = new JsonObject();
    made.add("parts", all(found.parts(), Shapes::part));
    made.add("points", whole(found.points()));
    made.add("backlog_bytes", whole(found.backlogBytes()));
    made.add("database_bytes", whole(found.databaseBytes()));
    made.add("wal_bytes", whole(found.walBytes()));
    return made;
  }

  private static JsonElement part(StoragePart found) {
    JsonObject made = new JsonObject();
    made.addProperty("name", found.name());
    made.add("rows", whole(found.rows()));
    made.add("points", whole(found.points()));
    made.add("bytes", whole(found.bytes()));
    return made;
  }
}
