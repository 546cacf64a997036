package dev.runwire.client;

import com.google.protobuf.Timestamp;
import dev.runwire.v1.Block;
import dev.runwire.v1.GetMetricHistoryResponse;
import dev.runwire.v1.GetServerInfoResponse;
import dev.runwire.v1.GetStorageStatsResponse;
import dev.runwire.v1.Limits;
import dev.runwire.v1.Param;
import dev.runwire.v1.RunBlock;
import dev.runwire.v1.Tag;
import dev.runwire.v1.WatchMetricsResponse;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/** From messages to values, and back. */
final class Convert {
  private Convert() {}

  static Timestamp timestamp(long milliseconds) {
    return Timestamp.newBuilder()
        .setSeconds(Math.floorDiv(milliseconds, 1000L))
        .setNanos((int) Math.floorMod(milliseconds, 1000L) * 1_000_000)
        .build();
  }

  static Instant instant(Timestamp time) {
    return Instant.ofEpochSecond(time.getSeconds(), time.getNanos());
  }

  static List<Tag> tags(Map<String, String> given) {
    List<Tag> found = new ArrayList<>();
    given.forEach((key, value) -> found.add(Tag.newBuilder().setKey(key).setValue(value).build()));
    return found;
  }

  static List<Param> params(Map<String, String> given) {
    List<Param> found = new ArrayList<>();
    given.forEach(
        (key, value) -> found.add(Param.newBuilder().setKey(key).setValue(value).build()));
    return found;
  }

  private static Map<String, String> texts(List<Tag> tags) {
    Map<String, String> found = new LinkedHashMap<>();
    tags.forEach(tag -> found.put(tag.getKey(), tag.getValue()));
    return found;
  }

  static dev.runwire.v1.RunStatus status(RunStatus status) {
    return dev.runwire.v1.RunStatus.valueOf("RUN_STATUS_" + status);
  }

  private static RunStatus status(dev.runwire.v1.RunStatus status) {
    switch (status) {
      case RUN_STATUS_RUNNING:
        return RunStatus.RUNNING;
      case RUN_STATUS_SCHEDULED:
        return RunStatus.SCHEDULED;
      case RUN_STATUS_FINISHED:
        return RunStatus.FINISHED;
      case RUN_STATUS_FAILED:
        return RunStatus.FAILED;
      case RUN_STATUS_KILLED:
        return RunStatus.KILLED;
      case RUN_STATUS_LOST:
        return RunStatus.LOST;
      default:
        return RunStatus.UNKNOWN;
    }
  }

  private static LifecycleStage stage(dev.runwire.v1.LifecycleStage stage) {
    switch (stage) {
      case LIFECYCLE_STAGE_ACTIVE:
        return LifecycleStage.ACTIVE;
      case LIFECYCLE_STAGE_DELETED:
        return LifecycleStage.DELETED;
      default:
        return LifecycleStage.UNKNOWN;
    }
  }

  static Experiment experiment(dev.runwire.v1.Experiment message) {
    return new Experiment(
        message.getExperimentId(),
        message.getName(),
        stage(message.getLifecycleStage()),
        instant(message.getCreateTime()),
        instant(message.getUpdateTime()),
        texts(message.getTagsList()));
  }

  static Run run(dev.runwire.v1.Run message) {
    Map<String, String> params = new LinkedHashMap<>();
    message.getParamsList().forEach(param -> params.put(param.getKey(), param.getValue()));
    Map<String, MetricSummary> metrics = new LinkedHashMap<>();
    message.getMetricsList().forEach(metric -> metrics.put(metric.getKey(), summary(metric)));
    List<DatasetInput> inputs = new ArrayList<>();
    message.getInputsList().forEach(input -> inputs.add(input(input)));
    String parent = message.getParentRunId();
    return new Run(
        message.getRunId(),
        message.getExperimentId(),
        message.getName(),
        status(message.getStatus()),
        message.hasStartTime() ? Optional.of(instant(message.getStartTime())) : Optional.empty(),
        message.hasEndTime() ? Optional.of(instant(message.getEndTime())) : Optional.empty(),
        stage(message.getLifecycleStage()),
        parent.isEmpty() ? Optional.empty() : Optional.of(parent),
        params,
        texts(message.getTagsList()),
        metrics,
        inputs);
  }

  /** Makes a run of which no server was asked. */
  static Run unknownRun(String runId, RunStatus status) {
    return new Run(
        runId,
        "",
        "",
        status,
        Optional.empty(),
        Optional.empty(),
        LifecycleStage.ACTIVE,
        Optional.empty(),
        Map.of(),
        Map.of(),
        Map.of(),
        List.of());
  }

  private static MetricSummary summary(dev.runwire.v1.MetricSummary it) {
    return new MetricSummary(
        it.getKey(),
        it.getValue(),
        it.getStep(),
        it.getTimestampMs(),
        it.getCount(),
        it.getNanCount(),
        it.hasMinValue() ? OptionalDouble.of(it.getMinValue()) : OptionalDouble.empty(),
        it.hasMinStep() ? OptionalLong.of(it.getMinStep()) : OptionalLong.empty(),
        it.hasMaxValue() ? OptionalDouble.of(it.getMaxValue()) : OptionalDouble.empty(),
        it.hasMaxStep() ? OptionalLong.of(it.getMaxStep()) : OptionalLong.empty(),
        it.getFirstValue(),
        it.getFirstStep(),
        it.getFirstTimestampMs());
  }

  private static DatasetInput input(dev.runwire.v1.DatasetInput message) {
    dev.runwire.v1.Dataset it = message.getDataset();
    Dataset dataset =
        new Dataset(
            it.getName(),
            it.getDigest(),
            it.getSourceType(),
            it.getSource(),
            it.getSchema(),
            it.getProfile());
    return new DatasetInput(dataset, message.getContext());
  }

