package dev.runwire.client;

import java.time.Instant;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** An experiment: a named group that runs belong to. */
public final class Experiment {
  private final String experimentId;
  private final String name;
  private final LifecycleStage lifecycleStage;
  private final Instant createTime;
  private final Instant updateTime;
  private final Map<String, String> tags;

  Experiment(
      String experimentId,
      String name,
      LifecycleStage lifecycleStage,
      Instant createTime,
      Instant updateTime,
      Map<String, String> tags) {
    this.experimentId = Objects.requireNonNull(experimentId, "experimentId");
    this.name = Objects.requireNonNull(name, "name");
    this.lifecycleStage = Objects.requireNonNull(lifecycleStage, "lifecycleStage");
    this.createTime = Objects.requireNonNull(createTime, "createTime");
    this.updateTime = Objects.requireNonNull(updateTime, "updateTime");
    this.tags = Collections.unmodifiableMap(new LinkedHashMap<>(tags));
  }

  /**
   * Tells its id, decimal digits; "0" is Default.
   *
   * @return its id, decimal digits; "0" is Default
   */
  public String experimentId() {
    return experimentId;
  }

  /**
   * Tells its name, unique until it is purged.
   *
   * @return its name, unique until it is purged
   */
  public String name() {
    return name;
  }

  /**
   * Tells whether it is deleted.
   *
   * @return whether it is deleted
   */
  public LifecycleStage lifecycleStage() {
    return lifecycleStage;
  }

  /**
   * Tells when it was created, by the server's clock.
   *
   * @return when it was created, by the server's clock
   */
  public Instant createTime() {
    return createTime;
  }

  /**
   * Tells when its name, tags or lifecycle last changed.
   *
   * @return when its name, tags or lifecycle last changed
   */
  public Instant updateTime() {
    return updateTime;
  }

  /**
   * Tells its tags, by key.
   *
   * @return its tags, by key
   */
  public Map<String, String> tags() {
    return tags;
  }

  @Override
  public boolean equals(Object other) {
    if (this == other) {
      return true;
    }
    if (!(other instanceof Experiment)) {
      return false;
    }
    Experiment that = (Experiment) other;
    return experimentId.equals(that.experimentId)
        && name.equals(that.name)
        && lifecycleStage.equals(that.lifecycleStage)
        && createTime.equals(that.createTime)
        && updateTime.equals(that.updateTime)
        && tags.equals(that.tags);
  }

  @Override
  public int hashCode() {
    return Objects.hash(experimentId, name, lifecycleStage, createTime, updateTime, tags);
  }

  @Override
  public String toString() {
    return "Experiment[experimentId="
        + experimentId
        + ", name="
        + name
        + ", lifecycleStage="
        + lifecycleStage
        + ", createTime="
        + createTime
        + ", updateTime="
        + updateTime
        + ", tags="
        + tags
        + "]";
  }
}
