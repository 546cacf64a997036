package dev.runwire.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.runwire.client.Dataset;
import dev.runwire.client.DatasetInput;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/** The arguments of an op; one that is missing or null is not given. */
final class Arguments {
  private final JsonObject given;

  Arguments(JsonObject given) {
    this.given = given;
  }

  private <T> Optional<T> find(String name, Function<JsonElement, T> read) {
    JsonElement found = given.get(name);
    return found == null || found.isJsonNull() ? Optional.empty() : Optional.of(read.apply(found));
  }

  boolean has(String name) {
    return find(name, one -> one).isPresent();
  }

  JsonElement raw(String name) {
    return given.get(name);
  }

  Optional<String> optional(String name) {
    return find(name, JsonElement::getAsString);
  }

  String text(String name) {
    return optional(name).orElseThrow(() -> new NullPointerException(name + " is missing"));
  }

  Optional<Integer> integer(String name) {
    return find(name, JsonElement::getAsInt);
  }

  Optional<Boolean> flag(String name) {
    return find(name, JsonElement::getAsBoolean);
  }

  Optional<Double> real(String name) {
    return find(name, JsonElement::getAsDouble);
  }

  Optional<Long> whole(String name) {
    return find(name, one -> Long.parseLong(one.getAsString()));
  }

  Optional<Instant> time(String name) {
    return whole(name).map(Instant::ofEpochMilli);
  }

  Optional<Duration> seconds(String name) {
    return real(name).map(seconds -> Duration.ofNanos(Math.round(seconds * 1e9)));
  }

  double bits(String name) {
    return bits(given.get(name));
  }

  static double bits(JsonElement text) {
    return Double.longBitsToDouble(Long.parseUnsignedLong(text.getAsString(), 16));
  }

  List<String> texts(String name) {
    List<String> found = new ArrayList<>();
    find(name, JsonElement::getAsJsonArray)
        .ifPresent(items -> items.forEach(item -> found.add(item.getAsString())));
    return found;
  }

  Map<String, String> pairs(String name) {
    Map<String, String> found = new LinkedHashMap<>();
    find(name, JsonElement::getAsJsonObject)
        .ifPresent(
            items ->
                items
                    .entrySet()
                    .forEach(item -> found.put(item.getKey(), item.getValue().getAsString())));
    return found;
  }

  Map<String, Double> metrics(String name) {
    Map<String, Double> found = new LinkedHashMap<>();
    find(name, JsonElement::getAsJsonObject)
        .ifPresent(
            items ->
                items.entrySet().forEach(item -> found.put(item.getKey(), bits(item.getValue()))));
    return found;
  }

  double[] doubles(String name) {
    JsonArray items = given.getAsJsonArray(name);
    double[] found = new double[items.size()];
    for (int i = 0; i < found.length; i++) {
      found[i] = bits(items.get(i));
    }
    return found;
  }

  /** A column of int64; null if it is not given. */
  long[] wholes(String name) {
    if (!has(name)) {
      return null;
    }
    JsonArray items = given.getAsJsonArray(name);
    long[] found = new long[items.size()];
    for (int i = 0; i < found.length; i++) {
      found[i] = Long.parseLong(items.get(i).getAsString());
    }
    return found;
  }

  List<Arguments> objects(String name) {
    List<Arguments> found = new ArrayList<>();
    find(name, JsonElement::getAsJsonArray)
        .ifPresent(
            items -> items.forEach(item -> found.add(new Arguments(item.getAsJsonObject()))));
    return found;
  }

  Optional<Arguments> object(String name) {
    return find(name, one -> new Arguments(one.getAsJsonObject()));
  }

  List<DatasetInput> inputs(String name) {
    List<DatasetInput> found = new ArrayList<>();
    for (Arguments one : objects(name)) {
      Dataset dataset =
          Dataset.of(one.text("name"), one.text("digest"))
              .withSource(one.optional("source_type").orElse(""), one.optional("source").orElse(""))
              .withSchema(one.optional("schema").orElse(""))
              .withProfile(one.optional("profile").orElse(""));
      found.add(
          one.optional("context")
              .map(context -> DatasetInput.of(dataset, context))
              .orElseGet(() -> DatasetInput.of(dataset)));
    }
    return found;
  }
}
