package dev.runwire.client;

import com.google.protobuf.FieldMask;
import dev.runwire.v1.CreateExperimentRequest;
import dev.runwire.v1.CreateExperimentResponse;
import dev.runwire.v1.CreateRunRequest;
import dev.runwire.v1.CreateRunResponse;
import dev.runwire.v1.DeleteExperimentRequest;
import dev.runwire.v1.DeleteExperimentResponse;
import dev.runwire.v1.DeleteExperimentTagRequest;
import dev.runwire.v1.DeleteExperimentTagResponse;
import dev.runwire.v1.DeleteRunRequest;
import dev.runwire.v1.DeleteRunResponse;
import dev.runwire.v1.ExperimentServiceGrpc;
import dev.runwire.v1.GetExperimentRequest;
import dev.runwire.v1.GetExperimentResponse;
import dev.runwire.v1.GetMetricCurveRequest;
import dev.runwire.v1.GetMetricCurveResponse;
import dev.runwire.v1.GetMetricHistoryRequest;
import dev.runwire.v1.GetMetricHistoryResponse;
import dev.runwire.v1.GetRunRequest;
import dev.runwire.v1.GetRunResponse;
import dev.runwire.v1.GetServerInfoRequest;
import dev.runwire.v1.GetServerInfoResponse;
import dev.runwire.v1.GetStorageStatsRequest;
import dev.runwire.v1.GetStorageStatsResponse;
import dev.runwire.v1.HeartbeatRequest;
import dev.runwire.v1.HeartbeatResponse;
import dev.runwire.v1.LifecycleView;
import dev.runwire.v1.MetricServiceGrpc;
import dev.runwire.v1.PurgeRequest;
import dev.runwire.v1.PurgeResponse;
import dev.runwire.v1.RestoreExperimentRequest;
import dev.runwire.v1.RestoreExperimentResponse;
import dev.runwire.v1.RestoreRunRequest;
import dev.runwire.v1.RestoreRunResponse;
import dev.runwire.v1.RunMask;
import dev.runwire.v1.RunServiceGrpc;
import dev.runwire.v1.SearchExperimentsRequest;
import dev.runwire.v1.SearchExperimentsResponse;
import dev.runwire.v1.SearchRunsRequest;
import dev.runwire.v1.SearchRunsResponse;
import dev.runwire.v1.Series;
import dev.runwire.v1.ServerServiceGrpc;
import dev.runwire.v1.SetExperimentTagsRequest;
import dev.runwire.v1.SetExperimentTagsResponse;
import dev.runwire.v1.UpdateExperimentRequest;
import dev.runwire.v1.UpdateExperimentResponse;
import dev.runwire.v1.UpdateRunRequest;
import dev.runwire.v1.UpdateRunResponse;
import dev.runwire.v1.WatchMetricsRequest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Builds calls: the request, and how to read the answer.
 *
 * <p>Request ids, run ids and times are minted here, once for each call of the user, so that a
 * repeat of the same {@link Call} is the same mutation to the server.
 */
final class Requests {
  private Requests() {}

  private static String given(String what, String value) {
    return Objects.requireNonNull(value, what);
  }

  private static String requestId() {
    return Ids.uuid7().toString();
  }

  static Call<CreateExperimentRequest, CreateExperimentResponse, String> createExperiment(
      String name, Map<String, ?> tags) {
    CreateExperimentRequest request =
        CreateExperimentRequest.newBuilder()
            .setName(given("name", name))
            .addAllTags(Convert.tags(Values.texts("tags", tags)))
            .setRequestId(requestId())
            .build();
    return Call.unary(
        ExperimentServiceGrpc.getCreateExperimentMethod(),
        request,
        answer -> answer.getExperiment().getExperimentId());
  }

  private static Call<GetExperimentRequest, GetExperimentResponse, dev.runwire.client.Experiment>
      getExperiment(GetExperimentRequest request) {
    return Call.unary(
        ExperimentServiceGrpc.getGetExperimentMethod(),
        request,
        answer -> Convert.experiment(answer.getExperiment()));
  }

  static Call<GetExperimentRequest, GetExperimentResponse, dev.runwire.client.Experiment>
      getExperiment(String experimentId) {
    return getExperiment(
        GetExperimentRequest.newBuilder()
            .setExperimentId(given("experimentId", experimentId))
            .build());
  }

  static Call<GetExperimentRequest, GetExperimentResponse, dev.runwire.client.Experiment>
      getExperimentByName(String name) {
    return getExperiment(GetExperimentRequest.newBuilder().setName(given("name", name)).build());
  }

