package dev.runwire.client;

import java.time.Duration;

/** What tests give to all that has to succeed: a slow machine may stand still for a while. */
final class Patience {
  /** Longer than anything takes that works. */
  static final Duration LONG = Duration.ofMinutes(2);

  /** The same, for futures, latches and pipelines. */
  static final long SECONDS = LONG.toSeconds();

  private Patience() {}

  /** Begins a client that gives up late. */
  static RunwireClient.Builder client() {
    return RunwireClient.builder().timeout(LONG).retry(new Retry().connectTimeout(LONG));
  }
}
