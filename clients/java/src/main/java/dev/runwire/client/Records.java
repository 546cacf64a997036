package dev.runwire.client;

import com.google.protobuf.FieldMask;
import dev.runwire.v1.BeginRun;
import dev.runwire.v1.Block;
import dev.runwire.v1.CreateRunRequest;
import dev.runwire.v1.DeleteRunTagRequest;
import dev.runwire.v1.FinishRunRequest;
import dev.runwire.v1.Group;
import dev.runwire.v1.LogBatchRequest;
import dev.runwire.v1.LogInputsRequest;
import dev.runwire.v1.Record;
import dev.runwire.v1.UpdateRunRequest;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;

/** Makes a record of each thing that is logged, checked as the server would check it. */
final class Records {
  static final int SERIES_PIECE = 32_768;

  private static final int SERIES_BYTES = 1024 * 1024;

  private final Groups groups = new Groups();

  private static LogRecord record(String runId, Record.Builder record) {
    return checked(new LogRecord(runId, record.build().toByteArray()));
  }

  private static LogRecord checked(LogRecord record) {
    int size = record.data.length;
    if (size > Fold.MOST_RECORD_BYTES) {
      throw Rules.invalid(
          "blocks",
          "must fit in one frame: "
              + size
              + " bytes, and at most "
              + Fold.MOST_RECORD_BYTES
              + " are");
    }
    return record;
  }

  /** Makes a record of points, params and tags: all or none. */
  LogRecord batch(String runId, Batch batch) {
    Rules.runId(runId);
    Objects.requireNonNull(batch, "batch");
    Rules.pairs(batch.params(), "params", Rules.MOST_PARAM);
    Rules.pairs(batch.tags(), "tags", Rules.MOST_TAG);
    LogBatchRequest.Builder request =
        LogBatchRequest.newBuilder()
            .setRunId(runId)
            .addAllParams(Convert.params(batch.params()))
            .addAllTags(Convert.tags(batch.tags()));
    List<Group> named = new ArrayList<>();
    for (Block.Builder block : batch.blocks()) {
      shorten(block, "blocks[" + request.getBlocksCount() + "]", named);
      request.addBlocks(block);
    }
    byte[] data = Record.newBuilder().setBatch(request).build().toByteArray();
    return checked(new LogRecord(runId, data, List.copyOf(named), false));
  }

  /** Checks a block, and names its keys by a group if they were there before. */
  private synchronized void shorten(Block.Builder block, String field, List<Group> named) {
    List<String> keys = List.copyOf(block.getKeysList());
    for (int i = 0; i < keys.size(); i++) {
      Rules.key(keys.get(i), field + ".keys[" + i + "]");
    }
    Rules.distinct(keys, field + ".keys");
    Rules.times(Convert.longs(block.getTimestampsMsList()), "timestamps_ms");
    List<Groups.Part> parts = groups.parts(keys);
    if (parts.size() == 1 && parts.get(0).group != null) {
      Group group = parts.get(0).group;
      block.clearKeys().setGroup(group.getHash());
      named.add(group);
    }
  }

  /** Makes records of a series, as many as it takes. */
  static void series(
      String runId,
      String key,
      double[] values,
      long[] steps,
      long[] timestamps,
      Consumer<LogRecord> to) {
    Rules.runId(runId);
    Rules.key(key, "key");
    Objects.requireNonNull(values, "values");
    checkLength(key, "steps", values, steps);
    checkLength(key, "timestamps", values, timestamps);
    if (timestamps != null) {
      Rules.times(timestamps, "blocks[0].timestamps_ms");
    }
    final long now = System.currentTimeMillis();
    byte[] header = Wire.names(List.of(key));
    List<byte[]> blocks = new ArrayList<>();
    int size = 0;
    for (int start = 0; start < values.length; start += SERIES_PIECE) {
      int end = Math.min(start + SERIES_PIECE, values.length);
      byte[] block = piece(header, values, steps, timestamps, now, start, end);
      if (!blocks.isEmpty() && size + block.length > SERIES_BYTES) {
        to.accept(new LogRecord(runId, Wire.batch(runId, blocks)));
        blocks = new ArrayList<>();
        size = 0;
      }
      blocks.add(block);
      size += block.length;
    }
    if (!blocks.isEmpty()) {
      to.accept(new LogRecord(runId, Wire.batch(runId, blocks)));
    }
  }

  private static void checkLength(String key, String what, double[] values, long[] found) {
    if (found != null && found.length != values.length) {
      throw new IllegalArgumentException(
          String.format(
              "metric '%s': %d values need as many %s, and there are %d",
              key, values.length, what, found.length));
    }
  }

  private static byte[] piece(
      byte[] header,
      double[] values,
      long[] steps,
      long[] timestamps,
      long now,
      int start,
      int end) {
    long[] axis = new long[end - start];
    long[] times = new long[end - start];
    for (int i = 0; i < axis.length; i++) {
      axis[i] = steps == null ? start + i : steps[start + i];
      times[i] = timestamps == null ? now : timestamps[start + i];
    }
    double[] some = Arrays.copyOfRange(values, start, end);
    return Wire.block(header, axis, times, some, 1, 0, some.length, 0, 1);
  }

