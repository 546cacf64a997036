package dev.runwire.client;

import com.google.protobuf.ByteString;
import dev.runwire.v1.Group;
import dev.runwire.v1.Rejection;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;

/**
 * Logs to one run so that who does the same work again doubles nothing: a task of Spark that is
 * retried, or runs twice at once.
 *
 * <pre>{@code
 * try (ReplayableLogger log = client.replayableLogger(writerId(application, stage, task), runId)) {
 *   for (int step = 0; step < steps; step++) {
 *     log.logMetric("loss", train(step), step);
 *   }
 *   log.complete();
 * }
 * }</pre>
 *
 * <p>It is named by the work, not by the process. Whoever logs the same calls in the same order
 * under the same name makes the same frames, for these are cut by what is in them, never by time;
 * the server takes each once, whoever was faster. So the work has to be deterministic in what it
 * logs: its keys, its steps and the number of its points, and where it flushes. Times, values and
 * the texts of params and tags may differ; those that arrived first stay.
 *
 * <p>The name has to be unlike that of all other work on the run, or the server takes what is
 * logged second for a repeat of what was logged first, and drops it. A task that logs twice does
 * two works. So do two jobs of Spark that compute the same data, which nobody cached: their stages
 * differ, and both log. Within one attempt, or one client where attempts have no names, a name that
 * was used for a work that is complete is refused.
 *
 * <p>The last frame is cut by {@link #complete}, which stands last in the block: an attempt that
 * fails has made a part of that frame only, which must not pass for all of it. Nothing is spooled:
 * what is not delivered when the process ends is logged again by the next attempt. At most 8 MiB
 * wait on this side; then a call waits. For one thread at a time.
 */
public final class ReplayableLogger implements RunLogger, AutoCloseable {
  private static final int FRAME_CALLS = 1000;
  private static final long FRAME_BYTES = 512 * 1024;
  private static final long MOST_BYTES = 8L * 1024 * 1024;
  private static final int POINT_BYTES = 24;
  private static final int MOST_ROW_KEYS = 10_000;
  private static final long LOOK = TimeUnit.MILLISECONDS.toNanos(500);
  private static final long END_MILLISECONDS = 5000;

  private final Core core;
  private final long timeout;
  private final String attempt;
  private final Guard guard = new Guard();
  private final Delivery delivery;
  private final Lane lane;
  private final Memory memory = new Memory();
  private final Buffer.Keys keys;
  private final Groups groups = new Groups();
  private final Records records = new Records();
  private List<byte[]> made = new ArrayList<>();
  private final Map<ByteString, Group> named = new LinkedHashMap<>();
  private Fold fold = new Fold(groups, this::take);
  private int calls;
  private long weight;
  private boolean started;
  private boolean complete;
  private boolean closed;

  ReplayableLogger(Core core, long timeout, String writerId, String runId, String attempt) {
    if (!Objects.requireNonNull(writerId, "writerId").matches("[0-9a-f]{32}")) {
      throw Rules.invalid("writer_id", "must be 32 lower-case hex digits");
    }
    this.core = core;
    this.timeout = timeout;
    this.attempt = Objects.requireNonNull(attempt, "attempt");
    keys = new Buffer.Keys(Rules.runId(runId));
    lane = new Lane(memory, new Writer(writerId, Mark.START, Mark.START, true));
    delivery = new Delivery(core.given, core.link, guard);
    core.works.take(writerId, attempt, runId);
    core.closeWith(this);
  }

  /**
   * Derives the id of a writer from what it works on.
   *
   * @param part what names the work, such as an application's id
   * @param more further parts of the name, such as a stage, a partition, and which log of the task
   *     it is
   * @return the id, the same for the same parts
   */
  public static String writerId(Object part, Object... more) {
    StringBuilder text = new StringBuilder();
    add(text, part);
    for (Object one : more) {
      add(text, one);
    }
    return Ids.toHex(Ids.sha256(text.toString().getBytes(StandardCharsets.UTF_8))).substring(0, 32);
  }

  private static void add(StringBuilder text, Object part) {
    String one = Objects.requireNonNull(part, "part").toString();
    text.append(one.length()).append(':').append(one);
  }

  /** Keeps the frames until they are acknowledged; under the guard. */
  private static final class Memory implements Frames {
    private final Deque<Stored> frames = new ArrayDeque<>();
    private long bytes;

    void add(Stored frame) {
      frames.addLast(frame);
      bytes += frame.payload.length;
    }

    @Override
    public Stored take(long sequence) {
      for (Stored frame : frames) {
        if (frame.sequence == sequence) {
          return frame;
        }
      }
      return null;
    }

    @Override
    public Integer crcAt(long sequence) {
      return null;
    }

    @Override
    public void acknowledge(Mark mark) {
      while (!frames.isEmpty() && frames.peekFirst().sequence <= mark.sequence) {
        bytes -= frames.removeFirst().payload.length;
      }
    }

    @Override
    public void note(List<Rejection> rejections) {
      // They are thrown by the next flush; an attempt that dies before is followed by another.
    }

    @Override
    public void setAside(String reason, String message, long delivered) {
      // There is nothing to come back to.
    }

    @Override
    public long undelivered() {
      return frames.size();
    }

    @Override
    public String place() {
      return "memory";
    }
  }

  @Override
  public String runId() {
    return keys.runId;
  }

  @Override
  public void logMetric(String key, double value, long step, long timestamp) {
    checkOpen();
    BufferedLogger.checkTime(timestamp);
    KeySet series = keys.single(key);
    long names = names(series);
    fold.point(series, value, step, timestamp);
    count(POINT_BYTES + names);
  }

