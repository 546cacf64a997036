package dev.runwire.client;

import dev.runwire.v1.BeginRun;
import dev.runwire.v1.CreateRunRequest;
import dev.runwire.v1.Record;

/** How a run begins, to be said again wherever a new spool segment names it. */
final class Begin {
  // It is repeated, and shares its frame with another record.
  private static final int MOST_BYTES = 64 * 1024;

  final BeginRun message;

  /** The same, as a serialised {@code Record}. */
  final byte[] data;

  /** Whether params and tags are left out for their size, to be said once in another record. */
  final boolean shortened;

  Begin(BeginRun whole) {
    byte[] all = Record.newBuilder().setBegin(whole).build().toByteArray();
    shortened = all.length > MOST_BYTES;
    message =
        shortened
            ? whole.toBuilder().setRun(whole.getRun().toBuilder().clearParams().clearTags()).build()
            : whole;
    data = shortened ? Record.newBuilder().setBegin(message).build().toByteArray() : all;
  }

  /** Makes what begins a run that exists, for spools that outlive the server's memory of it. */
  static Begin created(CreateRunRequest request) {
    return new Begin(
        BeginRun.newBuilder()
            .setRun(request.toBuilder().clearRequestId().clearAllowExisting())
            .build());
  }
}
