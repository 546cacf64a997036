package dev.runwire.client;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** What a server is and allows. */
public final class ServerInfo {
  private final String version;
  private final String apiVersion;
  private final String database;
  private final List<String> features;
  private final Map<String, Long> limits;

  ServerInfo(
      String version,
      String apiVersion,
      String database,
      List<String> features,
      Map<String, Long> limits) {
    this.version = Objects.requireNonNull(version, "version");
    this.apiVersion = Objects.requireNonNull(apiVersion, "apiVersion");
    this.database = Objects.requireNonNull(database, "database");
    this.features = List.copyOf(features);
    this.limits = Collections.unmodifiableMap(new LinkedHashMap<>(limits));
  }

  /**
   * Tells the server's version, such as {@code 0.1.0}.
   *
   * @return the server's version, such as {@code 0.1.0}
   */
  public String version() {
    return version;
  }

  /**
   * Tells the API's version, such as {@code v1}.
   *
   * @return the API's version, such as {@code v1}
   */
  public String apiVersion() {
    return apiVersion;
  }

  /**
   * Tells the kind of database, such as {@code sqlite}.
   *
   * @return the kind of database, such as {@code sqlite}
   */
  public String database() {
    return database;
  }

  /**
   * Tells names of what it can do beyond the first release of the API.
   *
   * @return names of what it can do beyond the first release of the API
   */
  public List<String> features() {
    return features;
  }

  /**
   * Tells the limits in force, by the field names of {@code Limits} in {@code server.proto}.
   *
   * @return the limits in force, by the field names of {@code Limits} in {@code server.proto}
   */
  public Map<String, Long> limits() {
    return limits;
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof ServerInfo)) {
      return false;
    }
    ServerInfo that = (ServerInfo) other;
    return version.equals(that.version)
        && apiVersion.equals(that.apiVersion)
        && database.equals(that.database)
        && features.equals(that.features)
        && limits.equals(that.limits);
  }

  @Override
  public int hashCode() {
    return Objects.hash(version, apiVersion, database, features, limits);
  }

  @Override
  public String toString() {
    return "ServerInfo[version="
        + version
        + ", apiVersion="
        + apiVersion
        + ", database="
        + database
        + ", features="
        + features
        + ", limits="
        + limits
        + "]";
  }
}