  static Call<
          SearchExperimentsRequest, SearchExperimentsResponse, Page<dev.runwire.client.Experiment>>
      searchExperiments(ExperimentSearch search) {
    Objects.requireNonNull(search, "search");
    SearchExperimentsRequest request =
        SearchExperimentsRequest.newBuilder()
            .setFilter(search.filter())
            .addAllOrderBy(search.orderBy())
            .setView(view(search.view()))
            .setPageSize(search.pageSize())
            .setPageToken(search.pageToken())
            .build();
    return Call.unary(
        ExperimentServiceGrpc.getSearchExperimentsMethod(),
        request,
        answer -> {
          List<dev.runwire.client.Experiment> found = new ArrayList<>();
          answer.getExperimentsList().forEach(one -> found.add(Convert.experiment(one)));
          return Page.of(found, answer.getNextPageToken());
        });
  }

  private static LifecycleView view(dev.runwire.client.LifecycleView view) {
    return LifecycleView.valueOf("LIFECYCLE_VIEW_" + view);
  }

  static Call<UpdateExperimentRequest, UpdateExperimentResponse, Void> renameExperiment(
      String experimentId, String name) {
    UpdateExperimentRequest request =
        UpdateExperimentRequest.newBuilder()
            .setExperimentId(given("experimentId", experimentId))
            .setName(given("name", name))
            .setUpdateMask(FieldMask.newBuilder().addPaths("name"))
            .setRequestId(requestId())
            .build();
    return Call.unary(ExperimentServiceGrpc.getUpdateExperimentMethod(), request, answer -> null);
  }

  static Call<DeleteExperimentRequest, DeleteExperimentResponse, Void> deleteExperiment(
      String experimentId) {
    DeleteExperimentRequest request =
        DeleteExperimentRequest.newBuilder()
            .setExperimentId(given("experimentId", experimentId))
            .setRequestId(requestId())
            .build();
    return Call.unary(ExperimentServiceGrpc.getDeleteExperimentMethod(), request, answer -> null);
  }

  static Call<RestoreExperimentRequest, RestoreExperimentResponse, Void> restoreExperiment(
      String experimentId) {
    RestoreExperimentRequest request =
        RestoreExperimentRequest.newBuilder()
            .setExperimentId(given("experimentId", experimentId))
            .setRequestId(requestId())
            .build();
    return Call.unary(ExperimentServiceGrpc.getRestoreExperimentMethod(), request, answer -> null);
  }

  static Call<SetExperimentTagsRequest, SetExperimentTagsResponse, Void> setExperimentTags(
      String experimentId, Map<String, ?> tags) {
    SetExperimentTagsRequest request =
        SetExperimentTagsRequest.newBuilder()
            .setExperimentId(given("experimentId", experimentId))
            .addAllTags(Convert.tags(Values.texts("tags", tags)))
            .setRequestId(requestId())
            .build();
    return Call.unary(ExperimentServiceGrpc.getSetExperimentTagsMethod(), request, answer -> null);
  }

  static Call<DeleteExperimentTagRequest, DeleteExperimentTagResponse, Void> deleteExperimentTag(
      String experimentId, String key) {
    DeleteExperimentTagRequest request =
        DeleteExperimentTagRequest.newBuilder()
            .setExperimentId(given("experimentId", experimentId))
            .setKey(given("key", key))
            .setRequestId(requestId())
            .build();
    return Call.unary(
        ExperimentServiceGrpc.getDeleteExperimentTagMethod(), request, answer -> null);
  }

  static Call<CreateRunRequest, CreateRunResponse, dev.runwire.client.Run> createRun(
      RunSpec spec, String experimentId) {
    Instant start = spec.startTime() == null ? Instant.now() : spec.startTime();
    CreateRunRequest request =
        CreateRunRequest.newBuilder()
            .setExperimentId(given("experimentId", experimentId))
            .setRunId(spec.runId() == null ? Ids.hex() : spec.runId())
            .setAllowExisting(spec.allowExisting())
            .setName(spec.name() == null ? "" : spec.name())
            .setStartTime(Convert.timestamp(Values.milliseconds("start_time", start)))
            .setParentRunId(spec.parentRunId() == null ? "" : spec.parentRunId())
            .setStatus(Convert.status(settable(spec.status())))
            .addAllParams(Convert.params(spec.params()))
            .addAllTags(Convert.tags(spec.tags()))
            .setRequestId(requestId())
            .build();
    return Call.unary(
        RunServiceGrpc.getCreateRunMethod(), request, answer -> Convert.run(answer.getRun()));
  }

