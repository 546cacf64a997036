package dev.runwire.client;

import io.grpc.ManagedChannel;
import java.nio.file.Path;
import java.util.concurrent.Executor;

/** All that a client is told when it is made, checked and filled from the environment. */
final class Settings {
  final Address address;

  /** The address as spools name it; empty where none was named and none is asked. */
  final String spoolAddress;

  final String token;
  final Path tlsCa;
  final long timeout;
  final Retry retry;
  final Mode mode;
  final Path spoolRoot;
  final long spoolBytes;
  final OnSpoolFull onSpoolFull;
  final long shutdownTimeout;
  final String experiment;
  final ManagedChannel channel;
  final Executor executor;
  final String userAgent;

  Settings(RunwireClient.Builder given) {
    Places places = new Places(given);
    address = places.address;
    spoolAddress = places.spoolAddress;
    mode = places.mode;
    spoolRoot = places.spoolRoot;
    token = checkedToken(given.token != null ? given.token : Places.variable("RUNWIRE_TOKEN"));
    tlsCa = places.tlsCa;
    timeout = Values.nanoseconds("timeout", given.timeout);
    retry = given.retry;
    spoolBytes = given.spoolBytes;
    if (spoolBytes <= 0) {
      throw new IllegalArgumentException("spoolBytes must be more than 0, and is " + spoolBytes);
    }
    onSpoolFull = given.onSpoolFull;
    shutdownTimeout = Values.nanoseconds("shutdownTimeout", given.shutdownTimeout);
    String named = given.experiment;
    experiment = named != null ? named : Places.variable("RUNWIRE_EXPERIMENT");
    channel = given.channel;
    executor = given.executor;
    userAgent = given.userAgent;
  }

  boolean offline() {
    return mode == Mode.OFFLINE;
  }

  private static String checkedToken(String given) {
    String token = given.strip();
    if (!token.chars().allMatch(c -> c >= 0x20 && c < 0x7F)) {
      throw new IllegalArgumentException("the token may hold printable ASCII characters only");
    }
    return token;
  }
}
