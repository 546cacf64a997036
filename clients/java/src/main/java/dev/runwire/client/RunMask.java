package dev.runwire.client;

import java.util.Collection;
import java.util.List;

/** Which parts of a run to return. Nothing given means all of them. */
public final class RunMask {
  private final List<String> fields;
  private final List<String> metricKeys;
  private final List<String> paramKeys;
  private final List<String> tagKeys;

  /** Makes one in which nothing is given. */
  public RunMask() {
    this(List.of(), List.of(), List.of(), List.of());
  }

  private RunMask(
      List<String> fields, List<String> metricKeys, List<String> paramKeys, List<String> tagKeys) {
    this.fields = fields;
    this.metricKeys = metricKeys;
    this.paramKeys = paramKeys;
    this.tagKeys = tagKeys;
  }

  /**
   * Gives the fields of {@code Run} in {@code run.proto} to return, such as {@code name} and {@code
   * params}; none for all.
   *
   * @param fields the fields of {@code Run} in {@code run.proto} to return, such as {@code name}
   *     and {@code params}
   * @return a copy with it
   */
  public RunMask fields(Collection<String> fields) {
    return new RunMask(Values.list("fields", fields), metricKeys, paramKeys, tagKeys);
  }

  /**
   * Gives the only metrics to return; none for all.
   *
   * @param metricKeys the only metrics to return
   * @return a copy with it
   */
  public RunMask metricKeys(Collection<String> metricKeys) {
    return new RunMask(fields, Values.list("metricKeys", metricKeys), paramKeys, tagKeys);
  }

  /**
   * Gives the only params to return; none for all.
   *
   * @param paramKeys the only params to return
   * @return a copy with it
   */
  public RunMask paramKeys(Collection<String> paramKeys) {
    return new RunMask(fields, metricKeys, Values.list("paramKeys", paramKeys), tagKeys);
  }

  /**
   * Gives the only tags to return; none for all.
   *
   * @param tagKeys the only tags to return
   * @return a copy with it
   */
  public RunMask tagKeys(Collection<String> tagKeys) {
    return new RunMask(fields, metricKeys, paramKeys, Values.list("tagKeys", tagKeys));
  }

  List<String> fields() {
    return fields;
  }

  List<String> metricKeys() {
    return metricKeys;
  }

  List<String> paramKeys() {
    return paramKeys;
  }

  List<String> tagKeys() {
    return tagKeys;
  }
}
