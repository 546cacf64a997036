package dev.runwire.conformance;

import dev.runwire.client.CurveAxis;
import dev.runwire.client.CurveOptions;
import dev.runwire.client.ExperimentSearch;
import dev.runwire.client.LifecycleView;
import dev.runwire.client.Retry;
import dev.runwire.client.RunMask;
import dev.runwire.client.RunSearch;
import dev.runwire.client.RunSpec;
import dev.runwire.client.RunStatus;
import java.util.Locale;

/** Reads what an op is to do with, as the client takes it. */
final class Given {
  private Given() {}

  private static LifecycleView view(String name) {
    return name.equals("all") ? LifecycleView.ALL : LifecycleView.valueOf(upper(name) + "_ONLY");
  }

  static ExperimentSearch experimentSearch(Arguments args) {
    ExperimentSearch search = new ExperimentSearch();
    search = args.optional("filter").map(search::filter).orElse(search);
    search = args.has("order_by") ? search.orderBy(args.texts("order_by")) : search;
    search = args.optional("view").map(Given::view).map(search::view).orElse(search);
    search = args.integer("page_size").map(search::pageSize).orElse(search);
    return args.optional("page_token").map(search::pageToken).orElse(search);
  }

  static RunSearch runSearch(Arguments args) {
    RunSearch search = new RunSearch().experimentIds(args.texts("experiment_ids"));
    search = args.optional("filter").map(search::filter).orElse(search);
    search = args.has("order_by") ? search.orderBy(args.texts("order_by")) : search;
    search = args.optional("view").map(Given::view).map(search::view).orElse(search);
    search = args.integer("page_size").map(search::pageSize).orElse(search);
    search = args.optional("page_token").map(search::pageToken).orElse(search);
    return search.mask(mask(args));
  }

  static RunMask mask(Arguments args) {
    return new RunMask()
        .fields(args.texts("fields"))
        .metricKeys(args.texts("metric_keys"))
        .paramKeys(args.texts("param_keys"))
        .tagKeys(args.texts("tag_keys"));
  }

  static RunSpec runSpec(Arguments args) {
    RunSpec spec =
        new RunSpec()
            .experimentId(args.optional("experiment_id").orElse(null))
            .experimentName(args.optional("experiment_name").orElse(null))
            .runId(args.optional("run_id").orElse(null))
            .name(args.optional("name").orElse(null))
            .parentRunId(args.optional("parent_run_id").orElse(null))
            .startTime(args.time("start_time").orElse(null))
            .params(args.pairs("params"))
            .tags(args.pairs("tags"));
    spec = args.optional("status").map(RunStatus::valueOf).map(spec::status).orElse(spec);
    return args.flag("allow_existing").map(spec::allowExisting).orElse(spec);
  }

  static CurveOptions options(Arguments args) {
    CurveOptions options =
        new CurveOptions()
            .minX(args.whole("min_x").orElse(null))
            .maxX(args.whole("max_x").orElse(null));
    options = args.integer("max_points").map(options::maxPoints).orElse(options);
    return args.optional("axis")
        .map(axis -> CurveAxis.valueOf(upper(axis)))
        .map(options::axis)
        .orElse(options);
  }

  static Retry retry(Arguments given) {
    Retry retry = new Retry();
    retry = given.seconds("initial").map(retry::initial).orElse(retry);
    retry = given.real("multiplier").map(retry::multiplier).orElse(retry);
    retry = given.seconds("maximum").map(retry::maximum).orElse(retry);
    retry = given.seconds("connect_timeout").map(retry::connectTimeout).orElse(retry);
    return given.integer("max_attempts").map(retry::maxAttempts).orElse(retry);
  }

  static String upper(String name) {
    return name.toUpperCase(Locale.ROOT);
  }
}
