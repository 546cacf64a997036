package dev.runwire.client;

import dev.runwire.v1.Group;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Cuts frames: gathers records into payloads of a good size.
 *
 * <p>The first frame of a segment that names a run begins it, so that a segment can go to any
 * server.
 */
final class Cutter {
  static final int FRAME_BYTES = 64 * 1024;

  /** When the server is behind, larger frames are cheaper for both sides. */
  static final int LARGE_FRAME_BYTES = 1024 * 1024;

  private final Lanes out;
  private final Map<String, Begin> begins;
  private Lane lane;
  private long segment = -1;
  private Set<String> begun = new HashSet<>();
  private List<LogRecord> given = new ArrayList<>();
  private List<byte[]> records = new ArrayList<>();
  private Set<Group> groups = new LinkedHashSet<>();
  private int size;
  private int target;

  Cutter(Lanes out, Map<String, Begin> begins) {
    this.out = out;
    this.begins = begins;
  }

  /** Adds a record to the frame in the making, and cuts that when it is large enough. */
  void add(LogRecord record) {
    if (records.isEmpty()) {
      open(record.data.length);
    } else if (size + record.data.length > LARGE_FRAME_BYTES) {
      cut();
      open(record.data.length);
    }
    given.add(record);
    begin(record.runId);
    if (record.data.length > 0) {
      records.add(record.data);
      size += record.data.length;
      groups.addAll(record.groups);
    }
    if (size >= target) {
      cut();
    }
  }

  private void open(int length) {
    Lanes.Place place = out.open(Math.max(length, FRAME_BYTES));
    if (place.lane != lane || place.segment != segment) {
      lane = place.lane;
      segment = place.segment;
      begun = new HashSet<>();
    }
    target = out.target(lane);
  }

  private void begin(String runId) {
    if (!begun.add(runId)) {
      return;
    }
    Begin begin = begins.get(runId);
    if (begin != null) {
      String parent = begin.message.getRun().getParentRunId();
      if (!parent.isEmpty()) {
        begin(parent);
      }
      records.add(begin.data);
      size += begin.data.length;
    }
  }

  /** Cuts the frame in the making, if there is anything in it. */
  void cut() {
    while (!records.isEmpty()) {
      final boolean taken = out.write(lane, Wire.payload(records), groups);
      List<LogRecord> done = given;
      given = new ArrayList<>();
      records = new ArrayList<>();
      groups = new LinkedHashSet<>();
      size = 0;
      if (!taken) {
        // The writer ended: its successor's spool has to begin the runs again.
        done.forEach(this::add);
        continue;
      }
      for (LogRecord record : done) {
        if (record.ends) {
          // Whatever comes for it now finds it on the server, or behind this in the same spool.
          begins.remove(record.runId);
        }
      }
    }
  }
}