  /** Makes a record that removes a tag. */
  static LogRecord deleteTag(String runId, String key) {
    Rules.runId(runId);
    DeleteRunTagRequest request =
        DeleteRunTagRequest.newBuilder().setRunId(runId).setKey(Rules.key(key, "key")).build();
    return record(runId, Record.newBuilder().setDeleteTag(request));
  }

  /** Makes a record of data sets. */
  static LogRecord inputs(String runId, List<DatasetInput> inputs) {
    Rules.runId(runId);
    LogInputsRequest.Builder request = LogInputsRequest.newBuilder().setRunId(runId);
    Objects.requireNonNull(inputs, "inputs")
        .forEach(input -> request.addInputs(Convert.input(Objects.requireNonNull(input, "input"))));
    Rules.inputs(request.getInputsList());
    return record(runId, Record.newBuilder().setInputs(request));
  }

  /** Says whether a run of a status is over. */
  static boolean isEnd(RunStatus status) {
    return status == RunStatus.FINISHED || status == RunStatus.FAILED || status == RunStatus.KILLED;
  }

  /** Makes a record that ends a run. */
  static LogRecord finish(String runId, RunStatus status, Instant endTime) {
    Rules.runId(runId);
    Objects.requireNonNull(status, "status");
    if (!isEnd(status)) {
      throw Rules.invalid("status", "must be FINISHED, FAILED or KILLED");
    }
    long at = Values.milliseconds("end_time", endTime == null ? Instant.now() : endTime);
    Rules.runTime(at, "end_time");
    FinishRunRequest request =
        FinishRunRequest.newBuilder()
            .setRunId(runId)
            .setStatus(Convert.status(status))
            .setEndTime(Convert.timestamp(at))
            .build();
    byte[] data = Record.newBuilder().setFinish(request).build().toByteArray();
    return new LogRecord(runId, data, List.of(), true);
  }

  /** Makes what begins a run, with an id and a name made up here unless they are given. */
  static Begin begin(RunSpec spec) {
    Objects.requireNonNull(spec, "spec");
    if ((spec.experimentId() == null) == (spec.experimentName() == null)) {
      throw new IllegalArgumentException(
          "a run begins in an experiment: give either its id or its name");
    }
    Rules.pairs(spec.params(), "params", Rules.MOST_PARAM);
    Rules.pairs(spec.tags(), "tags", Rules.MOST_TAG);
    String name = Rules.name(spec.name() == null ? Ids.readable() : spec.name(), "name");
    CreateRunRequest.Builder run =
        CreateRunRequest.newBuilder()
            .setName(name)
            .setRunId(spec.runId() == null ? Ids.hex() : Rules.runId(spec.runId()))
            .addAllParams(Convert.params(spec.params()))
            .addAllTags(Convert.tags(spec.tags()));
    if (spec.status() != RunStatus.RUNNING) {
      run.setStatus(Convert.status(Requests.settable(spec.status())));
    }
    if (spec.parentRunId() != null) {
      run.setParentRunId(Rules.runId(spec.parentRunId()));
    }
    Instant start = spec.startTime() == null ? Instant.now() : spec.startTime();
    long at = Values.milliseconds("start_time", start);
    Rules.runTime(at, "start_time");
    run.setStartTime(Convert.timestamp(at));
    BeginRun.Builder begin = BeginRun.newBuilder();
    if (spec.experimentName() != null) {
      begin.setExperimentName(Rules.name(spec.experimentName(), "experiment_name"));
    } else {
      run.setExperimentId(Rules.experimentId(spec.experimentId()));
    }
    return new Begin(begin.setRun(run).build());
  }

  /** Makes the records to log for the beginning of a run. */
  List<LogRecord> beginning(Begin begin, RunSpec spec) {
    String runId = begin.message.getRun().getRunId();
    // An empty record names the run, which has its begin record written.
    LogRecord naming = new LogRecord(runId, new byte[0]);
    return begin.shortened
        ? List.of(naming, batch(runId, new Batch().params(spec.params()).tags(spec.tags())))
        : List.of(naming);
  }

  /** Makes a record that has a run go on. */
  static LogRecord resume(String runId, String name) {
    Rules.runId(runId);
    UpdateRunRequest.Builder request =
        UpdateRunRequest.newBuilder()
            .setRunId(runId)
            .setStatus(dev.runwire.v1.RunStatus.RUN_STATUS_RUNNING);
    FieldMask.Builder fields = FieldMask.newBuilder().addPaths("status");
    if (name != null) {
      request.setName(Rules.name(name, "name"));
      fields.addPaths("name");
    }
    return record(runId, Record.newBuilder().setUpdate(request.setUpdateMask(fields)));
  }
}
