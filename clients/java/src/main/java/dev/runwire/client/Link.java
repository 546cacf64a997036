package dev.runwire.client;

import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptors;
import io.grpc.ConnectivityState;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * A client's way to its server: the channel, and for a folder finding its server.
 *
 * <p>The server of a folder may end and be started again, elsewhere even. So after each failure to
 * reach it, the next call looks anew where it is.
 */
final class Link {
  // The answers of reads may be large; a trailer may hold 20 violations.
  private static final int RECEIVE_BYTES = 64 * 1024 * 1024;
  private static final int METADATA_BYTES = 64 * 1024;
  private static final long LOOK = TimeUnit.MILLISECONDS.toNanos(20);

  private final Settings given;
  private final List<ManagedChannel> channels = new ArrayList<>();
  private String target = "";
  private Channel current;
  private ManagedChannel managed;
  private volatile boolean closed;

  Link(Settings given) {
    this.given = given;
  }

  /** Returns the channel, with the token attached. */
  synchronized Channel channel() {
    if (closed) {
      throw closed();
    }
    if (current == null) {
      open();
    }
    return current;
  }

  static IllegalStateException closed() {
    return new IllegalStateException("the client is closed");
  }

  private void open() {
    Address address = given.address;
    if (given.channel != null) {
      managed = given.channel;
    } else {
      if (address.folder != null) {
        address = LocalServer.find(address.folder);
      }
      if (!address.target.equals(target)) {
        // The last channel stays open: other threads may be about to call there.
        while (channels.size() > 1) {
          channels.remove(0).shutdownNow();
        }
        managed = build(address);
        channels.add(managed);
        target = address.target;
      }
    }
    current = given.token.isEmpty() ? managed : ClientInterceptors.intercept(managed, token());
  }

  private io.grpc.ClientInterceptor token() {
    Metadata headers = new Metadata();
    // As metadata of each call: gRPC refuses call credentials on plain-text channels, and a
    // loopback server may want a token too.
    headers.put(
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
        "Bearer " + given.token);
    return MetadataUtils.newAttachHeadersInterceptor(headers);
  }

  private ManagedChannel build(Address address) {
    ManagedChannelBuilder<?> builder =
        Grpc.newChannelBuilder(address.target, credentials(address))
            .maxInboundMessageSize(RECEIVE_BYTES)
            .maxInboundMetadataSize(METADATA_BYTES)
            // gRPC's own retries know neither the request id nor the deadline that attempts share.
            .disableRetry()
            .userAgent(given.userAgent);
    if (address.local) {
      // A proxy set for the web has no way to this machine's own ports.
      builder.proxyDetector(server -> null);
    }
    if (given.executor != null) {
      builder.executor(given.executor);
    }
    return builder.build();
  }

  private ChannelCredentials credentials(Address address) {
    if (!address.secure) {
      return InsecureChannelCredentials.create();
    }
    TlsChannelCredentials.Builder tls = TlsChannelCredentials.newBuilder();
    if (given.tlsCa != null) {
      trust(tls, given.tlsCa);
    }
    return tls.build();
  }

  /** Trusts a file of certificates; gRPC would not name one that has none. */
  private static void trust(TlsChannelCredentials.Builder tls, Path file) {
    try {
      byte[] read = Files.readAllBytes(file);
      CertificateFactory kind = CertificateFactory.getInstance("X.509");
      if (kind.generateCertificates(new ByteArrayInputStream(read)).isEmpty()) {
        throw new CertificateException("there is no certificate in it");
      }
      tls.trustManager(new ByteArrayInputStream(read));
    } catch (IOException | CertificateException wrong) {
      throw new IllegalArgumentException(
          "the file of certificates " + file + " can not be read: " + wrong.getMessage(), wrong);
    }
  }

  static String version() {
    String found = Link.class.getPackage().getImplementationVersion();
    return found == null ? "development" : found;
  }

  /**
   * Waits until a connection stands or fails: an attempt to connect has no deadline of its own
   * shorter than that of a call.
   */
  void connect(long nanoseconds) {
    channel();
    ManagedChannel channel = managed;
    // Loads the classes that a connection takes, which is no time that the server lets pass.
    if (channel.getState(true) == ConnectivityState.TRANSIENT_FAILURE) {
      // One that could not connect answers with that failure until the end of its own back-off, of
      // up to two minutes, and does not show its further attempts.
      channel.enterIdle();
    }
    long deadline = System.nanoTime() + nanoseconds;
    ConnectivityState state = channel.getState(true);
    while (state == ConnectivityState.IDLE || state == ConnectivityState.CONNECTING) {
      CountDownLatch changed = new CountDownLatch(1);
      channel.notifyWhenStateChanged(state, changed::countDown);
      ConnectivityState before = state;
      while (state == before) {
        await(changed, deadline);
        state = channel.getState(true);
      }
    }
  }

  /** Waits for a change, and not long: this may be the thread that would tell of it. */
  private static void await(CountDownLatch changed, long deadline) {
    long left = deadline - System.nanoTime();
    if (left <= 0) {
      throw new ServerUnavailableException(new Failure("the connection is not made in time"));
    }
    try {
      changed.await(Math.min(left, LOOK), TimeUnit.NANOSECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new CancelledException(new Failure("the thread was interrupted").cause(interrupted));
    }
  }

  /** Says that an attempt failed: the next one looks where the server is, and connects at once. */
  synchronized void lost(RunwireException error) {
    if (!(error instanceof UnavailableException)) {
      return;
    }
    if (managed != null) {
      managed.resetConnectBackoff();
    }
    if (given.address.folder != null) {
      current = null;
    }
  }

  synchronized void close() {
    closed = true;
    channels.forEach(ManagedChannel::shutdownNow);
  }
}