  /** Counts the bytes of the names in a block, if one begins with the next point. */
  private static long names(KeySet of) {
    return of.column == null ? Wire.names(of.keys).length : 0;
  }

  @Override
  public void logMetrics(Map<String, ? extends Number> metrics, long step, long timestamp) {
    checkOpen();
    BufferedLogger.checkTime(timestamp);
    Row row = Row.of(keys, metrics);
    int width = row.keys.width();
    if (width > MOST_ROW_KEYS) {
      throw new IllegalArgumentException(
          "logMetrics takes at most " + MOST_ROW_KEYS + " metrics here, and got " + width);
    }
    if (width > 0) {
      long names = names(row.keys);
      fold.row(row, step, timestamp);
      count((long) POINT_BYTES * width + names);
    }
  }

  @Override
  public void logSeries(String key, double[] values, long[] steps, long[] timestamps) {
    Records.series(runId(), key, values, steps, timestamps, made -> add(made, made.data.length));
  }

  @Override
  public void logBatch(Batch batch) {
    add(records.batch(runId(), batch), batch.weight());
  }

  @Override
  public void deleteTag(String key) {
    LogRecord made = Records.deleteTag(runId(), key);
    add(made, made.data.length);
  }

  @Override
  public void logInputs(List<DatasetInput> inputs) {
    // Alone in a frame: their texts may be long.
    add(Records.inputs(runId(), inputs), FRAME_BYTES);
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException("the logger is closed");
    }
    if (complete) {
      throw new IllegalStateException("the work is complete");
    }
  }

  /** Adds a record, alone in a frame if it is large; what it weighs is the same in each attempt. */
  private void add(LogRecord record, long bytes) {
    checkOpen();
    if (weight + bytes > FRAME_BYTES) {
      cut(Deadline.in(timeout));
    }
    fold.record(record);
    count(bytes);
  }

  private void take(LogRecord record) {
    made.add(record.data);
    record.groups.forEach(group -> named.put(group.getHash(), group));
  }

  private void count(long bytes) {
    weight += bytes;
    calls++;
    if (calls >= FRAME_CALLS || weight >= FRAME_BYTES) {
      cut(Deadline.in(timeout));
    }
  }

  /** Cuts a frame of what was logged since the last one, and waits for room for the next. */
  private void cut(Deadline deadline) {
    if (calls == 0) {
      return;
    }
    fold.finish();
    fold = new Fold(groups, this::take);
    byte[] payload = Wire.payload(made);
    final List<Group> declared = List.copyOf(named.values());
    made = new ArrayList<>();
    named.clear();
    calls = 0;
    weight = 0;
    guard.lock();
    try {
      Writer.Cut cut = lane.writer.next(payload);
      lane.writer.kept(cut);
      if (cut.sequence > lane.writer.acked().sequence) {
        memory.add(new Stored(cut.sequence, cut.previousCrc, payload, declared));
      }
      guard.signal();
    } finally {
      guard.unlock();
    }
    start();
    await(MOST_BYTES, deadline.left());
  }

  private void start() {
    if (!started) {
      started = true;
      guard.lock();
      try {
        delivery.carry(lane);
      } finally {
        guard.unlock();
      }
      delivery.start();
    }
  }

  /** Waits until at most so many bytes wait here. */
  private void await(long most, long timeout) {
    long start = System.nanoTime();
    guard.lock();
    try {
      while (memory.bytes > most) {
        if (lane.over != null) {
          throw lane.over;
        }
        delivery.watchHeld();
        long waited = System.nanoTime() - start;
        if (delivery.contact().refusal() != null || waited >= timeout) {
          throw undelivered(waited);
        }
        guard.awaitInterruptibly(Math.min(timeout - waited, LOOK));
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new CancelledException(
          new Failure("the thread was interrupted while it waited for the delivery")
              .cause(interrupted));
    } finally {
      guard.unlock();
    }
  }

  private RunwireException undelivered(long waited) {
    long frames = memory.undelivered();
    String where =
        Losses.counted(frames, "frame")
            + (frames == 1 ? " waits" : " wait")
            + " in memory; do the work again to log "
            + (frames == 1 ? "it" : "them");
    return Losses.undelivered(
        delivery.contact().refusal() != null
            ? delivery.contact().refusal()
            : delivery.contact().away(),
        core.given.address.text,
        waited,
        List.of(where),
        "");
  }

  /**
   * Cuts a frame, and waits until all that was logged so far is on the server's disk. Each attempt
   * has to do so in the same places.
   */
  @Override
  public void flush() {
    flush(Duration.ofNanos(timeout));
  }

  @Override
  public void flush(Duration timeout) {
    checkOpen();
    Deadline deadline = Deadline.in(Values.nanoseconds("timeout", timeout));
    cut(deadline);
    await(0, deadline.left());
    raise();
  }

  private void raise() {
    guard.lock();
    try {
      List<Rejection> rejections = delivery.takeRejections();
      if (!rejections.isEmpty()) {
        throw Losses.lost(rejections, List.of());
      }
    } finally {
      guard.unlock();
    }
  }

  /**
   * Ends the work: cuts the last frame, and waits until all that was logged is on the server's
   * disk; the run goes on. Nothing more can be logged then.
   *
   * @throws RunwireException something is not delivered, or was rejected; each further attempt at
   *     the work is told of what was rejected, too
   */
  public void complete() {
    flush();
    complete = true;
  }

  /**
   * Ends the attempt. Without {@link #complete} before, what is not in a whole frame is forgotten,
   * and so is what is not delivered: the next attempt logs it again.
   */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    core.closedAlone(this);
    if (!complete) {
      core.works.giveBack(lane.writer.writerId, attempt);
    }
    if (started) {
      delivery.stop(END_MILLISECONDS);
    }
  }
}
