package dev.runwire.client;

import io.grpc.Channel;
import io.grpc.ManagedChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.Executor;

/**
 * A connection to a Runwire server.
 *
 * <pre>{@code
 * try (RunwireClient client = RunwireClient.connect("runwire://127.0.0.1:50051")) {
 *   client.run("first", run -> {
 *     run.logParam("alpha", 0.1);
 *     run.logMetric("loss", 0.25, 1);
 *   });
 * }
 * }</pre>
 *
 * <p>What is logged returns at once and is delivered in the background, in the order of the calls
 * and exactly once; {@link #flush}, {@link #finishRun} and {@link #close} wait for it. All other
 * calls are on the server's disk when they return, are repeated, under one request id, while the
 * server is away, and see all that this client has logged. Threads may share a client.
 *
 * <p>Any call may throw a {@link RunwireException}: {@link UnauthenticatedException} if the server
 * wants a token, {@link ServerUnavailableException} if nothing answers, {@link
 * DeadlineExceededException} if no answer came in time, and what each method names.
 */
public final class RunwireClient extends MetricCalls implements AutoCloseable {
  RunwireClient(Core core, long timeout) {
    super(core, timeout);
  }

  /**
   * Connects to the server that the environment names by {@code RUNWIRE_TRACKING_URI}.
   *
   * @return the client; it connects at the first call
   */
  public static RunwireClient connect() {
    return builder().build();
  }

  /**
   * Connects to a server.
   *
   * @param address see {@link Builder#address}
   * @return the client; it connects at the first call
   */
  public static RunwireClient connect(String address) {
    return builder().address(address).build();
  }

  /**
   * Begins to describe a client.
   *
   * @return a builder in which all is as the environment says, or the default
   */
  public static Builder builder() {
    return new Builder();
  }

  /** Describes a client. */
  public static final class Builder {
    String address;
    String token;
    Path tlsCa;
    Duration timeout = Duration.ofSeconds(30);
    Retry retry = new Retry();
    Mode mode;
    Path spoolDir;
    long spoolBytes = 1L << 30;
    OnSpoolFull onSpoolFull = OnSpoolFull.BLOCK;
    Duration shutdownTimeout = Duration.ofSeconds(60);
    String experiment;
    ManagedChannel channel;
    Executor executor;
    String userAgent = "runwire-java/" + Link.version();

    private Builder() {}

    /**
     * Names the server.
     *
     * @param given {@code runwire://host:port} (plain text), {@code runwires://host:port} (TLS),
     *     {@code unix:path} or {@code host:port}; or a folder such as {@code ./runwire-data}, whose
     *     running server is joined. By default the environment's {@code RUNWIRE_TRACKING_URI}
     * @return this
     */
    public Builder address(String given) {
      address = Objects.requireNonNull(given, "address");
      return this;
    }

    /**
     * Gives the server's token.
     *
     * @param given the token; by default the environment's {@code RUNWIRE_TOKEN}, else none
     * @return this
     */
    public Builder token(String given) {
      token = Objects.requireNonNull(given, "token");
      return this;
    }

    /**
     * Names the certificates to trust.
     *
     * @param given a PEM file; by default the environment's {@code RUNWIRE_TLS_CA}, else those that
     *     Java trusts
     * @return this
     */
    public Builder tlsCa(Path given) {
      tlsCa = Objects.requireNonNull(given, "tlsCa");
      return this;
    }

    /**
     * Says how long a call may take.
     *
     * @param given the time, repeats included; by default 30 seconds
     * @return this
     */
    public Builder timeout(Duration given) {
      timeout = Objects.requireNonNull(given, "timeout");
      return this;
    }

    /**
     * Says how failed calls are repeated.
     *
     * @param given how
     * @return this
     */
    public Builder retry(Retry given) {
      retry = Objects.requireNonNull(given, "retry");
      return this;
    }

    /**
     * Says whether there is a server.
     *
     * @param given OFFLINE to begin, log and end runs without a server, for {@code runwire sync} to
     *     deliver; by default the environment's {@code RUNWIRE_MODE}, else ONLINE
     * @return this
     */
    public Builder mode(Mode given) {
      mode = Objects.requireNonNull(given, "mode");
      return this;
    }

    /**
     * Says where what is logged and not delivered is kept.
     *
     * @param given a folder; by default the environment's {@code RUNWIRE_SPOOL_DIR}, else {@code
     *     ./runwire-offline} offline, and online a folder of the user's
     * @return this
     */
    public Builder spoolDir(Path given) {
      spoolDir = Objects.requireNonNull(given, "spoolDir");
      return this;
    }

    /**
     * Bounds what is logged and not delivered; the bound is reached when the server is away for
     * long.
     *
     * @param given bytes; by default 1 GiB
     * @return this
     */
    public Builder spoolBytes(long given) {
      spoolBytes = given;
      return this;
    }

