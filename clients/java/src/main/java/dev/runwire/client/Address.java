package dev.runwire.client;

import io.grpc.ManagedChannel;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Locale;

/** A server's address. */
final class Address {
  static final int DEFAULT_PORT = 50051;

  /** As a person writes it. */
  final String text;

  /**
   * As gRPC wants it; empty for a folder, whose server has to be found first, and for a channel.
   */
  final String target;

  /** Whether to use TLS. */
  final boolean secure;

  /** Whether it is on this machine. */
  final boolean local;

  /** The folder whose server is meant; null if the address names a server. */
  final Path folder;

  private Address(String text, String target, boolean secure, boolean local, Path folder) {
    this.text = text;
    this.target = target;
    this.secure = secure;
    this.local = local;
    this.folder = folder;
  }

  /** Says as much of a channel's server as the channel tells. */
  static Address of(ManagedChannel channel) {
    return new Address(channel.authority(), "", false, false, null);
  }

  static Address parse(String text) {
    if (text.matches("(\\.{0,2}|~)/.*|\\.\\.?")) {
      String path = text.startsWith("~/") ? Places.home() + text.substring(1) : text;
      Path folder = Paths.get(path).toAbsolutePath().normalize();
      return new Address(folder.toString(), "", false, true, folder);
    }
    if (text.startsWith("unix:")) {
      String path = text.substring(5);
      path = path.startsWith("//") ? path.substring(2) : path;
      if (path.isEmpty()) {
        throw new IllegalArgumentException(
            "the address \"" + text + "\" names no socket; write unix:path");
      }
      return new Address(text, "unix:" + path, false, true, null);
    }
    int mark = text.indexOf("://");
    String scheme = mark < 0 ? "runwire" : text.substring(0, mark);
    if (!scheme.equals("runwire") && !scheme.equals("runwires")) {
      throw new IllegalArgumentException(
          "the address \""
              + text
              + "\" is not runwire://host:port, runwires://host:port, unix:path, host:port or a"
              + " folder such as ./runwire-data");
    }
    return network(text, scheme, mark < 0 ? text : text.substring(mark + 3));
  }

  private static Address network(String text, String scheme, String rest) {
    URI parts;
    try {
      parts = new URI(scheme + "://" + rest).parseServerAuthority();
    } catch (URISyntaxException wrong) {
      throw new IllegalArgumentException(
          "the address \"" + text + "\" is not " + scheme + "://host:port", wrong);
    }
    String path = parts.getPath() == null ? "" : parts.getPath();
    boolean plain = parts.getUserInfo() == null && parts.getQuery() == null;
    if (parts.getHost() == null
        || !plain
        || parts.getFragment() != null
        || !(path.isEmpty() || path.equals("/"))) {
      throw new IllegalArgumentException(
          "the address \"" + text + "\" is not " + scheme + "://host:port");
    }
    int port = parts.getPort() < 0 ? DEFAULT_PORT : parts.getPort();
    if (port > 65535) {
      throw new IllegalArgumentException(
          "the address \"" + text + "\" has a port that is not a number from 0 to 65535");
    }
    String host = parts.getHost().toLowerCase(Locale.ROOT);
    String target = host + ":" + port;
    boolean loopback =
        host.equals("localhost") || host.equals("[::1]") || host.matches("127(\\.\\d+){3}");
    return new Address(
        scheme + "://" + target, "dns:///" + target, scheme.equals("runwires"), loopback, null);
  }
}
