package dev.runwire.client;

import java.util.Objects;

/** A data set, described; its contents stay where they are. */
public final class Dataset {
  private final String name;
  private final String digest;
  private final String sourceType;
  private final String source;
  private final String schema;
  private final String profile;

  Dataset(
      String name, String digest, String sourceType, String source, String schema, String profile) {
    this.name = Objects.requireNonNull(name, "name");
    this.digest = Objects.requireNonNull(digest, "digest");
    this.sourceType = Objects.requireNonNull(sourceType, "sourceType");
    this.source = Objects.requireNonNull(source, "source");
    this.schema = Objects.requireNonNull(schema, "schema");
    this.profile = Objects.requireNonNull(profile, "profile");
  }

  /**
   * Tells its name, 1 to 500 characters.
   *
   * @return its name, 1 to 500 characters
   */
  public String name() {
    return name;
  }

  /**
   * Tells a fingerprint of its contents, 1 to 64 characters.
   *
   * @return a fingerprint of its contents, 1 to 64 characters
   */
  public String digest() {
    return digest;
  }

  /**
   * Tells the kind of its source, such as {@code s3}; empty if not given.
   *
   * @return the kind of its source, such as {@code s3}; empty if not given
   */
  public String sourceType() {
    return sourceType;
  }

  /**
   * Tells where it comes from, which the server never follows; empty if not given.
   *
   * @return where it comes from, which the server never follows; empty if not given
   */
  public String source() {
    return source;
  }

  /**
   * Tells its columns and types, JSON by custom; empty if not given.
   *
   * @return its columns and types, JSON by custom; empty if not given
   */
  public String schema() {
    return schema;
  }

  /**
   * Tells statistics of it, JSON by custom; empty if not given.
   *
   * @return statistics of it, JSON by custom; empty if not given
   */
  public String profile() {
    return profile;
  }

  /**
   * Describes a data set by its name and contents.
   *
   * @param name its name, 1 to 500 characters
   * @param digest a fingerprint of its contents, 1 to 64 characters
   * @return the data set
   */
  public static Dataset of(String name, String digest) {
    return new Dataset(name, digest, "", "", "", "");
  }

  /**
   * Says where the data set comes from.
   *
   * @param type the kind of source, such as {@code s3}
   * @param where the source
   * @return a copy with it
   */
  public Dataset withSource(String type, String where) {
    return new Dataset(name, digest, type, where, schema, profile);
  }

  /**
   * Says what columns the data set has.
   *
   * @param text columns and types, JSON by custom
   * @return a copy with it
   */
  public Dataset withSchema(String text) {
    return new Dataset(name, digest, sourceType, source, text, profile);
  }

  /**
   * Says how the data set is made up.
   *
   * @param text statistics of it, JSON by custom
   * @return a copy with it
   */
  public Dataset withProfile(String text) {
    return new Dataset(name, digest, sourceType, source, schema, text);
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof Dataset)) {
      return false;
    }
    Dataset that = (Dataset) other;
    return name.equals(that.name)
        && digest.equals(that.digest)
        && sourceType.equals(that.sourceType)
        && source.equals(that.source)
        && schema.equals(that.schema)
        && profile.equals(that.profile);
  }

  @Override
  public int hashCode() {
    return Objects.hash(name, digest, sourceType, source, schema, profile);
  }

  @Override
  public String toString() {
    return "Dataset[name="
        + name
        + ", digest="
        + digest
        + ", sourceType="
        + sourceType
        + ", source="
        + source
        + ", schema="
        + schema
        + ", profile="
        + profile
        + "]";
  }
}
