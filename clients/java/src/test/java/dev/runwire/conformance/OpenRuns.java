package dev.runwire.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.runwire.client.ActiveRun;
import dev.runwire.client.RunSpec;
import dev.runwire.client.RunwireClient;
import java.io.IOException;

/** The ops that have a run open. */
final class OpenRuns {
  private final Stay stay;

  OpenRuns(Stay stay) {
    this.stay = stay;
  }

  /** Answers requests within a run. */
  interface Stay {
    /** Does so, with the first answer given. */
    void within(JsonElement started) throws IOException;
  }

  private static RunSpec started(Arguments args) {
    return new RunSpec()
        .experimentName(args.optional("experiment_name").orElse(null))
        .name(args.optional("name").orElse(null))
        .tags(args.pairs("tags"));
  }

  private static JsonElement logged(ActiveRun run, Arguments args) {
    run.logParams(args.pairs("params"));
    run.logMetrics(args.metrics("metrics"));
    JsonObject made = new JsonObject();
    made.addProperty("run_id", run.runId());
    return made;
  }

  JsonElement start(RunwireClient client, Arguments args) {
    return logged(client.startRun(started(args)), args);
  }

  JsonElement within(RunwireClient client, Arguments args) throws IOException {
    boolean fail = args.flag("fail").orElse(false);
    JsonElement[] found = new JsonElement[1];
    try {
      client.run(
          started(args),
          run -> {
            found[0] = logged(run, args);
            if (args.flag("stay").orElse(false)) {
              stay.within(found[0]);
            }
            if (fail) {
              throw new Driver.OwnException();
            }
          });
    } catch (Driver.OwnException asked) {
      if (!fail) {
        throw asked;
      }
    }
    return found[0];
  }
}