  /** Checks that a status is one that callers may set. */
  static dev.runwire.client.RunStatus settable(dev.runwire.client.RunStatus status) {
    boolean told =
        status == dev.runwire.client.RunStatus.LOST
            || status == dev.runwire.client.RunStatus.UNKNOWN;
    if (told) {
      throw new IllegalArgumentException(
          "the status " + status + " is told by the server, and never set");
    }
    return status;
  }

  static Call<GetRunRequest, GetRunResponse, dev.runwire.client.Run> getRun(
      String runId, dev.runwire.client.RunMask mask) {
    GetRunRequest request =
        GetRunRequest.newBuilder().setRunId(given("runId", runId)).setMask(mask(mask)).build();
    return Call.unary(
        RunServiceGrpc.getGetRunMethod(), request, answer -> Convert.run(answer.getRun()));
  }

  private static RunMask mask(dev.runwire.client.RunMask mask) {
    Objects.requireNonNull(mask, "mask");
    RunMask.Builder made =
        RunMask.newBuilder()
            .addAllMetricKeys(mask.metricKeys())
            .addAllParamKeys(mask.paramKeys())
            .addAllTagKeys(mask.tagKeys());
    if (!mask.fields().isEmpty()) {
      made.setFields(FieldMask.newBuilder().addAllPaths(mask.fields()));
    }
    return made.build();
  }

  static Call<SearchRunsRequest, SearchRunsResponse, Page<dev.runwire.client.Run>> searchRuns(
      RunSearch search) {
    Objects.requireNonNull(search, "search");
    SearchRunsRequest request =
        SearchRunsRequest.newBuilder()
            .addAllExperimentIds(search.experimentIds())
            .setFilter(search.filter())
            .addAllOrderBy(search.orderBy())
            .setView(view(search.view()))
            .setPageSize(search.pageSize())
            .setPageToken(search.pageToken())
            .setMask(mask(search.mask()))
            .build();
    return Call.unary(
        RunServiceGrpc.getSearchRunsMethod(),
        request,
        answer -> {
          List<dev.runwire.client.Run> found = new ArrayList<>();
          answer.getRunsList().forEach(one -> found.add(Convert.run(one)));
          return Page.of(found, answer.getNextPageToken());
        });
  }

  static Call<UpdateRunRequest, UpdateRunResponse, dev.runwire.client.Run> updateRun(
      String runId, dev.runwire.client.RunStatus status, String name) {
    UpdateRunRequest.Builder request =
        UpdateRunRequest.newBuilder().setRunId(given("runId", runId)).setRequestId(requestId());
    FieldMask.Builder fields = FieldMask.newBuilder();
    if (name != null) {
      request.setName(name);
      fields.addPaths("name");
    }
    if (status != null) {
      request.setStatus(Convert.status(settable(status)));
      fields.addPaths("status");
    }
    return Call.unary(
        RunServiceGrpc.getUpdateRunMethod(),
        request.setUpdateMask(fields).build(),
        answer -> Convert.run(answer.getRun()));
  }

  static Call<DeleteRunRequest, DeleteRunResponse, Void> deleteRun(String runId) {
    DeleteRunRequest request =
        DeleteRunRequest.newBuilder()
            .setRunId(given("runId", runId))
            .setRequestId(requestId())
            .build();
    return Call.unary(RunServiceGrpc.getDeleteRunMethod(), request, answer -> null);
  }

  static Call<RestoreRunRequest, RestoreRunResponse, Void> restoreRun(String runId) {
    RestoreRunRequest request =
        RestoreRunRequest.newBuilder()
            .setRunId(given("runId", runId))
            .setRequestId(requestId())
            .build();
    return Call.unary(RunServiceGrpc.getRestoreRunMethod(), request, answer -> null);
  }

  static Call<
          GetMetricHistoryRequest,
          GetMetricHistoryResponse,
          Map<String, Map<String, MetricHistory>>>
      getMetricHistories(
          Collection<String> ofRuns, Collection<String> keys, Long minStep, Long maxStep) {
    List<String> runIds = Values.list("runIds", ofRuns);
    GetMetricHistoryRequest.Builder request =
        GetMetricHistoryRequest.newBuilder()
            .addAllRunIds(runIds)
            .addAllKeys(Values.list("keys", keys));
    if (minStep != null) {
      request.setMinStep(minStep);
    }
    if (maxStep != null) {
      request.setMaxStep(maxStep);
    }
    return Call.streaming(
        MetricServiceGrpc.getGetMetricHistoryMethod(),
        request.build(),
        answers -> Convert.histories(runIds, answers));
  }