  static dev.runwire.v1.DatasetInput input(DatasetInput given) {
    Dataset it = given.dataset();
    return dev.runwire.v1.DatasetInput.newBuilder()
        .setDataset(
            dev.runwire.v1.Dataset.newBuilder()
                .setName(it.name())
                .setDigest(it.digest())
                .setSourceType(it.sourceType())
                .setSource(it.source())
                .setSchema(it.schema())
                .setProfile(it.profile()))
        .setContext(given.context())
        .build();
  }

  static ServerInfo serverInfo(GetServerInfoResponse message) {
    Map<String, Long> limits = new LinkedHashMap<>();
    Limits.getDescriptor()
        .getFields()
        .forEach(
            field ->
                limits.put(
                    field.getName(), ((Number) message.getLimits().getField(field)).longValue()));
    return new ServerInfo(
        message.getVersion(),
        message.getApiVersion(),
        message.getDatabase(),
        List.copyOf(message.getFeaturesList()),
        limits);
  }

  static StorageStats storageStats(GetStorageStatsResponse message) {
    List<StoragePart> parts = new ArrayList<>();
    message
        .getPartsList()
        .forEach(
            part ->
                parts.add(
                    new StoragePart(
                        part.getName(), part.getRows(), part.getPoints(), part.getBytes())));
    return new StorageStats(
        parts,
        message.getPoints(),
        message.getBacklogBytes(),
        message.getDatabaseBytes(),
        message.getWalBytes());
  }

  static long[] longs(List<Long> given) {
    long[] found = new long[given.size()];
    for (int i = 0; i < found.length; i++) {
      found[i] = given.get(i);
    }
    return found;
  }

  static double[] doubles(List<Double> given) {
    double[] found = new double[given.size()];
    for (int i = 0; i < found.length; i++) {
      found[i] = given.get(i);
    }
    return found;
  }

  private static long step(Block block, int row) {
    return block.hasRange()
        ? block.getRange().getFirst() + row * block.getRange().getStride()
        : block.getSteps().getSteps(row);
  }

  /** Puts streamed blocks together, by run and key. */
  static Map<String, Map<String, MetricHistory>> histories(
      List<String> runIds, List<GetMetricHistoryResponse> responses) {
    Map<String, Map<String, List<RunBlock>>> parts = new LinkedHashMap<>();
    runIds.forEach(runId -> parts.put(runId, new LinkedHashMap<>()));
    for (GetMetricHistoryResponse response : responses) {
      for (RunBlock part : response.getBlocksList()) {
        Map<String, List<RunBlock>> run =
            parts.computeIfAbsent(part.getRunId(), none -> new LinkedHashMap<>());
        part.getBlock()
            .getKeysList()
            .forEach(key -> run.computeIfAbsent(key, none -> new ArrayList<>()).add(part));
      }
    }
    Map<String, Map<String, MetricHistory>> found = new LinkedHashMap<>();
    parts.forEach(
        (runId, series) -> {
          Map<String, MetricHistory> whole = new LinkedHashMap<>();
          series.forEach((key, blocks) -> whole.put(key, history(runId, key, blocks)));
          found.put(runId, Collections.unmodifiableMap(whole));
        });
    return Collections.unmodifiableMap(found);
  }

  static MetricHistory history(String runId, String key, List<RunBlock> blocks) {
    int size = 0;
    for (RunBlock part : blocks) {
      size += part.getBlock().getTimestampsMsCount();
    }
    long[] steps = new long[size];
    long[] times = new long[size];
    double[] values = new double[size];
    int at = 0;
    for (RunBlock part : blocks) {
      Block block = part.getBlock();
      int width = block.getKeysCount();
      int column = block.getKeysList().indexOf(key);
      for (int row = 0; row < block.getTimestampsMsCount(); row++, at++) {
        steps[at] = step(block, row);
        times[at] = block.getTimestampsMs(row);
        values[at] = block.getValues(row * width + column);
      }
    }
    return new MetricHistory(runId, key, steps, times, values);
  }

  static MetricEvent event(WatchMetricsResponse message) {
    List<NewPoints> blocks = new ArrayList<>();
    for (RunBlock part : message.getBlocksList()) {
      blocks.add(newPoints(part.getRunId(), part.getBlock()));
    }
    return new MetricEvent(blocks, message.getCursor(), List.copyOf(message.getResyncRunIdsList()));
  }

  private static NewPoints newPoints(String runId, Block block) {
    int rows = block.getTimestampsMsCount();
    int width = block.getKeysCount();
    long[] steps = new long[rows];
    long[] times = new long[rows];
    for (int row = 0; row < rows; row++) {
      steps[row] = step(block, row);
      times[row] = block.getTimestampsMs(row);
    }
    Map<String, double[]> values = new LinkedHashMap<>();
    for (int k = 0; k < width; k++) {
      double[] column = new double[rows];
      for (int row = 0; row < rows; row++) {
        column[row] = block.getValues(row * width + k);
      }
      values.put(block.getKeys(k), column);
    }
    return new NewPoints(runId, steps, times, values);
  }

  static MetricCurve curve(dev.runwire.v1.Curve it, CurveAxis axis) {
    return new MetricCurve(
        it.getSeries().getRunId(),
        it.getSeries().getKey(),
        axis,
        it.getPoints(),
        longs(it.getFirstXList()),
        longs(it.getLastXList()),
        longs(it.getMinXList()),
        longs(it.getMaxXList()),
        doubles(it.getFirstList()),
        doubles(it.getLastList()),
        doubles(it.getMinList()),
        doubles(it.getMaxList()),
        longs(it.getCountList()),
        longs(it.getNanCountList()));
  }
}