    /**
     * Says what a call that logs does at that bound.
     *
     * @param given BLOCK, which is the default, or ERROR; offline it is always an error
     * @return this
     */
    public Builder onSpoolFull(OnSpoolFull given) {
      onSpoolFull = Objects.requireNonNull(given, "onSpoolFull");
      return this;
    }

    /**
     * Says how long the exit of the process may wait for the delivery of what was logged; what is
     * not delivered then stays in the folder, for {@code runwire sync}.
     *
     * @param given the time; by default 60 seconds
     * @return this
     */
    public Builder shutdownTimeout(Duration given) {
      shutdownTimeout = Objects.requireNonNull(given, "shutdownTimeout");
      return this;
    }

    /**
     * Names the experiment that runs are started in where nothing else is said.
     *
     * @param given its name; it is created if there is none. By default the environment's {@code
     *     RUNWIRE_EXPERIMENT}, else Default
     * @return this
     */
    public Builder experiment(String given) {
      experiment = Objects.requireNonNull(given, "experiment");
      return this;
    }

    /**
     * Gives a channel that is ready, instead of an address; it stays the caller's to shut down.
     *
     * <p>The environment's {@code RUNWIRE_TRACKING_URI} does not count then. What is not delivered
     * names no server, unless {@link #address} does, and {@code runwire sync} has to be told which.
     *
     * @param given the channel
     * @return this
     */
    public Builder channel(ManagedChannel given) {
      channel = Objects.requireNonNull(given, "channel");
      return this;
    }

    /**
     * Says where gRPC runs its callbacks, and where the futures of {@link #async} are completed.
     *
     * @param given the executor; by default gRPC's own, and for futures the one that these have by
     *     default. It must not run tasks in the thread that hands them over, and needs a thread
     *     that does not itself wait for this client: such a callback says that what was logged is
     *     delivered
     * @return this
     */
    public Builder executor(Executor given) {
      executor = Objects.requireNonNull(given, "executor");
      return this;
    }

    /**
     * Says who calls, as servers and proxies log it; a library on top of this client names itself.
     *
     * @param given a name and a version, such as {@code runwire-scala/1.0.0}; by default this
     *     client's. A channel that is given has one of its own
     * @return this
     */
    public Builder userAgent(String given) {
      userAgent = Objects.requireNonNull(given, "userAgent");
      return this;
    }

    /**
     * Makes the client; it connects at the first call.
     *
     * @return the client
     * @throws IllegalArgumentException something can not be used, or no server is named
     */
    public RunwireClient build() {
      Settings given = new Settings(this);
      return new RunwireClient(new Core(given), given.timeout);
    }
  }

  /**
   * Tells the server's address.
   *
   * @return the address; the authority of a channel that was given without one
   */
  public String address() {
    return core.given.address.text;
  }

  /**
   * Tells whether there is a server.
   *
   * @return the mode
   */
  public Mode mode() {
    return core.given.mode;
  }

  /**
   * Makes a view of this client with another deadline for its calls, and for those of the runs,
   * loggers and watches that it gives. Closing either closes both.
   *
   * @param given how long a call may take, its repeats included
   * @return the view
   */
  public RunwireClient withTimeout(Duration given) {
    return new RunwireClient(core, Values.nanoseconds("timeout", given));
  }

  /**
   * Makes a view of this client whose calls return futures. Closing either closes both.
   *
   * @return the view
   */
  public AsyncRunwireClient async() {
    return new AsyncRunwireClient(core, timeout);
  }

  /**
   * Returns the channel, with the token attached: the way to raw calls, by the stubs in {@code
   * dev.runwire.v1}.
   *
   * @return the channel; it is closed with the client
   */
  public Channel channel() {
    core.pipeline.checkOnline("a raw call");
    return core.link.channel();
  }

  /**
   * Asks the server what it is and allows.
   *
   * @return version, limits and features
   */
  public ServerInfo serverInfo() {
    return send(Requests.serverInfo());
  }

  /**
   * Counts what the metric points take on the server's disk, by part.
   *
   * @return the parts, and what waits to be compacted
   */
  public StorageStats storageStats() {
    return send(Requests.storageStats());
  }

  /**
   * Removes for good what was deleted.
   *
   * @param olderThan only what was deleted at least this long ago; zero for all that is deleted
   * @return how much was removed
   */
  public PurgeResult purge(Duration olderThan) {
    return send(Requests.purge(olderThan));
  }

  /**
   * Delivers what was logged, and closes the connection. A closed client can not be used again.
   *
   * @throws CancelledException the thread was interrupted; the client is closed all the same, and
   *     the message says what is left and where
   * @throws RunwireException something is not delivered, or was rejected; see {@link #flush()}
   */
  @Override
  public void close() {
    core.close(timeout);
  }

  /**
   * Closes as {@link #close()} does.
   *
   * @param given how long the delivery may take, more than 0
   * @throws RunwireException something is not delivered, or was rejected; see {@link #flush()}
   */
  public void close(Duration given) {
    core.close(Values.nanoseconds("timeout", given));
  }
}