  static Call<GetMetricHistoryRequest, GetMetricHistoryResponse, MetricHistory> getMetricHistory(
      String runId, String key, Long minStep, Long maxStep) {
    GetMetricHistoryRequest request =
        getMetricHistories(
                List.of(given("runId", runId)), List.of(given("key", key)), minStep, maxStep)
            .request;
    return Call.streaming(
        MetricServiceGrpc.getGetMetricHistoryMethod(),
        request,
        answers -> {
          MetricHistory found = Convert.histories(List.of(runId), answers).get(runId).get(key);
          return found == null ? Convert.history(runId, key, List.of()) : found;
        });
  }

  static Call<GetMetricCurveRequest, GetMetricCurveResponse, List<MetricCurve>> getMetricCurves(
      Collection<SeriesKey> series, CurveOptions options) {
    Objects.requireNonNull(options, "options");
    GetMetricCurveRequest.Builder request =
        GetMetricCurveRequest.newBuilder()
            .setMaxPoints(options.maxPoints())
            .setAxis(dev.runwire.v1.CurveAxis.valueOf("CURVE_AXIS_" + options.axis()));
    Values.list("series", series)
        .forEach(
            one -> request.addSeries(Series.newBuilder().setRunId(one.runId()).setKey(one.key())));
    if (options.minX() != null) {
      request.setMinX(options.minX());
    }
    if (options.maxX() != null) {
      request.setMaxX(options.maxX());
    }
    return Call.streaming(
        MetricServiceGrpc.getGetMetricCurveMethod(),
        request.build(),
        answers -> {
          List<MetricCurve> found = new ArrayList<>();
          answers.forEach(
              answer ->
                  answer
                      .getCurvesList()
                      .forEach(one -> found.add(Convert.curve(one, options.axis()))));
          return List.copyOf(found);
        });
  }

  static Call<GetMetricCurveRequest, GetMetricCurveResponse, MetricCurve> getMetricCurve(
      String runId, String key, CurveOptions options) {
    return getMetricCurves(List.of(SeriesKey.of(runId, key)), options).map(found -> found.get(0));
  }

  static WatchMetricsRequest watchMetrics(WatchSpec spec) {
    Objects.requireNonNull(spec, "spec");
    return WatchMetricsRequest.newBuilder()
        .addAllRunIds(spec.runIds())
        .addAllKeys(spec.keys())
        .setCursor(spec.cursor())
        .setFromStart(spec.fromStart())
        .build();
  }

  static Call<HeartbeatRequest, HeartbeatResponse, List<String>> heartbeat(
      Collection<String> runIds) {
    HeartbeatRequest request =
        HeartbeatRequest.newBuilder().addAllRunIds(Values.list("runIds", runIds)).build();
    return Call.unary(
        MetricServiceGrpc.getHeartbeatMethod(),
        request,
        answer -> List.copyOf(answer.getRunIdsList()));
  }

  static Call<GetServerInfoRequest, GetServerInfoResponse, ServerInfo> serverInfo() {
    return Call.unary(
            ServerServiceGrpc.getGetServerInfoMethod(),
            GetServerInfoRequest.getDefaultInstance(),
            Convert::serverInfo)
        .atOnce();
  }

  static Call<GetStorageStatsRequest, GetStorageStatsResponse, StorageStats> storageStats() {
    return Call.unary(
        ServerServiceGrpc.getGetStorageStatsMethod(),
        GetStorageStatsRequest.getDefaultInstance(),
        Convert::storageStats);
  }

  static Call<PurgeRequest, PurgeResponse, PurgeResult> purge(Duration olderThan) {
    Objects.requireNonNull(olderThan, "olderThan");
    PurgeRequest request =
        PurgeRequest.newBuilder()
            .setOlderThan(
                com.google.protobuf.Duration.newBuilder()
                    .setSeconds(olderThan.getSeconds())
                    .setNanos(olderThan.getNano()))
            .setRequestId(requestId())
            .build();
    return Call.unary(
        ServerServiceGrpc.getPurgeMethod(),
        request,
        answer -> new PurgeResult(answer.getRuns(), answer.getExperiments()));
  }
}
