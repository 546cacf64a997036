package dev.runwire.client;

import io.grpc.ManagedChannel;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A server's address. */
final class Address {
  private static final String DEFAULT_PORT = "50051";
  private static final int MOST_PORT = 65_535;
  // Also with an underscore, which the services of a compose file have and URIs have not.
  private static final Pattern NETWORK =
      Pattern.compile(
          "(?:(?<name>[A-Za-z0-9._-]+)|\\[(?<ip>[0-9A-Fa-f:.]+)(?<zone>%[^]/?#@\\s]+)?\\])"
              + "(?::(?<port>[^/?#@]*))?/?");

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
    Matcher parts = NETWORK.matcher(rest);
    if (!parts.matches()) {
      throw new IllegalArgumentException(
          "the address \"" + text + "\" is not " + scheme + "://host:port");
    }
    String given = parts.group("port");
    String port = given == null || given.isEmpty() ? DEFAULT_PORT : given;
    if (!port.matches("[0-9]{1,5}") || Integer.parseInt(port) > MOST_PORT) {
      throw new IllegalArgumentException(
          "the address \"" + text + "\" has a port that is not a number from 0 to 65535");
    }
    String host =
        parts.group("name") != null
            ? parts.group("name").toLowerCase(Locale.ROOT)
            : "[" + parts.group("ip").toLowerCase(Locale.ROOT) + zone(parts) + "]";
    String target = host + ":" + Integer.parseInt(port);
    boolean loopback =
        host.equals("localhost") || host.equals("[::1]") || host.matches("127(\\.\\d+){3}");
    return new Address(
        scheme + "://" + target, dns(target), scheme.equals("runwires"), loopback, null);
  }

  private static String zone(Matcher parts) {
    return parts.group("zone") == null ? "" : parts.group("zone");
  }

  /** Makes the target that has gRPC look up a name, and not take it for a scheme. */
  private static String dns(String target) {
    try {
      // Brackets and a zone's percent sign are none of a path's.
      return new URI("dns", "", "/" + target, null).toString();
    } catch (URISyntaxException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
