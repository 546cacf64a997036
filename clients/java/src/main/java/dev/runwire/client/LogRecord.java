package dev.runwire.client;

import dev.runwire.v1.Group;
import java.util.List;

/** A record that is ready, with the groups that it names. */
final class LogRecord {
  final String runId;

  /**
   * A serialised {@code Record}; empty to name the run only, which has its begin record written.
   */
  final byte[] data;

  final List<Group> groups;

  /** Whether it ends the run. */
  final boolean ends;

  LogRecord(String runId, byte[] data) {
    this(runId, data, List.of(), false);
  }

  LogRecord(String runId, byte[] data, List<Group> groups, boolean ends) {
    this.runId = runId;
    this.data = data;
    this.groups = groups;
    this.ends = ends;
  }
}
