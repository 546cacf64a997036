package dev.runwire.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.runwire.client.MetricEvent;
import dev.runwire.client.MetricWatch;
import dev.runwire.client.NewPoints;
import dev.runwire.client.RunwireException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A watch whose events can be waited for with a time limit. */
final class Watching {
  private final MetricWatch watch;
  private final BlockingQueue<Object> events = new LinkedBlockingQueue<>();
  private final Thread thread = new Thread(this::read, "watching");
  private List<MetricEvent> kept = new ArrayList<>();
  private String cursor = "";

  /** Starts to read; waits for the first event, which says that the watch is in place. */
  Watching(MetricWatch watch) throws InterruptedException {
    this.watch = watch;
    thread.setDaemon(true);
    thread.start();
    take(TimeUnit.SECONDS.toNanos(120));
  }

  String cursor() {
    return cursor;
  }

  private void read() {
    try {
      watch.forEachRemaining(events::add);
    } catch (RunwireException error) {
      events.add(error);
    }
  }

  private boolean take(long nanoseconds) throws InterruptedException {
    Object found = events.poll(Math.max(nanoseconds, 1_000_000), TimeUnit.NANOSECONDS);
    if (found instanceof RunwireException) {
      throw (RunwireException) found;
    }
    if (found == null) {
      return false;
    }
    kept.add((MetricEvent) found);
    cursor = ((MetricEvent) found).cursor();
    return true;
  }

  /** Gathers events until they hold that many points. */
  JsonObject until(int points, double seconds) throws InterruptedException {
    long deadline = System.nanoTime() + (long) (seconds * 1e9);
    boolean timedOut = false;
    while (points() < points && !timedOut) {
      timedOut = !take(deadline - System.nanoTime());
    }
    List<MetricEvent> taken = kept;
    kept = new ArrayList<>();
    Map<String, JsonObject> series = new LinkedHashMap<>();
    TreeSet<String> resync = new TreeSet<>();
    for (MetricEvent event : taken) {
      event.blocks().forEach(block -> add(series, block));
      resync.addAll(event.resyncRunIds());
    }
    JsonObject made = new JsonObject();
    JsonArray all = new JsonArray();
    series.values().forEach(all::add);
    made.add("series", all);
    made.addProperty("cursor", cursor);
    made.add("resync_run_ids", Shapes.texts(resync));
    made.addProperty("timed_out", timedOut);
    return made;
  }

  private int points() {
    return kept.stream()
        .flatMap(event -> event.blocks().stream())
        .mapToInt(block -> block.steps().length * block.values().size())
        .sum();
  }

  private static void add(Map<String, JsonObject> series, NewPoints block) {
    block
        .values()
        .forEach(
            (key, values) -> {
              JsonObject one =
                  series.computeIfAbsent(
                      block.runId() + " " + key, name -> empty(block.runId(), key));
              one.getAsJsonArray("steps").addAll(Shapes.wholes(block.steps()));
              one.getAsJsonArray("timestamps").addAll(Shapes.wholes(block.timestamps()));
              one.getAsJsonArray("values").addAll(Shapes.doubles(values));
            });
  }

  private static JsonObject empty(String runId, String key) {
    JsonObject made = new JsonObject();
    made.addProperty("run_id", runId);
    made.addProperty("key", key);
    made.add("steps", new JsonArray());
    made.add("timestamps", new JsonArray());
    made.add("values", new JsonArray());
    return made;
  }

  void close() throws InterruptedException {
    watch.close();
    thread.join(10_000);
  }
}
